package source

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scaler adds what is finished to what is left: each message must count once.
func TestListCountsWhatIsFinished(t *testing.T) {
	t.Run("acknowledged, dead and given back", func(t *testing.T) {
		b := newTestbed(t)
		b.MaxDeliveries = 5
		b.push(t, "1", "2", "3")
		l := b.list(t)
		require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
		require.NoError(t, l.Bury(t.Context(), fetchOne(t, l)))
		require.NoError(t, l.Release(t.Context(), []Message{fetchOne(t, l)}, 0))
		require.NoError(t, l.Close(t.Context()))
		require.EqualValues(t, 2, b.finished(t))
		require.EqualValues(t, 1, b.depth(t).Ready)
	})
	t.Run("of a worker that died", func(t *testing.T) {
		b := newTestbed(t)
		b.dies(t, "gone", time.Second, "1", "2")
		l := b.survivor(t)
		for range 2 {
			require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
		}
		require.EqualValues(t, 2, b.finished(t))
	})
	t.Run("of a worker that was frozen, and ends its work after another took it over", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		frozen := b.list(t)
		late := fetchOne(t, frozen)
		b.endLeases(t)
		l := b.survivor(t)
		again := fetchOne(t, l)
		require.Equal(t, late.ID, again.ID)
		require.NoError(t, frozen.Ack(t.Context(), late))
		require.EqualValues(t, 1, b.depth(t).InFlight, "it is the other's")
		require.NoError(t, l.Ack(t.Context(), again))
		require.EqualValues(t, 1, b.finished(t))
		require.Zero(t, b.depth(t).Total())
	})
}

package source

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
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
		require.NoError(t, l.Release(t.Context(), []Message{fetchOne(t, l)}))
		require.NoError(t, l.Close(t.Context()))
		require.EqualValues(t, 2, b.finished(t))
		require.Len(t, b.items(t, b.Key), 1)
	})
	t.Run("of a worker that died", func(t *testing.T) {
		b := newTestbed(t)
		b.dies(t, "gone", time.Hour, "1", "2")
		l := b.list(t)
		require.NoError(t, l.reclaim(t.Context()))
		require.Zero(t, b.finished(t))
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
		b.dies(t, "me", time.Hour)
		other := b.Options
		other.Consumer = "other"
		l := NewList(other)
		require.NoError(t, l.Recover(t.Context()))
		require.NoError(t, l.reclaim(t.Context()))
		require.NoError(t, frozen.Ack(t.Context(), late))
		require.Zero(t, b.finished(t), "it is in the queue again")
		require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
		require.EqualValues(t, 1, b.finished(t))
	})
	t.Run("the correction waits for the server", func(t *testing.T) {
		b := newTestbed(t)
		l := b.list(t)
		require.NoError(t, b.client.Set(t.Context(), queue.FinishedKey(b.Key), 8, 0).Err())
		l.excess = 1 // as after a connection that could not be had
		require.NoError(t, l.Recover(t.Context()))
		require.EqualValues(t, 7, b.finished(t))
		require.NoError(t, l.Recover(t.Context()))
		require.EqualValues(t, 7, b.finished(t))
	})
}

package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// missed is where a gap begins, so many seconds after noon.
func missed(second int) protocol.Point {
	return protocol.Point{Time: noon.Add(time.Duration(second) * time.Second), Gap: true}
}

// A gap is in no window: what was before it is not replayed together with what came after.
func TestAGapIsNotReplayed(t *testing.T) {
	past, _ := simulated(t, true)
	later := noon.Add(time.Hour)
	for i := 600; i < 1200; i++ {
		past.Points[i].Time = later.Add(time.Duration(i-600) * time.Second)
	}
	past.Points[599], past.To = missed(599), later.Add(600*time.Second)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Equal(t, later, r.Start)
	assert.Len(t, curveNamed(t, r, "recorded").Depth, 600)
	words := strings.Join(r.Assumed, "\n")
	assert.Contains(t, words, "the window begins at 13:00:00 UTC: before, nothing was heard of the channel")
	assert.NotContains(t, words, "the window ends")
}

// While nothing is heard, what was heard before can be replayed, and it is said that it ends there.
func TestAReplayWhileNothingIsHeard(t *testing.T) {
	past, _ := simulated(t, true)
	past.Points = append(past.Points, missed(1200))
	past.To = noon.Add(2 * time.Hour)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Equal(t, noon, r.Start)
	assert.Len(t, curveNamed(t, r, "recorded").Depth, 1200, "and not two hours")
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "the window ends at 12:20:00 UTC: since then nothing was heard of the channel")

	past.Points = []protocol.Point{missed(0)}
	_, err = Run(t.Context(), past, protocol.ReplayRequest{})
	require.ErrorContains(t, err, "nothing is recorded yet")
}

// A scaling of before a gap is not the last one for sure.
func TestACooldownIsNotKnownAfterAGap(t *testing.T) {
	past := overloaded() // the second worker came after 200 s
	past.Points[208] = missed(208)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Equal(t, noon.Add(209*time.Second), r.Start)
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "the window begins without a cooldown, because the record does not tell when the fleet was scaled before")

	// One that changed the number within the gap was at no time that is known.
	past = overloaded()
	past.Points[199] = missed(199)
	r, err = Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "the window begins without a cooldown")
}

// A change at which the window begins is in all of it.
func TestAChangeAtTheStartIsNotWithin(t *testing.T) {
	past := overloaded()
	past.Points[299] = missed(299)
	past.Marks = []protocol.Mark{{Time: noon.Add(300 * time.Second), Kind: protocol.MarkSettings}}
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(r.Assumed, "\n"), "was changed")
}

// A channel that was resumed in the gap before the window was not paused within it.
func TestAPauseThatEndedInAGap(t *testing.T) {
	past := overloaded()
	past.Points[299] = missed(299)
	past.Marks = []protocol.Mark{{Time: noon.Add(300 * time.Second), Kind: protocol.MarkResumed}}
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(r.Assumed, "\n"), "was paused")

	past.Marks = []protocol.Mark{{Time: noon.Add(300 * time.Second), Kind: protocol.MarkPaused}, {Time: noon.Add(330 * time.Second), Kind: protocol.MarkResumed}}
	r, err = Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "the channel was paused from 12:05:00 UTC to 12:05:30 UTC")
}

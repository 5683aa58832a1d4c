package replay

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// leaving is a context that ends once somebody looked at it that often.
type leaving struct {
	context.Context

	looks atomic.Int64
	after int64
}

// Err implements context.Context.
func (l *leaving) Err() error {
	if l.looks.Add(1) > l.after {
		return context.Canceled
	}
	return nil
}

// A replay that nobody waits for any more ends at once, in the middle of a second with very many messages, too.
func TestAReplayEndsWithItsContext(t *testing.T) {
	atOnce := func() Past {
		past := Past{Channel: channelOf(), To: noon.Add(120 * time.Second)}
		past.Channel.Spec.AutoScaling.Policy, past.Channel.Spec.AutoScaling.WorkerConcurrency = v1.PolicyUtilization, 2 // of 1, messages are a flow
		for i := range int64(120) {
			depth, rate := 1_000_000-5_000*i, int64(0)
			past.Points = append(past.Points, protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Rate: &rate, Replicas: 2, Ready: 2, Desired: 2})
		}
		return past
	}
	steady, _ := simulated(t, true)
	for name, test := range map[string]struct {
		past  Past
		after int64
	}{
		"before it begins":      {steady, 0},
		"in a flow":             {steady, 100},
		"in the first second":   {atOnce(), 50},
		"message after message": {atOnce(), 400},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := &leaving{Context: t.Context(), after: test.after}
			_, err := Run(ctx, test.past, protocol.ReplayRequest{})
			require.Error(t, err)
			assert.LessOrEqual(t, ctx.looks.Load(), test.after+3, "it goes on")
		})
	}
}

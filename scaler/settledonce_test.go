package scaler

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// oneState is a cluster whose state somebody sets.
type oneState struct {
	Targets
	state target.State
}

func (o *oneState) State(context.Context, string, string) (target.State, error) { return o.state, nil }

// Who watches waits once while the HPA tells nothing of a number of replicas. That it did not tell once does not mean that it never
// will: it scales to the same number again, hours later.
func TestAStreamWaitsOnceForEachScaling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &oneState{}
		s := New(Options{Targets: cluster, SettleTimeout: time.Second})
		f := &followed{service: s, request: &request{namespace: "shop", name: "orders"}}
		waits := func(want time.Duration, replicas int32, unsettled bool, words string) {
			t.Helper()
			cluster.state = target.State{Replicas: replicas, Unsettled: unsettled}
			began := time.Now()
			state, err := s.settledOnce(t.Context(), f)
			require.NoError(t, err)
			assert.Equal(t, cluster.state, state)
			assert.Equal(t, want, time.Since(began), words)
		}
		waits(0, 1, false, "the HPA has told")
		waits(time.Second, 2, true, "somebody else has scaled")
		waits(0, 2, true, "it was waited for")
		waits(time.Second, 3, true, "another number")
		waits(0, 3, false, "the HPA has told")
		waits(time.Second, 3, true, "it was away, and is back at the same number")
	})
}

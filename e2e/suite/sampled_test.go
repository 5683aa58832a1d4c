//go:build e2e

package suite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"
)

// sampleEvery is how often replicas are looked at during a switch.
const sampleEvery = 100 * time.Millisecond

// replicasOf are spec.replicas of a Deployment, and the pods that it has.
func (s *space) replicasOf(ctx context.Context, deployment string) (wanted, there int32, err error) {
	live := &appsv1.Deployment{}
	if err := env.client.Get(ctx, s.key(deployment), live); err != nil {
		return 0, 0, err
	}
	return ptr.Deref(live.Spec.Replicas, 1), live.Status.Replicas, nil
}

// neverDips does something to a channel and waits until its Deployment has that many
// replicas and the condition holds, with a look every 100 ms: the number is never below the
// lower of before and after, neither the wanted nor that of pods.
func (s *space) neverDips(deployment, what string, act func(), after int32, settled func(context.Context) error) {
	s.t.Helper()
	before, pods, err := s.replicasOf(s.t.Context(), deployment)
	require.NoError(s.t, err)
	floor := min(before, after)
	ctx, stop := context.WithCancel(s.t.Context())
	var sampling sync.WaitGroup
	var samples int
	var dip error
	sampling.Go(func() {
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if wanted, there, err := s.replicasOf(ctx, deployment); err == nil {
				samples++
				if wanted < floor || there < min(pods, floor) {
					dip = fmt.Errorf("%s: %d replicas and %d pods, though it was %d and is to be %d", what, wanted, there, before, after)
				}
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	act()
	s.until(2*env.settling(), what, func(ctx context.Context) error {
		wanted, _, err := s.replicasOf(ctx, deployment)
		if err != nil {
			return err
		}
		if wanted != after {
			return fmt.Errorf("spec.replicas is %d, not %d", wanted, after)
		}
		return settled(ctx)
	})
	// What comes late would come with the next syncs.
	s.assertStable(env.syncs(2), fmt.Sprintf("%s: it stays at %d", what, after), func(ctx context.Context) error {
		wanted, _, err := s.replicasOf(ctx, deployment)
		if err == nil && wanted != after {
			err = fmt.Errorf("spec.replicas is %d", wanted)
		}
		return err
	})
	stop()
	sampling.Wait()
	require.NoError(s.t, dip)
	s.logf("%s: never below %d in %d samples", what, floor, samples)
}

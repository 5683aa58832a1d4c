//go:build e2e

package suite

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// A channel with minReplicas 0 has no workers while it is idle, nor at first. The first
// message wakes it; it goes back to 0 by way of 1, however many workers a burst brought.
func TestScaleToZero(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "zero")
	channel := newChannel("reports")
	channel.Spec.Replicas = nil // the API server's default, which a fleet that may sleep begins without
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList}
	channel.Spec.AutoScaling.MinReplicas = ptr.To[int32](0)
	channel.Spec.AutoScaling.MaxReplicas = 5
	channel.Spec.AutoScaling.TargetQueueDepth = 10
	cooldown := setCooldown(channel, 2)
	setWorker(channel, "WORK_TIME", "500ms")
	replicas := s.createAndSettle(channel)
	replicas.holds(0, 2, "with nothing to do")

	s.push("reports", 1)
	replicas.untilValues(env.reaction(), 0, 1)
	s.until(env.settling(), "the message is consumed", func(ctx context.Context) error { return s.consumed(ctx, "reports") })
	idle := time.Now()
	replicas.untilValues(cooldown+env.settling(), 0, 1, 0)
	// The test notices the end up to a sampling late, and KEDA counts from whole seconds.
	require.GreaterOrEqual(t, replicas.last().at.Sub(idle), cooldown-2*time.Second, "back to 0 although not idle for the cooldown")

	s.push("reports", 120)
	s.until(env.settling(), "the burst brings at least 3 workers", func(context.Context) error {
		if now := replicas.last().replicas; now < 3 {
			return fmt.Errorf("spec.replicas is %d", now)
		}
		return nil
	})
	s.until(2*env.settling(), "the burst is consumed", func(ctx context.Context) error { return s.consumed(ctx, "reports") })
	// Up to four steps down, each a cooldown apart, and KEDA's own cooldown for the last.
	s.until(6*cooldown+env.settling(), "spec.replicas is 0 again", func(context.Context) error {
		if now := replicas.last().replicas; now != 0 {
			return fmt.Errorf("spec.replicas is %d", now)
		}
		return nil
	})
	replicas.holds(0, 3, "drained")
	s.requireZeroOnlyFromOne(replicas)
	replicas.requireCooldown(cooldown)
}

// consumed is nil where the list is empty and no worker holds anything of it.
func (s *space) consumed(ctx context.Context, key string) error {
	const script = `local left = redis.call('LLEN', KEYS[1])
for _, held in ipairs(redis.call('KEYS', '{' .. KEYS[1] .. '}:processing:*')) do left = left + redis.call('LLEN', held) end
return left`
	return s.empty(ctx, "EVAL", script, "1", key)
}

// requireZeroOnlyFromOne requires that spec.replicas never jumped to 0.
func (s *space) requireZeroOnlyFromOne(r *recorder) {
	s.t.Helper()
	values := r.values()
	s.logf("spec.replicas went %v", values)
	require.GreaterOrEqual(s.t, slices.Max(values), int32(3))
	zeros := 0
	for i := 1; i < len(values); i++ {
		if values[i] == 0 {
			zeros++
			require.Equalf(s.t, int32(1), values[i-1], "from %d straight to 0: %v", values[i-1], values)
		}
	}
	require.Equal(s.t, 2, zeros, "%v", values)
}

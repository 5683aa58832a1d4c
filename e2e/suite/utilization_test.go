//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// A channel with the policy Utilization, and our subscriber with 2 slots: a worker that is busy in
// both gets a second one beside it, though no message waits and the depth is far below the band.
// Both stay while the work goes on, with an empty queue, where Threshold would take one away; once
// it is done, the second one goes.
func TestUtilizationGrowsBeforeAQueueForms(t *testing.T) {
	t.Parallel()
	s := newSpaceWithRedis(t, "busy")
	const slots = 2
	// So long that both are seen: the growth, and the hold after it.
	work := env.reaction() + env.syncs(5) + 10*time.Second
	channel := newChannel("orders")
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList}
	channel.Spec.Replicas = ptr.To[int32](1)
	channel.Spec.MessageTimeout = int32(work/time.Second) + 30
	setWorker(channel, "CONCURRENCY", fmt.Sprint(slots))
	setWorker(channel, "WORK_TIME", work.String())
	auto := channel.Spec.AutoScaling
	auto.MinReplicas, auto.MaxReplicas = ptr.To[int32](1), 4
	auto.Policy = pubsubv1.PolicyUtilization
	auto.Utilization = &pubsubv1.UtilizationSpec{Window: &metav1.Duration{Duration: 15 * time.Second}}
	cooldown := setCooldown(channel, 1)
	replicas := s.createAndSettle(channel)
	s.until(env.statusDelay(), "the status tells that Utilization decides", func(ctx context.Context) error {
		live, err := s.channel(ctx, "orders")
		if err != nil {
			return err
		}
		if live.Status.PolicyInUse != pubsubv1.PolicyUtilization || ptr.Deref(live.Status.WorkerConcurrency, 0) != slots {
			return fmt.Errorf("policyInUse is %q, workerConcurrency %v", live.Status.PolicyInUse, live.Status.WorkerConcurrency)
		}
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionUtilization, metav1.ConditionTrue, pubsubv1.ReasonInUse)
	})

	begun := time.Now()
	s.push("orders", slots)
	s.until(env.reaction(), "both messages are in work, and none waits", func(ctx context.Context) error { return s.empty(ctx, "LLEN", "orders") })
	replicas.untilValues(env.reaction(), 1, 2)
	require.Zero(t, s.redisNumber("LLEN", "orders"), "it grew before a queue formed")

	scaler := s.connectScaler("service/" + release + "-scaler")
	s.until(env.reaction(), "the scaler says that the workers are busy", func(context.Context) error {
		var now explanation
		scaler.mustCall(explain, s.byName(explain, "orders"), &now)
		if now.Reason != "REASON_WORKERS_BUSY" || now.QueueDepth >= now.LowerBound || now.Ready != 0 {
			return fmt.Errorf("it says %+v", now)
		}
		s.logf("%s", now.Explanation)
		return nil
	})
	replicas.holds(2, 3, "while the first worker is busy and the queue is empty")
	require.Less(t, time.Since(begun), work, "the test was too slow to see the workers busy")

	replicas.untilValues(work+cooldown+15*time.Second+env.reaction(), 1, 2, 1)
	replicas.requireCooldown(cooldown)
}

//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// A channel with the policy Utilization, and our subscriber with 2 slots: a worker that is busy in
// both gets a second one beside it, though no message waits and the depth is far below the band.
// Both stay while the work goes on, with an all but empty queue, where Threshold would take one away; once
// it is done, the second one goes.
func TestUtilizationGrowsBeforeAQueueForms(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "busy")
	// What the window is for messages of that length (policy.WindowFor), whatever the channel says.
	const slots, work, window = 2, 12 * time.Second, 2 * time.Minute
	channel := newChannel("orders")
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList}
	channel.Spec.Replicas = ptr.To[int32](1)
	channel.Spec.MessageTimeout = 60
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

	stop := s.keepBusy("orders", slots)
	replicas.untilValues(env.reaction(), 1, 2)

	scaler := s.connectScaler("service/" + release + "-scaler")
	s.until(window+env.reaction(), "the scaler says that the workers are busy", func(context.Context) error {
		var now explanation
		scaler.mustCall(explain, s.byName(explain, "orders"), &now)
		if now.Reason != "REASON_WORKERS_BUSY" || now.QueueDepth >= now.LowerBound {
			return fmt.Errorf("it says %+v", now)
		}
		s.logf("%s", now.Explanation)
		return nil
	})
	replicas.holds(2, 3, "while the first worker is busy and the queue is all but empty")

	stop()
	replicas.untilValues(work+cooldown+window+env.reaction(), 1, 2, 1)
	replicas.requireCooldown(cooldown)
}

// keepBusy has as many messages of a list waiting and in work, however long each takes, until it
// is stopped.
func (s *space) keepBusy(key string, messages int64) (stop func()) {
	client := s.redisClient()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; ; i++ {
			waiting, err := client.LLen(ctx, key).Result()
			taken, err2 := client.ZCard(ctx, queue.TakenKey(key)).Result()
			if err = errors.Join(err, err2); err == nil && waiting+taken < messages {
				err = client.LPush(ctx, key, fmt.Sprint("message ", i)).Err()
			}
			if ctx.Err() != nil {
				err = nil
			}
			if err != nil || ctx.Err() != nil {
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
	return func() {
		s.t.Helper()
		cancel()
		require.NoError(s.t, <-ended)
	}
}

//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// failure is a way in which a queue can't be read.
type failure struct {
	happen func(*space)
	mend   func(*space)
	code   string
	tells  []string // what went wrong, and what to do
}

var failures = map[string]failure{
	"redis-down": {
		happen: func(s *space) { s.kubectl("scale", "deployment/dragonfly", "--replicas=0", "--timeout=60s") },
		mend: func(s *space) {
			s.kubectl("scale", "deployment/dragonfly", "--replicas=1")
			s.untilRedisAnswers()
		},
		code:  "Unavailable",
		tells: []string{"dragonfly", "check that the server runs", "redisAddress"},
	},
	"wrong-type": {
		happen: func(s *space) {
			s.redis("EVAL", "redis.call('DEL', KEYS[1]) return redis.call('SADD', KEYS[1], 'a')", "1", "orders")
		},
		mend:  func(*space) {}, // the next depth takes its place, in one step
		code:  "FailedPrecondition",
		tells: []string{"orders", "set", "list"},
	},
	"unknown-host": {
		happen: func(s *space) {
			s.edit("orders", func(channel *pubsubv1.PubSubChannel) { channel.Spec.RedisAddress = "no-such-server:6379" })
		},
		mend: func(s *space) {
			s.edit("orders", func(channel *pubsubv1.PubSubChannel) { channel.Spec.RedisAddress = "dragonfly:6379" })
		},
		code:  "NotFound",
		tells: []string{"no-such-server", "no such host", "correct redisAddress"},
	},
}

// A queue that can't be read is told by a gRPC code of its own and words that say what to
// do. The workers stay as they are, the depth is unknown and not 0, and when the cause is
// gone everything goes on by itself.
func TestFailuresKeepReplicas(t *testing.T) {
	t.Parallel()
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			beside(t, usual)
			s := newSpaceWithRedis(t, name)
			channel := newChannel("orders")
			setCooldown(channel, 2)
			park(channel)
			s.setDepth("orders", 300)
			replicas := s.createAndSettle(channel)
			s.untilDepth("orders", 300)
			scaler := s.connectScaler("service/" + release + "-scaler")

			f.happen(s)
			s.until(env.statusDelay(), "the channel tells "+f.code+", and no depth", func(ctx context.Context) error {
				return s.unreadable(ctx, "orders", f)
			})
			for _, method := range []string{getMetrics, isActive, explain} {
				code, message := scaler.fails(method, s.byName(method, "orders"))
				require.Equal(t, f.code, code, "%s: %s", method, message)
				for _, words := range f.tells {
					require.Contains(t, message, words, method)
				}
			}
			replicas.holds(3, 4, "while the queue can't be read")
			require.NoError(t, s.unreadable(t.Context(), "orders", f))

			f.mend(s)
			s.setDepth("orders", 500)
			s.until(env.settling(), "the channel is connected again", func(ctx context.Context) error {
				return s.conditionIs(ctx, "orders", pubsubv1.ConditionConnected, metav1.ConditionTrue, pubsubv1.ReasonQueueRead)
			})
			s.untilDepth("orders", 500)
			s.until(env.settling(), "scaling goes on: 4 replicas", func(context.Context) error {
				if now := replicas.last().replicas; now != 4 {
					return fmt.Errorf("spec.replicas is %d", now)
				}
				return nil
			})
		})
	}
	t.Run("missing-metadata", missingMetadata)
}

// unreadable is nil where the channel's conditions tell the failure and its status no
// depth.
func (s *space) unreadable(ctx context.Context, name string, f failure) error {
	if err := s.conditionIs(ctx, name, pubsubv1.ConditionConnected, metav1.ConditionFalse, f.code); err != nil {
		return err
	}
	if err := s.conditionIs(ctx, name, pubsubv1.ConditionScaled, metav1.ConditionFalse, pubsubv1.ReasonDecisionUnknown); err != nil {
		return err
	}
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	if channel.Status.QueueDepth != nil {
		return fmt.Errorf("status.queueDepth is %d, although nobody knows it", *channel.Status.QueueDepth)
	}
	message := meta.FindStatusCondition(channel.Status.Conditions, pubsubv1.ConditionConnected).Message
	for _, words := range f.tells {
		require.Contains(s.t, message, words, "the Connected condition")
	}
	return nil
}

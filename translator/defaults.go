package translator

import (
	"cmp"

	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// The API server sets the defaults of the CRD, but not in what was stored before a field
// had one; so each is read through here. The values are those of api/v1.

func redisAddress(channel *v1.PubSubChannel) string {
	return cmp.Or(channel.Spec.RedisAddress, trigger.DefaultRedisAddress)
}

func image(channel *v1.PubSubChannel) string {
	return cmp.Or(channel.Spec.Image, "jawaracloud/subscriber:latest")
}

// messageTimeout is in seconds.
func messageTimeout(channel *v1.PubSubChannel) int32 {
	return cmp.Or(channel.Spec.MessageTimeout, 30)
}

// queueSpec has a type and a score.
func queueSpec(channel *v1.PubSubChannel) v1.QueueSpec {
	queue := ptr.Deref(channel.Spec.Queue, v1.QueueSpec{})
	queue.Type = cmp.Or(queue.Type, v1.QueueTypeAuto)
	queue.Score = cmp.Or(queue.Score, v1.ScoreAny)
	queue.InFlight = cmp.Or(queue.InFlight, v1.InFlightOfDatabase)
	queue.Scheduled = cmp.Or(queue.Scheduled, v1.ScheduledCount)
	return queue
}

// redisSpec has a mode.
func redisSpec(channel *v1.PubSubChannel) v1.RedisSpec {
	redis := ptr.Deref(channel.Spec.Redis, v1.RedisSpec{})
	redis.Mode = cmp.Or(redis.Mode, v1.RedisModeStandalone)
	return redis
}

func specReplicas(channel *v1.PubSubChannel) int32 {
	return ptr.Deref(channel.Spec.Replicas, 1)
}

func autoScalingEnabled(channel *v1.PubSubChannel) bool {
	return channel.Spec.AutoScaling != nil && channel.Spec.AutoScaling.Enabled
}

// firstReplicas is what a Deployment starts with where there is none.
//
// One that somebody deleted comes back with as many as were wanted last, which the status
// knows: its queue is still there. A new one starts with spec.replicas. Both keep to the
// limits of autoscaling, but for a number that is held. Where 0 is one of them, a new fleet
// sleeps until KEDA finds something to do, unless spec.replicas asks for more than its
// default: that can't be told from nothing.
func firstReplicas(channel *v1.PubSubChannel) int32 {
	replicas, known := specReplicas(channel), channel.Status.Selector != ""
	if known && (autoScalingEnabled(channel) || channel.Spec.Paused) {
		replicas = channel.Status.DesiredReplicas
	}
	if !autoScalingEnabled(channel) || known && pauseOf(channel).holds(inspectv1.Action_ACTION_HOLD) {
		return replicas
	}
	limits := policySpec(channel.Spec.AutoScaling)
	if !known && limits.MinReplicas == 0 && replicas == defaultReplicas {
		return 0
	}
	return min(max(replicas, limits.MinReplicas), limits.MaxReplicas)
}

// policySpec is the scaling policy that a channel asks for. A step that the CRD would not
// have let through counts as the default, which is safer than none.
func policySpec(auto *v1.AutoScalingSpec) policy.Spec {
	spec, _ := autoscaling.Policy(auto)
	return spec
}

package translator

import (
	"cmp"

	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
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

// queueSpec is never nil, and has a type.
func queueSpec(channel *v1.PubSubChannel) v1.QueueSpec {
	queue := ptr.Deref(channel.Spec.Queue, v1.QueueSpec{})
	queue.Type = cmp.Or(queue.Type, v1.QueueTypeAuto)
	return queue
}

func specReplicas(channel *v1.PubSubChannel) int32 {
	return ptr.Deref(channel.Spec.Replicas, 1)
}

func autoScalingEnabled(channel *v1.PubSubChannel) bool {
	return channel.Spec.AutoScaling != nil && channel.Spec.AutoScaling.Enabled
}

// firstReplicas is what a new Deployment starts with: with autoscaling on, within its
// limits.
func firstReplicas(channel *v1.PubSubChannel) int32 {
	replicas := specReplicas(channel)
	if !autoScalingEnabled(channel) {
		return replicas
	}
	limits := policySpec(channel.Spec.AutoScaling)
	return min(max(replicas, limits.MinReplicas), limits.MaxReplicas)
}

// policySpec is the scaling policy that a channel asks for, nil meaning the defaults.
func policySpec(auto *v1.AutoScalingSpec) policy.Spec {
	spec := policy.DefaultSpec()
	if auto == nil {
		return spec
	}
	spec.MinReplicas = ptr.Deref(auto.MinReplicas, spec.MinReplicas)
	spec.MaxReplicas = cmp.Or(auto.MaxReplicas, spec.MaxReplicas)
	spec.TargetQueueDepth = cmp.Or(int64(auto.TargetQueueDepth), spec.TargetQueueDepth)
	spec.ScaleUpThreshold = cmp.Or(auto.ScaleUpThreshold, spec.ScaleUpThreshold)
	spec.ScaleDownThreshold = cmp.Or(auto.ScaleDownThreshold, spec.ScaleDownThreshold)
	spec.ActivationQueueDepth = int64(auto.ActivationQueueDepth)
	if auto.CooldownPeriod != nil {
		spec.Cooldown = seconds(*auto.CooldownPeriod)
	}
	if auto.MaxScaleUpStep != nil {
		spec.MaxScaleUpStep = stepOf(*auto.MaxScaleUpStep)
	}
	if auto.MaxScaleDownStep != nil {
		spec.MaxScaleDownStep = stepOf(*auto.MaxScaleDownStep)
	}
	return spec
}

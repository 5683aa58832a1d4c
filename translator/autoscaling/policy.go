// Package autoscaling reads a channel's spec.autoScaling as the policy that the scaler
// follows. It is pure, and apart from the builders so that the kubectl plugin reads a
// manifest as the controller does.
package autoscaling

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Policy is the scaling policy that a channel asks for, with the CRD's defaults; nil means
// all of them. The error names each step that can't be read, in whose place the default
// stands. It is out of reach behind the CRD's pattern: for an object that the API server
// let through, the policy is good.
func Policy(auto *v1.AutoScalingSpec) (policy.Spec, error) {
	spec := policy.DefaultSpec()
	if auto == nil {
		return spec, nil
	}
	spec.MinReplicas = ptr.Deref(auto.MinReplicas, spec.MinReplicas)
	spec.MaxReplicas = cmp.Or(auto.MaxReplicas, spec.MaxReplicas)
	spec.TargetQueueDepth = cmp.Or(int64(auto.TargetQueueDepth), spec.TargetQueueDepth)
	spec.ScaleUpThreshold = cmp.Or(auto.ScaleUpThreshold, spec.ScaleUpThreshold)
	spec.ScaleDownThreshold = cmp.Or(auto.ScaleDownThreshold, spec.ScaleDownThreshold)
	spec.ActivationQueueDepth = int64(auto.ActivationQueueDepth)
	if auto.CooldownPeriod != nil {
		spec.Cooldown = time.Duration(*auto.CooldownPeriod) * time.Second
	}
	spec.WorkerConcurrency = auto.WorkerConcurrency
	spec.Policy = cmp.Or(policy.Name(auto.Policy), spec.Policy)
	if auto.Policy == v1.PolicyUtilization {
		spec.WorkerConcurrency = max(1, spec.WorkerConcurrency)
		spec.Utilization = utilization(auto.Utilization)
	}
	return spec, errors.Join(
		step("maxScaleUpStep", auto.MaxScaleUpStep, &spec.MaxScaleUpStep),
		step("maxScaleDownStep", auto.MaxScaleDownStep, &spec.MaxScaleDownStep),
	)
}

// OfChannel is Policy with the number of messages that a worker of the channel works on at once
// (WorkerConcurrency), if the policy needs it. The error names that, too, if it can't be read.
func OfChannel(channel *v1.PubSubChannelSpec) (policy.Spec, error) {
	spec, err := Policy(channel.AutoScaling)
	if spec.Policy != policy.ByUtilization {
		return spec, err
	}
	concurrency, unread := WorkerConcurrency(channel)
	spec.WorkerConcurrency = concurrency
	return spec, errors.Join(err, unread)
}

// utilization is how the policy Utilization is configured, with the CRD's defaults.
func utilization(given *v1.UtilizationSpec) policy.UtilizationSpec {
	spec := policy.DefaultUtilization()
	if given == nil {
		return spec
	}
	spec.Target = cmp.Or(given.Target, spec.Target)
	spec.ScaleUp = cmp.Or(given.ScaleUp, spec.ScaleUp)
	spec.ScaleDown = cmp.Or(given.ScaleDown, spec.ScaleDown)
	if given.Window != nil {
		spec.Window = given.Window.Duration
	}
	return spec
}

// step reads one step. A number beyond the greatest maxReplicas limits nothing, and the
// policy knows no greater one.
func step(field string, value *intstr.IntOrString, to *policy.Step) error {
	if value == nil {
		return nil
	}
	if value.Type == intstr.Int && value.IntVal > policy.MaxReplicasLimit {
		*to = policy.Step{Value: policy.MaxReplicasLimit}
		return nil
	}
	parsed, err := policy.ParseStep(value.String())
	if err != nil {
		return fmt.Errorf("spec.autoScaling.%s: %w", field, err)
	}
	*to = parsed
	return nil
}

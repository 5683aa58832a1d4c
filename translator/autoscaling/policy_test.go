package autoscaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

func TestPolicy(t *testing.T) {
	changed := func(change func(*policy.Spec)) policy.Spec {
		spec := policy.DefaultSpec()
		change(&spec)
		return spec
	}
	for name, test := range map[string]struct {
		auto *v1.AutoScalingSpec
		want policy.Spec
	}{
		"absent": {nil, policy.DefaultSpec()},
		"empty":  {&v1.AutoScalingSpec{}, policy.DefaultSpec()},
		"all": {
			&v1.AutoScalingSpec{
				MinReplicas: ptr.To[int32](0), MaxReplicas: 7, TargetQueueDepth: 5, ScaleUpThreshold: 200, ScaleDownThreshold: 10,
				CooldownPeriod: ptr.To[int32](0), ActivationQueueDepth: 3,
				MaxScaleUpStep: ptr.To(intstr.FromString("50%")), MaxScaleDownStep: ptr.To(intstr.FromInt32(2)),
			},
			policy.Spec{
				Policy: policy.ByThreshold, MinReplicas: 0, MaxReplicas: 7, TargetQueueDepth: 5, ScaleUpThreshold: 200, ScaleDownThreshold: 10,
				ActivationQueueDepth: 3, MaxScaleUpStep: policy.Step{Value: 50, Percent: true}, MaxScaleDownStep: policy.Step{Value: 2},
			},
		},
		"a cooldown": {&v1.AutoScalingSpec{CooldownPeriod: ptr.To[int32](90)}, changed(func(s *policy.Spec) { s.Cooldown = 90 * time.Second })},
		"a step beyond any limit": {
			&v1.AutoScalingSpec{MaxScaleUpStep: ptr.To(intstr.FromInt32(math.MaxInt32))},
			changed(func(s *policy.Spec) { s.MaxScaleUpStep = policy.Step{Value: policy.MaxReplicasLimit} }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := autoscaling.Policy(test.auto)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestAStepThatCannotBeReadIsNamed(t *testing.T) {
	got, err := autoscaling.Policy(&v1.AutoScalingSpec{
		MaxScaleUpStep: ptr.To(intstr.FromString("fast")), MaxScaleDownStep: ptr.To(intstr.FromInt32(0)),
	})
	require.ErrorContains(t, err, `spec.autoScaling.maxScaleUpStep: "fast" is neither a number`)
	require.ErrorContains(t, err, `spec.autoScaling.maxScaleDownStep: "0" is neither a number`)
	assert.Equal(t, policy.DefaultSpec(), got, "the defaults stand in their place")
}

package autoscaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		"Utilization": {
			&v1.AutoScalingSpec{Policy: v1.PolicyUtilization},
			changed(func(s *policy.Spec) {
				s.Policy, s.WorkerConcurrency, s.Utilization = policy.ByUtilization, 1, policy.DefaultUtilization()
			}),
		},
		"Utilization with everything": {
			&v1.AutoScalingSpec{Policy: v1.PolicyUtilization, WorkerConcurrency: 4, Utilization: &v1.UtilizationSpec{
				Target: 60, ScaleUp: 75, ScaleDown: 40, Window: &metav1.Duration{Duration: 10 * time.Minute},
			}},
			changed(func(s *policy.Spec) {
				s.Policy, s.WorkerConcurrency = policy.ByUtilization, 4
				s.Utilization = policy.UtilizationSpec{Target: 60, ScaleUp: 75, ScaleDown: 40, Window: 10 * time.Minute}
			}),
		},
		"Utilization in part": {
			&v1.AutoScalingSpec{Policy: v1.PolicyUtilization, Utilization: &v1.UtilizationSpec{Target: 75}},
			changed(func(s *policy.Spec) {
				s.Policy, s.WorkerConcurrency, s.Utilization = policy.ByUtilization, 1, policy.DefaultUtilization()
				s.Utilization.Target = 75
			}),
		},
		"Threshold says what workers do at once": {
			&v1.AutoScalingSpec{Policy: v1.PolicyThreshold, WorkerConcurrency: 4},
			changed(func(s *policy.Spec) { s.WorkerConcurrency = 4 }),
		},
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

func TestThePolicyOfAChannelKnowsItsWorkers(t *testing.T) {
	channel := v1.PubSubChannelSpec{AutoScaling: &v1.AutoScalingSpec{Policy: v1.PolicyUtilization}}
	channel.Env = []corev1.EnvVar{{Name: "CONCURRENCY", Value: "4"}}
	spec, err := autoscaling.OfChannel(&channel)
	require.NoError(t, err)
	assert.EqualValues(t, 4, spec.WorkerConcurrency)

	channel.Env[0].Value = "four"
	spec, err = autoscaling.OfChannel(&channel)
	require.ErrorContains(t, err, `CONCURRENCY, which is "four" in spec.env`)
	assert.EqualValues(t, 1, spec.WorkerConcurrency)

	channel.AutoScaling.Policy = v1.PolicyThreshold
	spec, err = autoscaling.OfChannel(&channel)
	require.NoError(t, err, "nothing is asked of what is not used")
	assert.Zero(t, spec.WorkerConcurrency)
}

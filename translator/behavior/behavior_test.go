package behavior_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// KEDA looks at a target that may go to zero once in PollingIdle, which the cooldown must
// cover; no cooldown at all is what was asked for.
func TestCooldownPeriod(t *testing.T) {
	for name, test := range map[string]struct {
		minReplicas    int32
		cooldown, want time.Duration
	}{
		"never to zero": {1, time.Minute, time.Minute},
		"to zero":       {0, time.Minute, 70 * time.Second},
		"at once":       {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			spec := policy.DefaultSpec()
			spec.MinReplicas, spec.Cooldown = test.minReplicas, test.cooldown
			assert.Equal(t, test.want, behavior.CooldownPeriod(spec))
		})
	}
}

func TestBehavior(t *testing.T) {
	pods := func(value, period int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: "Pods", Value: value, PeriodSeconds: period}
	}
	percent := func(value, period int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: "Percent", Value: value, PeriodSeconds: period}
	}
	for name, test := range map[string]struct {
		change   func(*policy.Spec)
		up, down []autoscalingv2.HPAScalingPolicy
	}{
		"defaults": {func(*policy.Spec) {}, []autoscalingv2.HPAScalingPolicy{pods(10, 15)}, []autoscalingv2.HPAScalingPolicy{percent(20, 59), pods(1, 59)}},
		"steps of pods": {func(s *policy.Spec) {
			s.MaxScaleUpStep, s.MaxScaleDownStep = policy.Step{Value: 4}, policy.Step{Value: 2}
		}, []autoscalingv2.HPAScalingPolicy{pods(4, 59)}, []autoscalingv2.HPAScalingPolicy{pods(2, 59)}},
		"percent up":         {func(s *policy.Spec) { s.MaxScaleUpStep = policy.Step{Value: 50, Percent: true} }, []autoscalingv2.HPAScalingPolicy{percent(50, 59), pods(1, 59)}, []autoscalingv2.HPAScalingPolicy{percent(20, 59), pods(1, 59)}},
		"no cooldown":        {func(s *policy.Spec) { s.Cooldown = 0 }, []autoscalingv2.HPAScalingPolicy{pods(10, 1)}, []autoscalingv2.HPAScalingPolicy{percent(20, 1), pods(1, 1)}},
		"no limit to a step": {func(s *policy.Spec) { s.MaxScaleDownStep = policy.Step{} }, []autoscalingv2.HPAScalingPolicy{pods(10, 15)}, []autoscalingv2.HPAScalingPolicy{pods(10, 15)}},
		"a short cooldown":   {func(s *policy.Spec) { s.Cooldown = 12 * time.Second }, []autoscalingv2.HPAScalingPolicy{pods(10, 11)}, []autoscalingv2.HPAScalingPolicy{percent(20, 11), pods(1, 11)}},
		"a day":              {func(s *policy.Spec) { s.Cooldown = 24 * time.Hour }, []autoscalingv2.HPAScalingPolicy{pods(10, 15)}, []autoscalingv2.HPAScalingPolicy{percent(20, 1800), pods(1, 1800)}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := policy.DefaultSpec()
			test.change(&spec)
			got := behavior.For(spec)
			assert.Equal(t, test.up, got.ScaleUp.Policies)
			assert.Equal(t, test.down, got.ScaleDown.Policies)
			for _, rules := range []*autoscalingv2.HPAScalingRules{got.ScaleUp, got.ScaleDown} {
				assert.EqualValues(t, 0, *rules.StabilizationWindowSeconds)
				assert.True(t, rules.Tolerance.IsZero())
				assert.Equal(t, autoscalingv2.MaxChangePolicySelect, *rules.SelectPolicy)
			}
		})
	}
}

// hpaUp and hpaDown are the HPA's own arithmetic (kubernetes 1.36,
// pkg/controller/podautoscaler/horizontal.go), with selectPolicy Max.
func hpaUp(policies []autoscalingv2.HPAScalingPolicy, n int32) int32 {
	most := int32(math.MinInt32)
	for _, p := range policies {
		proposed := n + p.Value
		if p.Type == autoscalingv2.PercentScalingPolicy {
			proposed = int32(math.Ceil(float64(n) * (1 + float64(p.Value)/100)))
		}
		most = max(most, proposed)
	}
	return most
}

func hpaDown(policies []autoscalingv2.HPAScalingPolicy, n int32) int32 {
	fewest := int32(math.MaxInt32)
	for _, p := range policies {
		proposed := n - p.Value
		if p.Type == autoscalingv2.PercentScalingPolicy {
			proposed = int32(float64(n) * (1 - float64(p.Value)/100))
		}
		fewest = min(fewest, proposed)
	}
	return fewest
}

// The scaler's own step is asked of the policy itself: a depth that asks for as much, or
// as little, as there is.
func TestHPAIsNeverTighterThanTheScaler(t *testing.T) {
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.MaxReplicas, spec.TargetQueueDepth = 1, policy.MaxReplicasLimit, 100
	steps := []policy.Step{{}, {Value: 1}, {Value: 7}, {Value: 1000}}
	for percent := int32(1); percent <= 100; percent++ {
		steps = append(steps, policy.Step{Value: percent, Percent: true})
	}
	steps = append(steps, policy.Step{Value: 250, Percent: true}, policy.Step{Value: 9999, Percent: true})
	for _, step := range steps {
		spec.MaxScaleUpStep, spec.MaxScaleDownStep = step, step
		rules := behavior.For(spec)
		for n := int32(1); n <= 1000; n++ {
			up := policy.Decide(spec, policy.State{Replicas: n, Depth: math.MaxInt64}).Desired
			require.GreaterOrEqual(t, hpaUp(rules.ScaleUp.Policies, n), up, "up by %s from %d", step, n)
			down := policy.Decide(spec, policy.State{Replicas: n, Depth: 0}).Desired
			require.LessOrEqual(t, hpaDown(rules.ScaleDown.Policies, n), down, "down by %s from %d", step, n)
		}
	}
}

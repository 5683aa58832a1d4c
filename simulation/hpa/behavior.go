package hpa

import (
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"
)

// defaultUp and defaultDown are the rules that the API server fills in where
// spec.behavior is set (k8s.io/kubernetes v1.36.3, pkg/apis/autoscaling/v2/defaults.go).
func defaultUp() *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: ptr.To[int32](0),
		SelectPolicy:               ptr.To(autoscalingv2.MaxChangePolicySelect),
		Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		},
	}
}

func defaultDown() *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		SelectPolicy: ptr.To(autoscalingv2.MaxChangePolicySelect),
		Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		},
	}
}

func withDefaults(rules, defaults *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	if rules == nil {
		return defaults
	}
	result := rules.DeepCopy()
	if result.SelectPolicy == nil {
		result.SelectPolicy = defaults.SelectPolicy
	}
	if result.StabilizationWindowSeconds == nil {
		result.StabilizationWindowSeconds = defaults.StabilizationWindowSeconds
	}
	if result.Policies == nil {
		result.Policies = defaults.Policies
	}
	return result
}

func tolerance(rules *autoscalingv2.HPAScalingRules, otherwise float64) float64 {
	if rules.Tolerance == nil {
		return otherwise
	}
	return rules.Tolerance.AsApproximateFloat64()
}

// mostUp is how far up the policies let the HPA go now, never less than replicas.
func (a *Autoscaler) mostUp(now time.Time, replicas int32) int32 {
	return max(replicas, a.choose(now, replicas, a.up, func(start int32, policy autoscalingv2.HPAScalingPolicy) int32 {
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			return int32(math.Ceil(float64(start) * (1 + float64(policy.Value)/100)))
		}
		return start + policy.Value
	}))
}

// fewestDown is how far down the policies let the HPA go now, never more than replicas.
func (a *Autoscaler) fewestDown(now time.Time, replicas int32) int32 {
	return min(replicas, a.choose(now, replicas, a.down, func(start int32, policy autoscalingv2.HPAScalingPolicy) int32 {
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			return int32(float64(start) * (1 - float64(policy.Value)/100))
		}
		return start - policy.Value
	}))
}

// choose is the bound of the policy that selectPolicy names, each counted from the
// replicas at the start of its period: less what the HPA added since, plus what it took.
// Min is the bound nearest to the replicas, and Max, the default, the farthest.
func (a *Autoscaler) choose(now time.Time, replicas int32, rules *autoscalingv2.HPAScalingRules, bound func(start int32, policy autoscalingv2.HPAScalingPolicy) int32) int32 {
	if *rules.SelectPolicy == autoscalingv2.DisabledPolicySelect {
		return replicas
	}
	lowest := (rules == a.down) != (*rules.SelectPolicy == autoscalingv2.MinChangePolicySelect)
	var chosen int32
	for i, policy := range rules.Policies {
		start := replicas - a.ups.since(now, policy.PeriodSeconds) + a.downs.since(now, policy.PeriodSeconds)
		at := bound(start, policy)
		if i == 0 || (at < chosen) == lowest {
			chosen = at
		}
	}
	return chosen
}

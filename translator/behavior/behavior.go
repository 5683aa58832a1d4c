// Package behavior is how the HPA and KEDA may follow the scaler's answers: the ScaledObject's
// spec.advanced.horizontalPodAutoscalerConfig.behavior, pollingInterval and cooldownPeriod,
// made from the policy. It is pure, and apart from the builders so that the HPA's own code and
// the simulation's models are run with it.
package behavior

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

const (
	// hpaSync is how often the HPA decides, in seconds (kube-controller-manager
	// --horizontal-pod-autoscaler-sync-period).
	hpaSync = 15
	// maxPolicyPeriod is the greatest periodSeconds that the API takes
	// (k8s.io/kubernetes pkg/apis/autoscaling/validation, MaxPeriodSeconds).
	maxPolicyPeriod = 1800
)

// For returns the behavior of a policy. The scaler keeps to the
// steps and the cooldown exactly; these rules say the same once more, never tighter,
// because a server that drops the tolerance makes the scaler answer somewhat beyond.
// Everything is explicit: unset, scaling down would wait for 300 s on top of the cooldown.
func For(spec policy.Spec) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{
		ScaleUp:   buildRules(stepPolicies(spec.MaxScaleUpStep, spec)),
		ScaleDown: buildRules(stepPolicies(spec.MaxScaleDownStep, spec)),
	}
}

func buildRules(policies []autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: ptr.To[int32](0),
		SelectPolicy:               ptr.To(autoscalingv2.MaxChangePolicySelect),
		Policies:                   policies,
		// The band is the tolerance. Servers before 1.35 drop the field from the HPA.
		Tolerance: resource.NewQuantity(0, resource.DecimalSI),
	}
}

// stepPolicies allow what a step allows. The HPA rounds a percentage up, in either
// direction (k8s.io/kubernetes pkg/controller/podautoscaler/horizontal.go,
// calculateScaleUpLimitWithScalingRules and calculateScaleDownLimitWithBehaviors), the
// scaler down but to 1 at least; with Max of both the HPA is never the tighter one.
// Without a step all the replicas may come or go at once. No period is longer than the
// cooldown: the HPA would still count a scaling of its own that the scaler counts no more,
// and that somebody else may have undone since.
func stepPolicies(step policy.Step, spec policy.Spec) []autoscalingv2.HPAScalingPolicy {
	period := policyPeriod(spec.Cooldown)
	if step == (policy.Step{}) {
		return []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: spec.MaxReplicas, PeriodSeconds: min(period, hpaSync)}}
	}
	pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: step.Value, PeriodSeconds: period}
	if !step.Percent {
		return []autoscalingv2.HPAScalingPolicy{pods}
	}
	percent := pods
	percent.Type = autoscalingv2.PercentScalingPolicy
	pods.Value = 1
	return []autoscalingv2.HPAScalingPolicy{percent, pods}
}

// policyPeriod is the cooldown less one second, in the API's limits. The scaler counts
// from the HPA's lastScaleTime, which has whole seconds, and the HPA from its own exact
// memory: with equal periods a step that the scaler allows would wait for one sync more.
func policyPeriod(cooldown time.Duration) int32 {
	return int32(min(max(int64(cooldown/time.Second)-1, 1), maxPolicyPeriod))
}

package build

import (
	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// disruptionShare is how many of a channel's workers a drain may take away at once; rounded
// up (Kubernetes 1.36, pkg/controller/disruption), so that it is never none.
const disruptionShare = "25%"

// DisruptionBudget keeps most workers up while nodes are drained.
func DisruptionBudget(p *plan.Plan) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(plan.DeploymentName(p.Channel), p.Channel.Namespace).
		WithLabels(plan.SelectorLabels(p.Channel)).
		WithLabels(plan.RecommendedLabels(p.Channel)).
		WithOwnerReferences(ownerReference(p.Channel)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromString(disruptionShare)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(plan.SelectorLabels(p.Channel))).
			// A worker that is not ready anyway must not hold up a drain.
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

// WantsDisruptionBudget reports whether a channel is to have a budget of the operator's.
func WantsDisruptionBudget(p *plan.Plan, deployment *appsv1.Deployment) bool {
	asked := p.Channel.Spec.PodDisruptionBudget == nil || ptr.Deref(p.Channel.Spec.PodDisruptionBudget.Enabled, true)
	return asked && mayBeMany(p, deployment)
}

// mayBeMany reports whether there can be more than one worker. A budget for a single one
// would be of no use.
func mayBeMany(p *plan.Plan, deployment *appsv1.Deployment) bool {
	if p.AutoScaled {
		return p.Trigger.Policy.MaxReplicas > 1
	}
	held := p.Channel.Spec.Paused && deployment != nil && ptr.Deref(deployment.Spec.Replicas, 1) > 1
	return held || p.Replicas > 1
}

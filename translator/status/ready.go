package status

import (
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// readyCondition tells whether the wanted workers are up and what scales them is in place;
// if not, the first thing that is in the way.
func readyCondition(p *plan.Plan, seen Observed) metav1.Condition {
	not := func(reason, message string) metav1.Condition {
		return condition(v1.ConditionReady, metav1.ConditionFalse, reason, message)
	}
	deployment := seen.Deployment
	switch {
	case seen.Problem != nil:
		return not(seen.Problem.Reason, seen.Problem.Message)
	case deployment == nil:
		return not(v1.ReasonProgressing, fmt.Sprintf("Deployment %s is being created", plan.DeploymentName(p.Channel)))
	case deployment.DeletionTimestamp != nil:
		return not(v1.ReasonProgressing, fmt.Sprintf("Deployment %s is being deleted, and is recreated once it is gone", deployment.Name))
	}
	if reason, message := workersState(p, seen); reason != "" {
		return not(reason, message)
	}
	if reason, message := scaledObjectState(p, seen.ScaledObject); reason != "" {
		return not(reason, message)
	}
	if !WorkersUp(deployment) {
		return not(v1.ReasonProgressing, progress(p, seen))
	}
	message := rollout(deployment)
	if seen.Budget != "" {
		message += "; " + seen.Budget
	}
	return condition(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, message)
}

// deploymentFailure is why a Deployment gets no further; empty where it does.
func deploymentFailure(deployment *appsv1.Deployment) string {
	for _, c := range deployment.Status.Conditions {
		if Failing(c) {
			return fmt.Sprintf("Deployment %s: %s: %s", deployment.Name, c.Reason, c.Message)
		}
	}
	return ""
}

// Failing reports whether the condition says that the Deployment gets no further.
func Failing(c appsv1.DeploymentCondition) bool {
	stuck := c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
	failed := c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue
	return stuck || failed
}

// scaledObjectState is what a ScaledObject lacks to be as the channel wants it; the
// reason is empty where it lacks nothing.
func scaledObjectState(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) (reason, message string) {
	switch {
	case !p.AutoScaled && scaledObject != nil:
		return v1.ReasonProgressing, "autoScaling is off, and KEDA has not released the ScaledObject yet" + keda.KeptBy("ScaledObject", scaledObject)
	case !p.AutoScaled:
		return "", ""
	case scaledObject == nil:
		return v1.ReasonProgressing, fmt.Sprintf("ScaledObject %s is being created", p.Channel.Name)
	case scaledObject.DeletionTimestamp != nil:
		return v1.ReasonProgressing, fmt.Sprintf("ScaledObject %s is being deleted, and is recreated once it is gone%s", p.Channel.Name, keda.KeptBy("ScaledObject", scaledObject))
	}
	ready := scaledObject.Status.Conditions.GetReadyCondition()
	switch {
	case ready.IsTrue():
		return "", ""
	case ready.IsFalse():
		return v1.ReasonKEDANotReady, fmt.Sprintf("KEDA reports ScaledObject %s as not ready: %s", p.Channel.Name, ready.Message)
	default:
		return v1.ReasonProgressing, fmt.Sprintf("KEDA has not reconciled ScaledObject %s yet", p.Channel.Name)
	}
}

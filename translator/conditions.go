package translator

import (
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// connectedCondition tells whether the queue could be read, and if not, who could not
// reach whom.
func connectedCondition(p *Plan, a *answer) metav1.Condition {
	if a.err == nil {
		message := fmt.Sprintf("%s on %s is read", p.Channel.Spec.ChannelName, p.Trigger.Redis.Address)
		if a.response.GetDepthIsLowerBound() {
			message += "; the server could not tell its depth exactly: queueDepth is a lower bound"
		}
		return condition(v1.ConditionConnected, metav1.ConditionTrue, v1.ReasonQueueRead, message)
	}
	unreached, code, message := unreachable(a.err)
	if unreached {
		return condition(v1.ConditionConnected, metav1.ConditionUnknown, v1.ReasonScalerUnreachable,
			fmt.Sprintf("the scaler does not answer (%s): %s", code, message))
	}
	return condition(v1.ConditionConnected, metav1.ConditionFalse, code.String(), message)
}

// readyCondition tells whether the wanted workers are up and what scales them is in place;
// if not, the first thing that is in the way.
func readyCondition(p *Plan, seen observed) metav1.Condition {
	not := func(reason, message string) metav1.Condition {
		return condition(v1.ConditionReady, metav1.ConditionFalse, reason, message)
	}
	deployment := seen.deployment
	switch {
	case seen.problem != nil:
		return not(seen.problem.reason, seen.problem.message)
	case deployment == nil:
		return not(v1.ReasonProgressing, fmt.Sprintf("Deployment %s is being created", deploymentName(p.Channel)))
	case deployment.DeletionTimestamp != nil:
		return not(v1.ReasonProgressing, fmt.Sprintf("Deployment %s is being deleted, and is made anew once it is gone", deployment.Name))
	}
	if reason, message := workersState(p, seen); reason != "" {
		return not(reason, message)
	}
	if reason, message := scaledObjectState(p, seen.scaledObject); reason != "" {
		return not(reason, message)
	}
	if !workersUp(deployment) {
		return not(v1.ReasonProgressing, progress(p, seen))
	}
	words := rollout(deployment)
	if seen.budget != "" {
		words += "; " + seen.budget
	}
	return condition(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, words)
}

// deploymentFailure is why a Deployment gets no further; empty where it does.
func deploymentFailure(deployment *appsv1.Deployment) string {
	for _, c := range deployment.Status.Conditions {
		if failing(c) {
			return fmt.Sprintf("Deployment %s: %s: %s", deployment.Name, c.Reason, c.Message)
		}
	}
	return ""
}

// failing reports whether the condition says that the Deployment gets no further.
func failing(c appsv1.DeploymentCondition) bool {
	stuck := c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
	failed := c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue
	return stuck || failed
}

// scaledObjectState is what a ScaledObject lacks to be as the channel wants it; the
// reason is empty where it lacks nothing.
func scaledObjectState(p *Plan, scaledObject *kedav1alpha1.ScaledObject) (reason, message string) {
	switch {
	case !p.AutoScaled && scaledObject != nil:
		return v1.ReasonProgressing, "autoScaling is off, and KEDA still has to let the ScaledObject go" + keptWords("ScaledObject", scaledObject)
	case !p.AutoScaled:
		return "", ""
	case scaledObject == nil:
		return v1.ReasonProgressing, fmt.Sprintf("ScaledObject %s is being created", p.Channel.Name)
	case scaledObject.DeletionTimestamp != nil:
		return v1.ReasonProgressing, fmt.Sprintf("ScaledObject %s is being deleted, and is made anew once it is gone%s", p.Channel.Name, keptWords("ScaledObject", scaledObject))
	}
	ready := scaledObject.Status.Conditions.GetReadyCondition()
	switch {
	case ready.IsTrue():
		return "", ""
	case ready.IsFalse():
		return v1.ReasonKEDANotReady, fmt.Sprintf("KEDA reports ScaledObject %s as not ready: %s", p.Channel.Name, ready.Message)
	default:
		return v1.ReasonProgressing, fmt.Sprintf("KEDA has not taken up ScaledObject %s yet", p.Channel.Name)
	}
}

package status

import (
	"fmt"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// WorkersUp reports whether all wanted workers are there, ready, and of the template as it is.
// While there are others, they may be the ones that are ready.
func WorkersUp(deployment *appsv1.Deployment) bool {
	status, wanted := deployment.Status, ptr.Deref(deployment.Spec.Replicas, 1)
	return status.ObservedGeneration >= deployment.Generation && updated(deployment) && status.ReadyReplicas >= wanted
}

// Updated reports whether as many workers as are wanted, and no others, are of the template
// as it is.
func updated(deployment *appsv1.Deployment) bool {
	status := deployment.Status
	return status.UpdatedReplicas >= ptr.Deref(deployment.Spec.Replicas, 1) && status.Replicas <= status.UpdatedReplicas
}

// LastReady is what the status says of readiness; empty where it says nothing.
func LastReady(channel *v1.PubSubChannel) metav1.Condition {
	return ptr.Deref(meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady), metav1.Condition{})
}

// workersState is what keeps the workers from being up, where somebody has to see to it; the
// reason is empty where nothing does.
func workersState(p *plan.Plan, seen Observed) (reason, message string) {
	deployment, last, trouble := seen.Deployment, LastReady(p.Channel), seen.Workers.Trouble
	severe := trouble != nil && trouble.Severity > diagnosis.TakesItsTime
	if failure := replicaFailure(deployment); failure != "" {
		if severe {
			failure += "\n" + trouble.Message(deployment, last)
		}
		return v1.ReasonDeploymentFailed, failure
	}
	switch {
	case severe:
		return trouble.Severity.Reason(), trouble.Message(deployment, last)
	case seen.Workers.Kept:
		return last.Reason, last.Message
	case pausedRollout(deployment):
		return v1.ReasonRolloutPaused, fmt.Sprintf("%s; the Deployment's rollout is paused (spec.paused of Deployment %s, which is not this operator's doing): "+
			"kubectl rollout resume deployment/%[2]s", rollout(deployment), deployment.Name)
	}
	if failure := deploymentFailure(deployment); failure != "" {
		if trouble != nil {
			failure += "\n" + trouble.Message(deployment, last)
		}
		return v1.ReasonDeploymentFailed, failure
	}
	return "", ""
}

// pausedRollout reports whether workers would be updated, or made, if the Deployment were not
// paused. It scales while it is.
func pausedRollout(deployment *appsv1.Deployment) bool {
	return deployment.Spec.Paused && deployment.Status.ObservedGeneration >= deployment.Generation && !updated(deployment)
}

// rollout is how far the workers are, and what they lack.
func rollout(deployment *appsv1.Deployment) string {
	status, wanted := deployment.Status, ptr.Deref(deployment.Spec.Replicas, 1)
	message := fmt.Sprintf("%d of %d workers are ready", min(status.ReadyReplicas, wanted), wanted)
	switch old := status.Replicas - status.UpdatedReplicas; {
	case WorkersUp(deployment):
	case status.ObservedGeneration < deployment.Generation:
		message += ", and Kubernetes has not observed the Deployment's last change yet"
	case old > 0 && old <= status.ReadyReplicas && status.UpdatedReplicas < wanted:
		message += fmt.Sprintf(", %d of them not updated yet", min(old, wanted))
	case old > 0 && status.UpdatedReplicas < wanted:
		message += fmt.Sprintf(", %d not updated yet", min(old, wanted))
	case old > 0:
		message += fmt.Sprintf(", %d of the previous template not replaced yet", old)
	case status.UpdatedReplicas < wanted:
		message += fmt.Sprintf(", %d still to be created", wanted-status.UpdatedReplicas)
	}
	return message
}

// progress is what rollout says, and what the pods' trouble is that may pass by itself.
func progress(p *plan.Plan, seen Observed) string {
	message := rollout(seen.Deployment)
	switch {
	case WorkersUp(seen.Deployment):
	case seen.Workers.Unread != nil:
		message += fmt.Sprintf("; why the others are not can't be told, because the pods can't be read: %v", seen.Workers.Unread)
	case seen.Workers.Trouble != nil:
		message += "; " + seen.Workers.Trouble.Message(seen.Deployment, LastReady(p.Channel))
	}
	return message
}

// workersFail reports whether the channel can't work until somebody changes something.
func workersFail(channel *v1.PubSubChannel, seen Observed) bool {
	w := seen.Workers
	switch {
	case w.Kept:
		return channel.Status.Phase == v1.PhaseFailed
	case w.Trouble == nil || w.Trouble.Severity == diagnosis.TakesItsTime:
		return false
	}
	return w.Trouble.Failed || deploymentFailure(seen.Deployment) != ""
}

// replicaFailure is why the Deployment's pods are not made; empty where they are.
func replicaFailure(deployment *appsv1.Deployment) string {
	for _, c := range deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && Failing(c) {
			return withoutPodNames(deployment, fmt.Sprintf("Deployment %s: %s: %s", deployment.Name, c.Reason, c.Message))
		}
	}
	return ""
}

// withoutPodNames leaves out of a ReplicaSet's message what it makes up anew for each attempt
// at a pod (k8s.io/apiserver, pkg/storage/names: five letters and digits).
func withoutPodNames(deployment *appsv1.Deployment, message string) string {
	return regexp.MustCompile(`\b(`+regexp.QuoteMeta(deployment.Name)+`-[0-9a-z]+-)[0-9a-z]{5}\b`).ReplaceAllString(message, "$1…")
}

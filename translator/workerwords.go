package translator

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// workersSeen is what was seen of the pods of a channel whose workers are not all up.
type workersSeen struct {
	trouble *trouble      // nil: none was found
	kept    bool          // the pods have not been looked at yet: what Ready tells of them stays
	unread  error         // why they could not be looked at
	again   time.Duration // when to look again; 0: when something changes
}

// workersUp reports whether all wanted workers are there, ready, and of the template as it is.
// While there are others, they may be the ones that are ready.
func workersUp(deployment *appsv1.Deployment) bool {
	status, wanted := deployment.Status, ptr.Deref(deployment.Spec.Replicas, 1)
	return status.ObservedGeneration >= deployment.Generation && updated(deployment) && status.ReadyReplicas >= wanted
}

// updated reports whether as many workers as are wanted, and no others, are of the template
// as it is.
func updated(deployment *appsv1.Deployment) bool {
	status := deployment.Status
	return status.UpdatedReplicas >= ptr.Deref(deployment.Spec.Replicas, 1) && status.Replicas <= status.UpdatedReplicas
}

// ofPods reports whether a reason of Ready comes from a look at the pods.
func ofPods(reason string) bool {
	switch reason {
	case v1.ReasonWorkersFailing, v1.ReasonWorkersNotStarting, v1.ReasonWorkersUnschedulable:
		return true
	}
	return false
}

// lastReady is what the status says of readiness; empty where it says nothing.
func lastReady(channel *v1.PubSubChannel) metav1.Condition {
	return ptr.Deref(meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady), metav1.Condition{})
}

// workersState is what keeps the workers from being up, where somebody has to see to it; the
// reason is empty where nothing does.
func workersState(p *Plan, seen observed) (reason, message string) {
	deployment, last, trouble := seen.deployment, lastReady(p.Channel), seen.workers.trouble
	severe := trouble != nil && trouble.severity > takesItsTime
	if failure := replicaFailure(deployment); failure != "" {
		if severe {
			failure += "\n" + trouble.message(deployment, last)
		}
		return v1.ReasonDeploymentFailed, failure
	}
	switch {
	case severe:
		return trouble.severity.reason(), trouble.message(deployment, last)
	case seen.workers.kept:
		return last.Reason, last.Message
	case pausedRollout(deployment):
		return v1.ReasonRolloutPaused, fmt.Sprintf("%s; the Deployment's rollout is paused (spec.paused of Deployment %s, which is not this operator's doing): "+
			"kubectl rollout resume deployment/%[2]s", rollout(deployment), deployment.Name)
	}
	if failure := deploymentFailure(deployment); failure != "" {
		if trouble != nil {
			failure += "\n" + trouble.message(deployment, last)
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
	words := fmt.Sprintf("%d of %d workers are ready", min(status.ReadyReplicas, wanted), wanted)
	switch old := status.Replicas - status.UpdatedReplicas; {
	case workersUp(deployment):
	case status.ObservedGeneration < deployment.Generation:
		words += ", and Kubernetes has still to look at the Deployment's last change"
	case old > 0 && old <= status.ReadyReplicas && status.UpdatedReplicas < wanted:
		words += fmt.Sprintf(", %d of them not updated yet", min(old, wanted))
	case old > 0 && status.UpdatedReplicas < wanted:
		words += fmt.Sprintf(", %d not updated yet", min(old, wanted))
	case old > 0:
		words += fmt.Sprintf(", %d of the template before not replaced yet", old)
	case status.UpdatedReplicas < wanted:
		words += fmt.Sprintf(", %d still to be made", wanted-status.UpdatedReplicas)
	}
	return words
}

// progress is what rollout says, and what the pods' trouble is that may pass by itself.
func progress(p *Plan, seen observed) string {
	words := rollout(seen.deployment)
	switch {
	case workersUp(seen.deployment):
	case seen.workers.unread != nil:
		words += fmt.Sprintf("; why the others are not can't be told, because the pods can't be read: %v", seen.workers.unread)
	case seen.workers.trouble != nil:
		words += "; " + seen.workers.trouble.message(seen.deployment, lastReady(p.Channel))
	}
	return words
}

// head is the cause and how many have it.
func (t *trouble) head(deployment *appsv1.Deployment) string {
	wanted := ptr.Deref(deployment.Spec.Replicas, 1)
	return fmt.Sprintf("%d of %d workers: %s", min(t.workers, wanted), wanted, t.cause)
}

// message is the head and the details; those that are told already stay, where the new ones
// only count on, or say less.
func (t *trouble) message(deployment *appsv1.Deployment, last metav1.Condition) string {
	head := t.head(deployment)
	message := head
	if t.details != "" {
		message += ": " + t.details
	}
	if strings.HasPrefix(last.Message, head) && (t.vague || withoutDigits(last.Message) == withoutDigits(message)) {
		return last.Message
	}
	return message
}

// fails reports whether the channel can't work until somebody changes something.
func (w workersSeen) fails(channel *v1.PubSubChannel, deployment *appsv1.Deployment) bool {
	switch {
	case w.kept:
		return channel.Status.Phase == v1.PhaseFailed
	case w.trouble == nil || w.trouble.severity == takesItsTime:
		return false
	}
	return w.trouble.failed || deploymentFailure(deployment) != ""
}

// replicaFailure is why the Deployment's pods are not made; empty where they are.
func replicaFailure(deployment *appsv1.Deployment) string {
	for _, c := range deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && failing(c) {
			return withoutPodNames(deployment, fmt.Sprintf("Deployment %s: %s: %s", deployment.Name, c.Reason, c.Message))
		}
	}
	return ""
}

// withoutPodNames leaves out of a ReplicaSet's words what it makes up anew for each attempt
// at a pod (k8s.io/apiserver, pkg/storage/names: five letters and digits).
func withoutPodNames(deployment *appsv1.Deployment, message string) string {
	return regexp.MustCompile(`\b(`+regexp.QuoteMeta(deployment.Name)+`-[0-9a-z]+-)[0-9a-z]{5}\b`).ReplaceAllString(message, "$1…")
}

// workersEvent warns of what keeps workers from being up; nil where the status tells of the
// same cause already.
func workersEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, seen observed, instance string, now time.Time) *eventsv1.Event {
	before, after := lastReady(channel), ptr.Deref(meta.FindStatusCondition(next.Conditions, v1.ConditionReady), metav1.Condition{})
	told := withoutDigits(before.Message) == withoutDigits(after.Message)
	switch {
	case seen.workers.kept || seen.unsettled:
		return nil
	case ofPods(after.Reason) && seen.workers.trouble != nil:
		told = tellsOf(before.Message, seen.workers.trouble.cause)
	case after.Reason == v1.ReasonRolloutPaused:
		told = true // whatever the numbers
	case after.Reason != v1.ReasonDeploymentFailed:
		return nil
	}
	if told && before.Reason == after.Reason {
		return nil
	}
	return warning(channel, after.Reason, "RollOut", after.Message, instance, now)
}

// recordWorkers writes the event of what the status tells of the workers.
func (r *Reconciler) recordWorkers(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus, seen observed) {
	if event := workersEvent(channel, next, seen, r.instance, r.now()); event != nil {
		r.record(ctx, event)
	}
}

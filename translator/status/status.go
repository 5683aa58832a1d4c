// Package status makes of a plan, and of what was observed, the channel's conditions and phase,
// the events that tell of a change, and when to look again. It is pure.
package status

import (
	"strings"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Observed is what a reconcile saw of a channel.
type Observed struct {
	At           time.Time                  // when; what is told, and when to look again, go by this one
	Deployment   *appsv1.Deployment         // nil: not there yet, or not the channel's
	ScaledObject *kedav1alpha1.ScaledObject // nil: none, or not read yet
	Answer       *inquiry.Answer            // nil: none yet about this queue
	Problem      *plan.Problem              // nil: nothing stands in the way
	Budget       string                     // why the channel has no PodDisruptionBudget of its own; empty: nothing to tell
	Aside        bool                       // the problem concerns neither the workers nor their number
	Unsettled    bool                       // something failed that is tried again at once
	Workers      diagnosis.Seen             // of the pods, where they are not all up
}

// Scaling is one change of the number of workers.
type Scaling struct {
	From, To int32
	depth    *int64 // the queue's depth in messages; nil while unknown
}

// Next is the channel's status after what was seen, and the scaling that it records,
// if any. What is not known yet stays as it was.
func Next(p *plan.Plan, seen Observed, now time.Time) (v1.PubSubChannelStatus, *Scaling) {
	next := *p.Channel.Status.DeepCopy()
	next.ObservedGeneration = p.Channel.Generation
	if p.Channel.DeletionTimestamp != nil {
		next.Phase = v1.PhaseDeleting
		setCondition(&next, p.Channel, deletingCondition(p, seen), now)
		return next, nil
	}
	change := countWorkers(&next, p, seen, now)
	if seen.Answer != nil {
		next.QueueDepth = seen.Answer.Depth()
		next.MessageRate = messageRate(seen.Answer)
		setDecision(&next, p, seen.Answer)
		setCondition(&next, p.Channel, connectedCondition(p, seen.Answer), now)
	}
	setScaled(&next, p, seen, now)
	setPolicy(&next, p, seen, now)
	setCondition(&next, p.Channel, pausedCondition(p, seen.ScaledObject), now)
	if last := meta.FindStatusCondition(next.Conditions, v1.ConditionReady); seen.Unsettled {
		// Whether the children are as they should be is not known; what was told of them is
		// of the generation that it was told of.
		next.ObservedGeneration = p.Channel.Status.ObservedGeneration
		next.Phase = nextPhase(p, seen, ptr.Deref(last, metav1.Condition{}).Reason)
		return next, change
	}
	ready := withKEDAAway(p, seen, readyCondition(p, seen), now)
	setCondition(&next, p.Channel, ready, now)
	next.Phase = nextPhase(p, seen, ready.Reason)
	setProgress(&next, p.Channel, ready, now)
	return next, change
}

// countWorkers takes the numbers from the Deployment. A changed number of wanted workers
// is recorded only once the scaler has answered for it, so that the event can tell the
// depth that caused it; that takes seconds at most.
func countWorkers(next *v1.PubSubChannelStatus, p *plan.Plan, seen Observed, now time.Time) *Scaling {
	deployment := seen.Deployment
	if deployment == nil {
		return nil
	}
	next.Replicas = deployment.Status.Replicas
	next.ReadyReplicas = deployment.Status.ReadyReplicas
	next.WorkerImage = workerImage(deployment)
	wanted := ptr.Deref(deployment.Spec.Replicas, 1)
	// The selector is set with the first look at a Deployment: before that there is no
	// number that could have changed.
	first := next.Selector == ""
	next.Selector = plan.SelectorText(p.Channel)
	if first {
		next.DesiredReplicas = wanted
		return nil
	}
	if wanted == next.DesiredReplicas || seen.Answer == nil || seen.Answer.Question.Replicas != wanted {
		return nil
	}
	change := &Scaling{From: next.DesiredReplicas, To: wanted, depth: seen.Answer.Depth()}
	next.DesiredReplicas = wanted
	next.LastScaleTime = ptr.To(metav1.NewTime(now.Truncate(time.Second)))
	return change
}

// workerImage is that of the workers' container; empty for an adopted Deployment that has none of
// that name yet.
func workerImage(deployment *appsv1.Deployment) string {
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.Name == v1.SubscriberContainer {
			return container.Image
		}
	}
	return ""
}

// messageRate is in whole messages per second; nil while unknown.
func messageRate(a *inquiry.Answer) *int64 {
	if a.Err != nil || a.Response.MessageRate == nil {
		return nil
	}
	return ptr.To(inquiry.WholeRate(a.Response))
}

// setScaled sets the Scaled condition, where there is something to say.
func setScaled(next *v1.PubSubChannelStatus, p *plan.Plan, seen Observed, now time.Time) {
	if condition, ok := scaledCondition(p, seen, now); ok {
		setCondition(next, p.Channel, condition, now)
	}
}

func setCondition(next *v1.PubSubChannelStatus, channel *v1.PubSubChannel, condition metav1.Condition, now time.Time) {
	last := meta.FindStatusCondition(next.Conditions, condition.Type)
	failure := condition.Reason == v1.ReasonRefused || condition.Reason == v1.ReasonInvalidSpec || condition.Reason == v1.ReasonDeploymentFailed || condition.Type == v1.ConditionConnected && condition.Status == metav1.ConditionFalse || condition.Type == v1.ConditionUtilization
	if failure && last != nil && condition.Status == last.Status && condition.Reason == last.Reason &&
		last.ObservedGeneration == channel.Generation && inspect.WithoutDigits(last.Message) == inspect.WithoutDigits(condition.Message) {
		condition.Message = last.Message // the same failure, only counted on
	}
	condition.ObservedGeneration = channel.Generation
	condition.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	if len(condition.Message) > maxMessage {
		condition.Message = strings.ToValidUTF8(condition.Message[:maxMessage], "")
	}
	meta.SetStatusCondition(&next.Conditions, condition)
}

// maxMessage is how long a condition's message may be, in bytes here
// (k8s.io/apimachinery pkg/apis/meta/v1, Condition).
const maxMessage = 32768

// nextPhase is the channel's state in one word. A number of workers is on its way from the
// moment that it changes until all are ready; a worker that fails later is no scaling.
func nextPhase(p *plan.Plan, seen Observed, ready string) v1.Phase {
	last := p.Channel.Status.Phase
	switch {
	case seen.Problem != nil:
		return seen.Problem.Phase
	case ready == v1.ReasonDeploymentFailed, workersFail(p.Channel, seen):
		return v1.PhaseFailed
	case seen.Deployment == nil:
		return v1.PhasePending
	}
	status := seen.Deployment.Status
	wanted := ptr.Deref(seen.Deployment.Spec.Replicas, 1)
	rolling := status.UpdatedReplicas != status.Replicas
	switch {
	case status.ObservedGeneration == seen.Deployment.Generation && status.Replicas == wanted && status.ReadyReplicas == wanted:
		return v1.PhaseRunning
	case status.ReadyReplicas == 0 && (last == "" || last == v1.PhasePending || last == v1.PhaseFailed):
		return v1.PhasePending
	case wanted != p.Channel.Status.DesiredReplicas, status.Replicas != wanted && !rolling, last != v1.PhaseRunning:
		return v1.PhaseScaling
	default:
		return v1.PhaseRunning
	}
}

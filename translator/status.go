package translator

import (
	"math"
	"strings"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// observed is what a reconcile saw of a channel.
type observed struct {
	at           time.Time                  // when; what is told, and when to look again, go by this one
	deployment   *appsv1.Deployment         // nil: not there yet, or not the channel's
	scaledObject *kedav1alpha1.ScaledObject // nil: none, or not read yet
	answer       *answer                    // nil: none yet about this queue
	problem      *problem                   // nil: nothing stands in the way
	budget       string                     // why the channel has no PodDisruptionBudget of its own; empty: nothing to tell
	aside        bool                       // the problem concerns neither the workers nor their number
	unsettled    bool                       // something failed that is tried again at once
	workers      workersSeen                // of the pods, where they are not all up
}

// scaling is one change of the number of workers.
type scaling struct {
	from, to int32
	depth    *int64 // the queue's depth in messages; nil while unknown
}

// nextStatus is the channel's status after what was seen, and the scaling that it records,
// if any. What is not known yet stays as it was.
func nextStatus(p *Plan, seen observed, now time.Time) (v1.PubSubChannelStatus, *scaling) {
	next := *p.Channel.Status.DeepCopy()
	next.ObservedGeneration = p.Channel.Generation
	if p.Channel.DeletionTimestamp != nil {
		next.Phase = v1.PhaseDeleting
		setCondition(&next, p.Channel, deletingCondition(p, seen), now)
		return next, nil
	}
	change := countWorkers(&next, p, seen, now)
	if seen.answer != nil {
		next.QueueDepth = seen.answer.depth()
		next.MessageRate = messageRate(seen.answer)
		setCondition(&next, p.Channel, connectedCondition(p, seen.answer), now)
	}
	setScaled(&next, p, seen, now)
	setCondition(&next, p.Channel, pausedCondition(p, seen.scaledObject), now)
	if last := meta.FindStatusCondition(next.Conditions, v1.ConditionReady); seen.unsettled {
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
// depth that caused it; that takes at most explainTimeout.
func countWorkers(next *v1.PubSubChannelStatus, p *Plan, seen observed, now time.Time) *scaling {
	deployment := seen.deployment
	if deployment == nil {
		return nil
	}
	next.Replicas = deployment.Status.Replicas
	next.ReadyReplicas = deployment.Status.ReadyReplicas
	wanted := ptr.Deref(deployment.Spec.Replicas, 1)
	// The selector is set with the first look at a Deployment: before that there is no
	// number that could have changed.
	first := next.Selector == ""
	next.Selector = selectorText(p.Channel)
	if first {
		next.DesiredReplicas = wanted
		return nil
	}
	if wanted == next.DesiredReplicas || seen.answer == nil || seen.answer.question.replicas != wanted {
		return nil
	}
	change := &scaling{from: next.DesiredReplicas, to: wanted, depth: seen.answer.depth()}
	next.DesiredReplicas = wanted
	next.LastScaleTime = ptr.To(metav1.NewTime(now.Truncate(time.Second)))
	return change
}

// messageRate is in whole messages per second; nil while unknown.
func messageRate(a *answer) *int64 {
	if a.err != nil || a.response.MessageRate == nil {
		return nil
	}
	return ptr.To(wholeRate(a.response))
}

func wholeRate(response *inspectv1.ExplainResponse) int64 {
	return int64(math.Round(response.GetMessageRate()))
}

// setScaled sets the Scaled condition, where there is something to say.
func setScaled(next *v1.PubSubChannelStatus, p *Plan, seen observed, now time.Time) {
	if condition, ok := scaledCondition(p, seen, now); ok {
		setCondition(next, p.Channel, condition, now)
	}
}

func setCondition(next *v1.PubSubChannelStatus, channel *v1.PubSubChannel, condition metav1.Condition, now time.Time) {
	last := meta.FindStatusCondition(next.Conditions, condition.Type)
	failure := condition.Reason == v1.ReasonRefused || condition.Reason == v1.ReasonInvalidSpec || condition.Reason == v1.ReasonDeploymentFailed || condition.Type == v1.ConditionConnected && condition.Status == metav1.ConditionFalse
	if failure && last != nil && condition.Status == last.Status && condition.Reason == last.Reason &&
		last.ObservedGeneration == channel.Generation && withoutDigits(last.Message) == withoutDigits(condition.Message) {
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
func nextPhase(p *Plan, seen observed, ready string) v1.Phase {
	last := p.Channel.Status.Phase
	switch {
	case seen.problem != nil:
		return seen.problem.phase
	case ready == v1.ReasonDeploymentFailed, seen.workers.fails(p.Channel, seen.deployment):
		return v1.PhaseFailed
	case seen.deployment == nil:
		return v1.PhasePending
	}
	status := seen.deployment.Status
	wanted := ptr.Deref(seen.deployment.Spec.Replicas, 1)
	rolling := status.UpdatedReplicas != status.Replicas
	switch {
	case status.ObservedGeneration == seen.deployment.Generation && status.Replicas == wanted && status.ReadyReplicas == wanted:
		return v1.PhaseRunning
	case status.ReadyReplicas == 0 && (last == "" || last == v1.PhasePending || last == v1.PhaseFailed):
		return v1.PhasePending
	case wanted != p.Channel.Status.DesiredReplicas, status.Replicas != wanted && !rolling, last != v1.PhaseRunning:
		return v1.PhaseScaling
	default:
		return v1.PhaseRunning
	}
}

package translator

import (
	"fmt"
	"strings"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// step is a change of the number of workers that the scaler asks for, by who is to make it.
type step int

const (
	noStep   step = iota
	hpaStep       // the HPA's, by the numbers that KEDA gives it
	wakeStep      // KEDA's own, from 0
	idleStep      // KEDA's own, to 0
)

// stepOf is the step that the scaler asks for and that nothing of the channel's holds up;
// noStep while the answer is about another number of workers.
func stepOf(p *Plan, seen observed) step {
	if !p.AutoScaled || seen.problem != nil && !seen.aside ||
		seen.deployment == nil || seen.deployment.DeletionTimestamp != nil ||
		seen.answer == nil || seen.answer.err != nil || seen.answer.question.replicas != replicasOf(seen) {
		return noStep
	}
	response := seen.answer.response
	_, paused := pauseThatHolds(p, seen.scaledObject, response.GetAction())
	if paused {
		return noStep
	}
	switch action := response.GetAction(); {
	case action == inspectv1.Action_ACTION_SCALE_UP && replicasOf(seen) == 0:
		return wakeStep
	case action == inspectv1.Action_ACTION_SCALE_UP, action == inspectv1.Action_ACTION_SCALE_DOWN:
		return hpaStep
	case takesLast(p, seen):
		return idleStep
	default:
		return noStep
	}
}

// takesLast reports whether KEDA is to take the last worker of a fleet that may sleep: the
// scaler holds, and tells KEDA that the target is not active. Other triggers may keep it
// awake, of which the scaler knows nothing.
func takesLast(p *Plan, seen observed) bool {
	response := seen.answer.response
	_, noScaleIn := pauseThatHolds(p, seen.scaledObject, inspectv1.Action_ACTION_SCALE_DOWN)
	return response.GetAction() == inspectv1.Action_ACTION_HOLD && response.GetReason() == inspectv1.Reason_REASON_AT_MIN_REPLICAS &&
		!response.GetActive() && replicasOf(seen) == 1 && p.Trigger.Policy.MinReplicas == 0 &&
		len(p.AutoScaling.Triggers)+len(p.AutoScaling.Schedules) == 0 && !noScaleIn
}

func replicasOf(seen observed) int32 {
	return ptr.Deref(seen.deployment.Spec.Replicas, defaultReplicas)
}

// undoneFrom is when a step that the scaler asks for would have been made, by somebody who
// works. The cooldown does not count for waking, which KEDA does by itself (docs/design.md,
// The policy).
func undoneFrom(p *Plan, seen observed, s step) time.Time {
	spec := p.Trigger.Policy
	switch {
	case s == wakeStep && spec.MinReplicas == 0:
		return seen.answer.since.Add(heldGrace)
	case s == idleStep:
		return heldFrom(p, seen).Add(behavior.PollingIdle)
	default:
		return heldFrom(p, seen)
	}
}

// undoneCondition is the Scaled condition where the scaler has asked for a step for longer
// than KEDA and the HPA take, so that it does not say "1 → 4" for ever.
func undoneCondition(p *Plan, seen observed, now time.Time) (metav1.Condition, bool) {
	s := stepOf(p, seen)
	if s == noStep {
		return metav1.Condition{}, false
	}
	words, foreign := seen.answer.response.GetLastingExplanation(), foreignWords(p, seen.scaledObject)
	if idledBySomebody(seen) {
		return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonHeldByScaledObject, foreign+"; the queue alone: "+words), true
	}
	reason := v1.ReasonNotCarriedOut
	if foreign != "" {
		reason = v1.ReasonHeldByScaledObject
	}
	asked := askedSince(seen)
	since, told := toldSince(p.Channel, replicasOf(seen), reason, asked)
	if !told {
		if now.Before(undoneFrom(p, seen, s)) {
			return metav1.Condition{}, false
		}
		since = seen.answer.since
	}
	why := foreign
	if why == "" {
		why = whyUndone(p, seen, s)
	}
	return condition(v1.ConditionScaled, metav1.ConditionFalse, reason,
		fmt.Sprintf("%s%s, and nobody has carried it out: %s; %s", asked, since.UTC().Format(time.RFC3339), words, why)), true
}

// askedSince begins the words of an undone decision; the time comes next.
func askedSince(seen observed) string {
	if seen.answer.response.GetAction() == inspectv1.Action_ACTION_SCALE_UP {
		return "more workers are asked for since "
	}
	return "fewer workers are asked for since "
}

// toldSince is since when the decision about this number is undone for this reason, as the
// status tells it already: the scaler's answers don't outlive the controller, and neither may
// it take as long again to tell, nor be told by another event.
func toldSince(channel *v1.PubSubChannel, replicas int32, reason, asked string) (time.Time, bool) {
	last := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled)
	if last == nil || last.Reason != reason || channel.Status.DesiredReplicas != replicas || last.ObservedGeneration != channel.Generation {
		return time.Time{}, false
	}
	text, ok := strings.CutPrefix(last.Message, asked)
	if !ok {
		return time.Time{}, false // it was about the other direction
	}
	text, _, _ = strings.Cut(text, ",")
	since, err := time.Parse(time.RFC3339, text)
	return since, err == nil
}

// decisions are the reasons of Scaled with which the scaler's decision was on its way.
var decisions = func() map[string]bool {
	names := map[string]bool{v1.ReasonNotCarriedOut: true, v1.ReasonHeldByTrigger: true}
	for number := range inspectv1.Reason_name {
		names[reasonName(inspectv1.Reason(number))] = true
	}
	return names
}()

// freed reports whether something that the status still tells of held the decision up until
// now: a pause, a schedule, a fallback, a refusal, a setting of somebody else's. The decision
// is to be carried out from now on, however long it has stood.
func freed(p *Plan, seen observed) bool {
	last := meta.FindStatusCondition(p.Channel.Status.Conditions, v1.ConditionScaled)
	if last == nil || decisions[last.Reason] || stepOf(p, seen) == noStep {
		return false
	}
	return last.Reason != v1.ReasonHeldByScaledObject || foreignWords(p, seen.scaledObject) == ""
}

// lookForUndone is when a step may have to be told as undone; 0: never, or it is told.
func lookForUndone(p *Plan, seen observed, now time.Time) time.Duration {
	s := stepOf(p, seen)
	if s == noStep {
		return 0
	}
	return max(0, undoneFrom(p, seen, s).Sub(now))
}

// sooner is the least of these times, of which 0 is never.
func sooner(times ...time.Duration) time.Duration {
	var least time.Duration
	for _, d := range times {
		if least == 0 || d != 0 && d < least {
			least = d
		}
	}
	return least
}

// withKEDAAway is the Ready condition where KEDA has not taken up the ScaledObject for so
// long that it seems not to run, in place of one that only says that it has not yet.
func withKEDAAway(p *Plan, seen observed, ready metav1.Condition, now time.Time) metav1.Condition {
	late, _ := notTakenUp(p, seen.scaledObject, now)
	if _, waiting := scaledObjectState(p, seen.scaledObject); !late || ready.Message != waiting {
		return ready
	}
	return condition(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonKEDANotReady,
		fmt.Sprintf("%s, for more than %s: keda-operator seems not to run: look for it (%s), and at what it logs", ready.Message, heldGrace, findKEDA))
}

// whyUndone is what KEDA reports, and where to look. What it reports may be of before: its
// conditions have no times, and stay while it does not run.
func whyUndone(p *Plan, seen observed, s step) string {
	if toleranceSwallows(seen) {
		return "the HPA ignores a change of up to 10 %, because this API server keeps no tolerance (Kubernetes 1.35 and newer do): set scaleUpThreshold and scaleDownThreshold farther apart"
	}
	who := fmt.Sprintf("see what the HPA tells (kubectl -n %s describe hpa %s), and whether keda-operator runs (%s)", p.Channel.Namespace, hpaOf(p), findKEDA)
	if s != hpaStep {
		who = fmt.Sprintf("that is KEDA's to do: see whether keda-operator runs (%s), and what it logs of ScaledObject %s/%s", findKEDA, p.Channel.Namespace, p.Channel.Name)
	}
	return kedaReports(p, seen, s) + ": " + who
}

// findKEDA finds keda-operator in whatever namespace it was installed, by the label that
// KEDA's chart and manifests have in common.
const findKEDA = "kubectl get pods -A -l app=keda-operator"

func kedaReports(p *Plan, seen observed, s step) string {
	if seen.scaledObject == nil {
		return fmt.Sprintf("there is no ScaledObject %s yet", p.Channel.Name)
	}
	conditions := seen.scaledObject.Status.Conditions
	ready, hpa, active := conditions.GetReadyCondition(), conditions.GetHPAActiveCondition(), conditions.GetActiveCondition()
	switch {
	case ready.IsFalse():
		return fmt.Sprintf("KEDA reports ScaledObject %s as not ready (%s): %s", p.Channel.Name, ready.Reason, ready.Message)
	case !ready.IsTrue():
		return fmt.Sprintf("KEDA has not taken up ScaledObject %s", p.Channel.Name)
	case s == hpaStep && hpa.IsFalse():
		return fmt.Sprintf("KEDA reports (%s): %s", hpa.Reason, hpa.Message)
	case s == wakeStep && active.IsFalse():
		return fmt.Sprintf("KEDA reports (%s): %s", active.Reason, active.Message)
	default:
		return "KEDA reports nothing that would explain it, which is its state of before where it does not run"
	}
}

// toleranceSwallows reports whether the scaler leaves a small step to an HPA that ignores it
// (scaler/policy, MetricValue).
func toleranceSwallows(seen observed) bool {
	response := seen.answer.response
	return response.GetMetricValue() > 0 && !response.GetToleranceHonoured() && replicasOf(seen) > 0 &&
		10*abs(response.GetDesiredReplicas()-replicasOf(seen)) <= replicasOf(seen) &&
		response.GetMetricValue() == float64(response.GetDesiredReplicas())*response.GetTargetQueueDepth()
}

func abs(n int32) int32 { return max(n, -n) }

// notTakenUp reports whether KEDA has said nothing of a ScaledObject for so long that it
// seems not to run, and when to look again while it may still come; 0: never.
//
// Two clocks tell: the API server's when the ScaledObject was made, and the controller's
// since when the channel is not ready. One that is ahead alone says nothing.
func notTakenUp(p *Plan, scaledObject *kedav1alpha1.ScaledObject, now time.Time) (bool, time.Duration) {
	if !p.AutoScaled || scaledObject == nil || scaledObject.DeletionTimestamp != nil {
		return false, 0
	}
	if ready := scaledObject.Status.Conditions.GetReadyCondition(); ready.IsTrue() || ready.IsFalse() {
		return false, 0
	}
	last := meta.FindStatusCondition(p.Channel.Status.Conditions, v1.ConditionReady)
	if last == nil || last.Status != metav1.ConditionFalse {
		return false, heldGrace
	}
	since := last.LastTransitionTime.Time
	if made := scaledObject.CreationTimestamp.Time; made.After(since) && !made.After(now) {
		since = made
	}
	// A clock that was put back since would have it wait for ever.
	left := min(since.Add(heldGrace).Sub(now), heldGrace)
	return left <= 0, max(0, left)
}

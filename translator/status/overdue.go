package status

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
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
func stepOf(p *plan.Plan, seen Observed) step {
	if !p.AutoScaled || seen.Problem != nil && !seen.Aside ||
		seen.Deployment == nil || seen.Deployment.DeletionTimestamp != nil ||
		seen.Answer == nil || seen.Answer.Err != nil || seen.Answer.Question.Replicas != replicasOf(seen) {
		return noStep
	}
	response := seen.Answer.Response
	_, paused := pauseThatHolds(p, seen.ScaledObject, response.GetAction())
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
func takesLast(p *plan.Plan, seen Observed) bool {
	response := seen.Answer.Response
	_, noScaleIn := pauseThatHolds(p, seen.ScaledObject, inspectv1.Action_ACTION_SCALE_DOWN)
	return response.GetAction() == inspectv1.Action_ACTION_HOLD && response.GetReason() == inspectv1.Reason_REASON_AT_MIN_REPLICAS &&
		!response.GetActive() && replicasOf(seen) == 1 && p.Trigger.Policy.MinReplicas == 0 &&
		len(p.AutoScaling.Triggers)+len(p.AutoScaling.Schedules) == 0 && !noScaleIn
}

func replicasOf(seen Observed) int32 {
	return ptr.Deref(seen.Deployment.Spec.Replicas, plan.DefaultReplicas)
}

// overdueFrom is when a step that the scaler asks for would have been made, by somebody who
// works. The cooldown does not count for waking, which KEDA does by itself (docs/design.md,
// The policy).
func overdueFrom(p *plan.Plan, seen Observed, s step) time.Time {
	spec := p.Trigger.Policy
	switch {
	case s == wakeStep && spec.MinReplicas == 0:
		return seen.Answer.Since.Add(keda.Grace)
	case s == idleStep:
		return heldFrom(p, seen).Add(behavior.PollingIdle)
	default:
		return heldFrom(p, seen)
	}
}

// overdueCondition is the Scaled condition where the scaler has asked for a step for longer
// than KEDA and the HPA take, so that it does not say "1 → 4" for ever.
func overdueCondition(p *plan.Plan, seen Observed, now time.Time) (metav1.Condition, bool) {
	s := stepOf(p, seen)
	if s == noStep {
		return metav1.Condition{}, false
	}
	explanation, foreign := seen.Answer.Response.GetLastingExplanation(), foreignMessage(p, seen.ScaledObject)
	if idledBySomebody(seen) {
		return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonHeldByScaledObject, foreign+"; without it the queue would ask for: "+explanation), true
	}
	reason := v1.ReasonNotCarriedOut
	if foreign != "" {
		reason = v1.ReasonHeldByScaledObject
	}
	asked := askedSince(seen)
	since, told := toldSince(p.Channel, replicasOf(seen), reason, asked)
	if !told {
		if now.Before(overdueFrom(p, seen, s)) {
			return metav1.Condition{}, false
		}
		since = seen.Answer.Since
	}
	why := foreign
	if why == "" {
		why = whyOverdue(p, seen, s)
	}
	return condition(v1.ConditionScaled, metav1.ConditionFalse, reason,
		fmt.Sprintf("%s%s, and nobody has carried it out: %s; %s", asked, since.UTC().Format(time.RFC3339), explanation, why)), true
}

// askedSince begins the message of a decision that is not carried out; the time comes next.
func askedSince(seen Observed) string {
	if seen.Answer.Response.GetAction() == inspectv1.Action_ACTION_SCALE_UP {
		return "more workers are asked for since "
	}
	return "fewer workers are asked for since "
}

// toldSince is since when the decision about this number is not carried out for this reason, as the
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
		names[inquiry.ReasonName(inspectv1.Reason(number))] = true
	}
	return names
}()

// Freed reports whether something that the status still tells of held the decision up until
// now: a pause, a schedule, a fallback, a refusal, a setting of somebody else's. The decision
// is to be carried out from now on, however long it has stood.
func Freed(p *plan.Plan, seen Observed) bool {
	last := meta.FindStatusCondition(p.Channel.Status.Conditions, v1.ConditionScaled)
	if last == nil || decisions[last.Reason] || stepOf(p, seen) == noStep {
		return false
	}
	return last.Reason != v1.ReasonHeldByScaledObject || foreignMessage(p, seen.ScaledObject) == ""
}

// whyOverdue is what KEDA reports, and where to look. What it reports may be of before: its
// conditions have no times, and stay while it does not run.
func whyOverdue(p *plan.Plan, seen Observed, s step) string {
	if toleranceSwallows(seen) {
		return "the HPA ignores a change of up to 10 %, because this API server keeps no tolerance (Kubernetes 1.35 and newer do): set scaleUpThreshold and scaleDownThreshold farther apart"
	}
	who := fmt.Sprintf("see what the HPA tells (kubectl -n %s describe hpa %s), and whether keda-operator runs (%s)", p.Channel.Namespace, p.HPAName(), keda.FindOperator)
	if s != hpaStep {
		who = fmt.Sprintf("that is KEDA's to do: see whether keda-operator runs (%s), and what it logs of ScaledObject %s/%s", keda.FindOperator, p.Channel.Namespace, p.Channel.Name)
	}
	return kedaReports(p, seen, s) + ": " + who
}

func kedaReports(p *plan.Plan, seen Observed, s step) string {
	if seen.ScaledObject == nil {
		return fmt.Sprintf("there is no ScaledObject %s yet", p.Channel.Name)
	}
	conditions := seen.ScaledObject.Status.Conditions
	ready, hpa, active := conditions.GetReadyCondition(), conditions.GetHPAActiveCondition(), conditions.GetActiveCondition()
	switch {
	case ready.IsFalse():
		return fmt.Sprintf("KEDA reports ScaledObject %s as not ready (%s): %s", p.Channel.Name, ready.Reason, ready.Message)
	case !ready.IsTrue():
		return fmt.Sprintf("KEDA has not reconciled ScaledObject %s", p.Channel.Name)
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
func toleranceSwallows(seen Observed) bool {
	response := seen.Answer.Response
	return response.GetMetricValue() > 0 && !response.GetToleranceHonoured() && replicasOf(seen) > 0 &&
		10*abs(response.GetDesiredReplicas()-replicasOf(seen)) <= replicasOf(seen) &&
		response.GetMetricValue() == float64(response.GetDesiredReplicas())*response.GetTargetQueueDepth()
}

func abs(n int32) int32 { return max(n, -n) }

package translator

import (
	"fmt"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// heldGrace is how long, beyond the cooldown, the HPA may take to follow the scaler: two of
// its syncs (kube-controller-manager --horizontal-pod-autoscaler-sync-period, 15 s).
const heldGrace = 30 * time.Second

// heldCondition is the Scaled condition where the scaler asks for fewer workers than
// something else keeps, so that it does not say "5 → 4" for ever; false where the HPA is
// still to follow the scaler.
func heldCondition(p *Plan, seen observed, now time.Time) (metav1.Condition, bool) {
	if !wantsFewer(p, seen) {
		return metav1.Condition{}, false
	}
	replicas := ptr.Deref(seen.deployment.Spec.Replicas, 1)
	words := seen.answer.response.GetLastingExplanation()
	if schedule, end := keptBySchedule(p, replicas, now); schedule != nil {
		return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonHeldBySchedule,
			fmt.Sprintf("schedule %s keeps at least %d workers until %s; the queue alone: %s",
				schedule.Name, schedule.MinReplicas, end.Format("2006-01-02 15:04 MST"), words)), true
	}
	if len(p.AutoScaling.Triggers) == 0 || hpaFails(seen) {
		return metav1.Condition{}, false
	}
	if !wasHeld(p.Channel, replicas) && now.Before(heldFrom(p, seen)) {
		return metav1.Condition{}, false
	}
	return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonHeldByTrigger,
		fmt.Sprintf("a trigger of spec.autoScaling.triggers keeps %d workers; the queue alone: %s", replicas, words)), true
}

// wantsFewer reports whether the scaler asks for fewer workers than there are to be, and
// nothing but another trigger could be in the way.
func wantsFewer(p *Plan, seen observed) bool {
	if !p.AutoScaled || seen.problem != nil && !seen.aside || seen.deployment == nil || seen.answer == nil || seen.answer.err != nil {
		return false
	}
	action := seen.answer.response.GetAction()
	_, paused := pauseThatHolds(p, seen.scaledObject, action)
	// An answer about another number is one of before a scaling.
	return action == inspectv1.Action_ACTION_SCALE_DOWN && !paused && seen.answer.question.replicas == replicasOf(seen)
}

// hpaFails reports whether KEDA says that the HPA does not work: then it is no trigger that
// keeps the number.
func hpaFails(seen observed) bool {
	if seen.scaledObject == nil {
		return false
	}
	hpa := seen.scaledObject.Status.Conditions.GetHPAActiveCondition()
	return hpa.IsFalse()
}

// keptBySchedule is the schedule that keeps this number of workers now, and when it ends;
// nil where none does.
func keptBySchedule(p *Plan, replicas int32, now time.Time) (*Schedule, time.Time) {
	for _, schedule := range p.Schedules {
		if schedule.MinReplicas < replicas {
			continue
		}
		if end, active := schedule.Hours.Until(now); active {
			return &schedule, end
		}
	}
	return nil, time.Time{}
}

// wasHeld reports whether the status tells already that another trigger keeps this number;
// the scaler's answers, and since when they are what they are, don't outlive the controller.
func wasHeld(channel *v1.PubSubChannel, replicas int32) bool {
	last := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled)
	return last != nil && last.Reason == v1.ReasonHeldByTrigger && channel.Status.DesiredReplicas == replicas
}

// heldFrom is when the HPA would have followed the scaler by, if the queue alone counted.
func heldFrom(p *Plan, seen observed) time.Time {
	return seen.answer.since.Add(p.Trigger.Policy.Cooldown + heldGrace)
}

// lookAgain is when the condition may have to change though nothing else does; 0: never.
func lookAgain(p *Plan, seen observed, now time.Time) time.Duration {
	if wantsFewer(p, seen) {
		if schedule, end := keptBySchedule(p, replicasOf(seen), now); schedule != nil {
			return end.Sub(now)
		}
	}
	_, untilTakenUp := notTakenUp(p, seen.scaledObject, now)
	return sooner(lookForUndone(p, seen, now), untilTakenUp)
}

// fallsBack reports whether KEDA can't read a trigger and does what fallback says instead.
func fallsBack(p *Plan, scaledObject *kedav1alpha1.ScaledObject) bool {
	if scaledObject == nil || p.AutoScaling.Fallback == nil || p.Pause.holds(inspectv1.Action_ACTION_HOLD) {
		return false // a paused ScaledObject's condition is one of before
	}
	fallback := scaledObject.Status.Conditions.GetFallbackCondition()
	return fallback.IsTrue()
}

func fallbackCondition(p *Plan, seen observed) metav1.Condition {
	fallback := p.AutoScaling.Fallback
	number := fmt.Sprintf("%d workers", fallback.Replicas)
	switch fallback.Behavior {
	case kedav1alpha1.FallbackBehaviorCurrentReplicas:
		number = "the workers that there are"
	case kedav1alpha1.FallbackBehaviorCurrentReplicasIfHigher:
		number += ", or those that there are where they are more"
	case kedav1alpha1.FallbackBehaviorCurrentReplicasIfLower:
		number += ", or those that there are where they are fewer"
	}
	told := seen.scaledObject.Status.Conditions.GetFallbackCondition()
	words := fmt.Sprintf("KEDA falls back to %s, as spec.autoScaling.fallback says: %s", number, told.Message)
	switch {
	case seen.answer == nil:
	case seen.answer.err != nil:
		_, code, message := unreachable(seen.answer.err)
		words += fmt.Sprintf("; the scaler can't decide (%s): %s", code, message)
	default:
		words += "; the queue alone: " + seen.answer.response.GetLastingExplanation()
	}
	return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonFallback, words)
}

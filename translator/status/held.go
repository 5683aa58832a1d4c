package status

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// heldCondition is the Scaled condition where the scaler asks for fewer workers than
// something else keeps, so that it does not say "5 → 4" for ever; false where the HPA is
// still to follow the scaler.
func heldCondition(p *plan.Plan, seen Observed, now time.Time) (metav1.Condition, bool) {
	if !wantsFewer(p, seen) {
		return metav1.Condition{}, false
	}
	replicas := ptr.Deref(seen.Deployment.Spec.Replicas, 1)
	explanation := seen.Answer.Response.GetLastingExplanation()
	if schedule, end := keptBySchedule(p, replicas, now); schedule != nil {
		return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonHeldBySchedule,
			fmt.Sprintf("schedule %s keeps at least %s until %s; without it the queue would ask for: %s",
				schedule.Name, plan.Workers(schedule.MinReplicas), end.Format("2006-01-02 15:04 MST"), explanation)), true
	}
	if len(p.AutoScaling.Triggers) == 0 || hpaFails(seen) {
		return metav1.Condition{}, false
	}
	if !wasHeld(p.Channel, replicas) && now.Before(heldFrom(p, seen)) {
		return metav1.Condition{}, false
	}
	return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonHeldByTrigger,
		fmt.Sprintf("a trigger of spec.autoScaling.triggers keeps %s; without it the queue would ask for: %s", plan.Workers(replicas), explanation)), true
}

// wantsFewer reports whether the scaler asks for fewer workers than there are to be, and
// nothing but another trigger could be in the way.
func wantsFewer(p *plan.Plan, seen Observed) bool {
	if !p.AutoScaled || seen.Problem != nil && !seen.Aside || seen.Deployment == nil || seen.Answer == nil || seen.Answer.Err != nil {
		return false
	}
	action := seen.Answer.Response.GetAction()
	_, paused := pauseThatHolds(p, seen.ScaledObject, action)
	// An answer about another number is one of before a scaling.
	return action == inspectv1.Action_ACTION_SCALE_DOWN && !paused && seen.Answer.Question.Replicas == replicasOf(seen)
}

// hpaFails reports whether KEDA says that the HPA does not work: then it is no trigger that
// keeps the number.
func hpaFails(seen Observed) bool {
	if seen.ScaledObject == nil {
		return false
	}
	hpa := seen.ScaledObject.Status.Conditions.GetHPAActiveCondition()
	return hpa.IsFalse()
}

// keptBySchedule is the schedule that keeps this number of workers now, and when it ends;
// nil where none does.
func keptBySchedule(p *plan.Plan, replicas int32, now time.Time) (*plan.Schedule, time.Time) {
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
func heldFrom(p *plan.Plan, seen Observed) time.Time {
	return seen.Answer.Since.Add(p.Trigger.Policy.Cooldown + keda.Grace)
}

package status

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// scaledCondition tells what was last decided about the number of workers; false while
// nothing is known yet.
func scaledCondition(p *plan.Plan, seen Observed, now time.Time) (metav1.Condition, bool) {
	switch {
	case !p.AutoScaled:
		return notScaled(p, seen), true
	case seen.Problem != nil && !seen.Aside:
		return condition(v1.ConditionScaled, metav1.ConditionFalse, seen.Problem.Reason, seen.Problem.Message), true
	case fallsBack(p, seen.ScaledObject):
		return fallbackCondition(p, seen), true
	case seen.Answer == nil:
		return metav1.Condition{}, false
	case seen.Answer.Err != nil:
		_, code, message := inquiry.Unreachable(seen.Answer.Err)
		return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonDecisionUnknown,
			fmt.Sprintf("the scaler can't decide (%s): %s", code, message)), true
	}
	if held, ok := heldCondition(p, seen, now); ok {
		return held, true
	}
	if overdue, ok := overdueCondition(p, seen, now); ok {
		return overdue, true
	}
	return decidedCondition(p, seen), true
}

// notScaled is the condition while autoscaling is off.
func notScaled(p *plan.Plan, seen Observed) metav1.Condition {
	asks := replicasAsked(p)
	if p.Channel.Spec.Paused && seen.Deployment != nil {
		return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonPaused,
			fmt.Sprintf("autoScaling is off, and spec.paused keeps %s; %s", plan.Workers(ptr.Deref(seen.Deployment.Spec.Replicas, 1)), asks))
	}
	return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonAutoScalingDisabled, offMessage(p))
}

func replicasAsked(p *plan.Plan) string { return fmt.Sprintf("spec.replicas asks for %d", p.Replicas) }

func offMessage(p *plan.Plan) string { return "autoScaling is off: " + replicasAsked(p) }

// decidedCondition is the condition where the scaler decided.
func decidedCondition(p *plan.Plan, seen Observed) metav1.Condition {
	response := seen.Answer.Response
	status := metav1.ConditionFalse
	if response.GetAction() == inspectv1.Action_ACTION_HOLD {
		status = metav1.ConditionTrue
	}
	if by, holds := pauseThatHolds(p, seen.ScaledObject, response.GetAction()); holds {
		return condition(v1.ConditionScaled, status, v1.ReasonPaused,
			fmt.Sprintf("%s, by %s; without the pause: %s", by.Effect(), by.By(), response.GetLastingExplanation()))
	}
	reason := inquiry.ReasonOf(response)
	message := response.GetLastingExplanation() + kedaSays(p, seen)
	if foreign := foreignMessage(p, seen.ScaledObject); foreign != "" {
		message += "; " + foreign
	}
	return condition(v1.ConditionScaled, status, reason, message)
}

// kedaSays is what KEDA reports beside the decision, where it explains what happens: an HPA
// that does not carry the decision out, and a target that KEDA counts as idle and so takes,
// or keeps, to 0.
func kedaSays(p *plan.Plan, seen Observed) string {
	if seen.ScaledObject == nil {
		return ""
	}
	conditions := seen.ScaledObject.Status.Conditions
	if conditions == nil {
		return ""
	}
	hpa, active := conditions.GetHPAActiveCondition(), conditions.GetActiveCondition()
	switch {
	case seen.Answer.Response.GetAction() != inspectv1.Action_ACTION_HOLD && hpa.IsFalse():
		return fmt.Sprintf("; but KEDA reports (%s): %s", hpa.Reason, hpa.Message)
	case p.Trigger.Policy.MinReplicas == 0 && active.IsFalse():
		return fmt.Sprintf("; KEDA reports (%s): %s", active.Reason, active.Message)
	default:
		return ""
	}
}

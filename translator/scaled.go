package translator

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// scaledCondition tells what was last decided about the number of workers; false while
// nothing is known yet.
func scaledCondition(channel *v1.PubSubChannel, seen observed, now time.Time) (metav1.Condition, bool) {
	switch {
	case !autoScalingEnabled(channel):
		return notScaled(channel, seen), true
	case seen.problem != nil && !seen.aside:
		return condition(v1.ConditionScaled, metav1.ConditionFalse, seen.problem.reason, seen.problem.message), true
	case fallsBack(channel, seen.scaledObject):
		return fallbackCondition(channel, seen), true
	case seen.answer == nil:
		return metav1.Condition{}, false
	case seen.answer.err != nil:
		_, code, message := unreachable(seen.answer.err)
		return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonDecisionUnknown,
			fmt.Sprintf("the scaler can't decide (%s): %s", code, message)), true
	}
	if held, ok := heldCondition(channel, seen, now); ok {
		return held, true
	}
	if undone, ok := undoneCondition(channel, seen, now); ok {
		return undone, true
	}
	return decidedCondition(channel, seen), true
}

// notScaled is the condition while autoscaling is off.
func notScaled(channel *v1.PubSubChannel, seen observed) metav1.Condition {
	asks := fmt.Sprintf("spec.replicas asks for %d", specReplicas(channel))
	if channel.Spec.Paused && seen.deployment != nil {
		return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonPaused,
			fmt.Sprintf("autoScaling is off, and spec.paused keeps %d workers; %s", ptr.Deref(seen.deployment.Spec.Replicas, 1), asks))
	}
	return condition(v1.ConditionScaled, metav1.ConditionTrue, v1.ReasonAutoScalingDisabled, "autoScaling is off: "+asks)
}

// decidedCondition is the condition where the scaler decided.
func decidedCondition(channel *v1.PubSubChannel, seen observed) metav1.Condition {
	response := seen.answer.response
	status := metav1.ConditionFalse
	if response.GetAction() == inspectv1.Action_ACTION_HOLD {
		status = metav1.ConditionTrue
	}
	if p, holds := pauseThatHolds(channel, seen.scaledObject, response.GetAction()); holds {
		return condition(v1.ConditionScaled, status, v1.ReasonPaused,
			fmt.Sprintf("%s, by %s; without the pause: %s", p.effect(), p.by(), response.GetLastingExplanation()))
	}
	reason := reasonName(response.GetReason())
	if response.GetReason() == inspectv1.Reason_REASON_UNSPECIFIED {
		reason = v1.ReasonDecisionUnknown
	}
	words := response.GetLastingExplanation() + kedaSays(channel, seen)
	if foreign := foreignWords(channel, seen.scaledObject); foreign != "" {
		words += "; " + foreign
	}
	return condition(v1.ConditionScaled, status, reason, words)
}

// kedaSays is what KEDA reports beside the decision, where it explains what happens: an HPA
// that does not carry the decision out, and a target that KEDA counts as idle and so takes,
// or keeps, to 0.
func kedaSays(channel *v1.PubSubChannel, seen observed) string {
	if seen.scaledObject == nil {
		return ""
	}
	conditions := seen.scaledObject.Status.Conditions
	if conditions == nil {
		return ""
	}
	hpa, active := conditions.GetHPAActiveCondition(), conditions.GetActiveCondition()
	switch {
	case seen.answer.response.GetAction() != inspectv1.Action_ACTION_HOLD && hpa.IsFalse():
		return fmt.Sprintf("; but KEDA reports (%s): %s", hpa.Reason, hpa.Message)
	case policySpec(channel.Spec.AutoScaling).MinReplicas == 0 && active.IsFalse():
		return fmt.Sprintf("; KEDA reports (%s): %s", active.Reason, active.Message)
	default:
		return ""
	}
}

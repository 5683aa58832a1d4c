package status

import (
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// fallsBack reports whether KEDA can't read a trigger and does what fallback says instead.
func fallsBack(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) bool {
	if scaledObject == nil || p.AutoScaling.Fallback == nil || p.Pause.Holds(inspectv1.Action_ACTION_HOLD) {
		return false // a paused ScaledObject's condition is one of before
	}
	fallback := scaledObject.Status.Conditions.GetFallbackCondition()
	return fallback.IsTrue()
}

func fallbackCondition(p *plan.Plan, seen Observed) metav1.Condition {
	fallback := p.AutoScaling.Fallback
	number := plan.Workers(fallback.Replicas)
	switch fallback.Behavior {
	case kedav1alpha1.FallbackBehaviorCurrentReplicas:
		number = "the workers that there are"
	case kedav1alpha1.FallbackBehaviorCurrentReplicasIfHigher:
		number += ", or those that there are where they are more"
	case kedav1alpha1.FallbackBehaviorCurrentReplicasIfLower:
		number += ", or those that there are where they are fewer"
	}
	told := seen.ScaledObject.Status.Conditions.GetFallbackCondition()
	text := fmt.Sprintf("KEDA falls back to %s, as spec.autoScaling.fallback says: %s", number, told.Message)
	switch {
	case seen.Answer == nil:
	case seen.Answer.Err != nil:
		_, code, message := inquiry.Unreachable(seen.Answer.Err)
		text += fmt.Sprintf("; the scaler can't decide (%s): %s", code, message)
	default:
		text += "; without the fallback the scaler would decide: " + seen.Answer.Response.GetLastingExplanation()
	}
	return condition(v1.ConditionScaled, metav1.ConditionFalse, v1.ReasonFallback, text)
}

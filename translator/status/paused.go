package status

import (
	"fmt"
	"strings"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// pausedCondition tells whether scaling is held, by what, and which annotations count for
// nothing.
func pausedCondition(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) metav1.Condition {
	own := p.Pause
	ignored := ""
	if len(own.Unwritten) > 0 {
		ignored = "; without effect beside it: " + strings.Join(own.Unwritten, ", ")
	}
	switch {
	case !p.AutoScaled && own.Reason == v1.ReasonPausedByAnnotation:
		return condition(v1.ConditionPaused, metav1.ConditionFalse, v1.ReasonPauseIgnored,
			fmt.Sprintf("autoScaling is off, so KEDA's annotations do nothing: %s; set spec.paused instead",
				strings.Join(append([]string{own.Annotation}, own.Unwritten...), ", ")))
	case own.Reason != "":
		return condition(v1.ConditionPaused, metav1.ConditionTrue, own.Reason, fmt.Sprintf("%s, by %s%s", own.Effect(), own.By(), ignored))
	}
	if foreign := foreignPauses(scaledObject); len(foreign) > 0 && p.AutoScaled {
		first := foreign[0]
		return condition(v1.ConditionPaused, metav1.ConditionTrue, v1.ReasonPausedOnScaledObject, fmt.Sprintf("%s, by %s", first.Effect(), first.By()))
	}
	return condition(v1.ConditionPaused, metav1.ConditionFalse, v1.ReasonNotPaused, "nothing asks for a pause")
}

package status

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// connectedCondition tells whether the queue could be read, and if not, who could not
// reach whom.
func connectedCondition(p *plan.Plan, a *inquiry.Answer) metav1.Condition {
	if a.Err == nil {
		message := fmt.Sprintf("%s on %s is read", p.Channel.Spec.ChannelName, p.Trigger.Redis.Address)
		if a.Response.GetDepthIsLowerBound() {
			message += "; the server could not tell its depth exactly: queueDepth is a lower bound"
		}
		return condition(v1.ConditionConnected, metav1.ConditionTrue, v1.ReasonQueueRead, message)
	}
	unreached, code, message := inquiry.Unreachable(a.Err)
	if unreached {
		return condition(v1.ConditionConnected, metav1.ConditionUnknown, v1.ReasonScalerUnreachable,
			fmt.Sprintf("the scaler does not answer (%s): %s", code, message))
	}
	return condition(v1.ConditionConnected, metav1.ConditionFalse, code.String(), message)
}

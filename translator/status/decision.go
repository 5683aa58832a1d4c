package status

import (
	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// setDecision tells the decision of an answer. It is absent while the queue can't be read or the
// scaler not reached, as queueDepth is; the condition Connected says why. One that says nothing
// new is left as it was told, so that it costs no write.
func setDecision(next *v1.PubSubChannelStatus, p *plan.Plan, answer *inquiry.Answer) {
	decision := answer.Decision()
	if decision != nil && !p.AutoScaled {
		off(decision, p)
	}
	if !inquiry.SameDecision(next.Decision, decision, p.Trigger.Policy) {
		next.Decision = decision
	}
}

// off leaves of a decision what is read of the queue, and the bounds that there would be: with
// autoscaling off nothing is decided.
func off(d *v1.ScalingDecision, p *plan.Plan) {
	d.Action, d.Reason, d.Message = v1.ScalingHold, v1.ReasonAutoScalingDisabled, offMessage(p)
	d.DesiredReplicas, d.Active, d.Arithmetic, d.FallbackReason = d.Replicas, false, "", ""
}

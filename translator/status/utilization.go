package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// utilizationSettle is how long the policy Utilization may lack something before it is told as a
// fault. A scaler that has just started, and workers that have, show what is in flight only after
// some seconds.
const utilizationSettle = time.Minute

// policies are those that status.policyInUse may name. The API server would refuse the whole
// status for another one, which a newer scaler may have.
var policies = []v1.ScalingPolicy{v1.PolicyThreshold, v1.PolicyUtilization}

// setPolicy sets what the status tells of the policy. What is not known yet stays as it was.
func setPolicy(next *v1.PubSubChannelStatus, p *plan.Plan, seen Observed, now time.Time) {
	next.WorkerConcurrency = nil
	if p.WorkerConcurrency > 0 {
		next.WorkerConcurrency = ptr.To(p.WorkerConcurrency)
	}
	if !p.AutoScaled {
		next.PolicyInUse = ""
	} else if seen.Answer != nil && seen.Answer.Err == nil {
		next.PolicyInUse = policyInUse(seen.Answer.Response)
	}
	if !wantsUtilization(p) {
		meta.RemoveStatusCondition(&next.Conditions, v1.ConditionUtilization)
		return
	}
	if told, ok := utilizationCondition(p, seen, now); ok {
		setCondition(next, p.Channel, told, now)
	}
}

func wantsUtilization(p *plan.Plan) bool {
	return p.AutoScaled && p.AutoScaling.Policy == v1.PolicyUtilization
}

// policyInUse is the policy that decided; empty where it is none that is known here. A scaler that
// names none is older than the other policies.
func policyInUse(response *inspectv1.ExplainResponse) v1.ScalingPolicy {
	used := cmp.Or(v1.ScalingPolicy(response.GetPolicyInUse()), v1.PolicyThreshold)
	if !slices.Contains(policies, used) {
		return ""
	}
	return used
}

// utilizationCondition tells whether the policy Utilization has what it needs; false while there
// is nothing new to tell. Without workers nothing is in flight that could be seen.
func utilizationCondition(p *plan.Plan, seen Observed, now time.Time) (metav1.Condition, bool) {
	if seen.Answer == nil || seen.Answer.Err != nil || seen.Answer.Question.Replicas == 0 {
		return metav1.Condition{}, false
	}
	reason, message := lackOfUtilization(seen.Answer.Response)
	if reason == "" {
		return condition(v1.ConditionUtilization, metav1.ConditionTrue, v1.ReasonInUse,
			fmt.Sprintf("the scaler decides by the work in flight; one worker works on %d at once", p.WorkerConcurrency)), true
	}
	state := metav1.ConditionFalse
	if untilUtilizationFails(p, reason, now) > 0 {
		state = metav1.ConditionUnknown
	}
	return condition(v1.ConditionUtilization, state, reason, message), true
}

// lackOfUtilization is what the policy lacks by an answer, as a reason and a message; both are
// empty where it lacks nothing.
func lackOfUtilization(response *inspectv1.ExplainResponse) (reason, message string) {
	switch {
	case policyInUse(response) != v1.PolicyUtilization:
		return v1.ReasonFellBack, cmp.Or(response.GetFallbackReason(),
			"the scaler decides by Threshold and does not say why: it may be older than this operator, so bring both up to the same version")
	case response.GetConcurrencyRemark() != "":
		return v1.ReasonWorkerConcurrencyUnexpected, response.GetConcurrencyRemark()
	default:
		return "", ""
	}
}

// untilUtilizationFails is how long the policy may still lack something, for that reason, before it
// counts as a fault; 0: it does.
func untilUtilizationFails(p *plan.Plan, reason string, now time.Time) time.Duration {
	last := meta.FindStatusCondition(p.Channel.Status.Conditions, v1.ConditionUtilization)
	switch {
	case last == nil, last.Status == metav1.ConditionTrue:
		return utilizationSettle
	case last.Status == metav1.ConditionUnknown:
		// A clock that was put back since would have it wait for ever.
		return max(0, min(last.LastTransitionTime.Add(utilizationSettle).Sub(now), utilizationSettle))
	case last.Reason != reason:
		return utilizationSettle
	default:
		return 0
	}
}

// untilUtilizationTold is when the condition may have to become a fault; 0: never, or it is one.
func untilUtilizationTold(p *plan.Plan, seen Observed, now time.Time) time.Duration {
	if !wantsUtilization(p) || seen.Answer == nil || seen.Answer.Err != nil || seen.Answer.Question.Replicas == 0 {
		return 0
	}
	reason, _ := lackOfUtilization(seen.Answer.Response)
	if reason == "" {
		return 0
	}
	return untilUtilizationFails(p, reason, now)
}

// UtilizationEvent warns of a policy Utilization that lacks something; nil where the status told of
// it before.
func UtilizationEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionUtilization)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionUtilization)
	if after == nil || after.Status != metav1.ConditionFalse || before != nil && before.Status == after.Status && before.Reason == after.Reason {
		return nil
	}
	return Warning(channel, after.Reason, "Scale", after.Message, instance, now)
}

package record

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/trouble"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// severities are what the page makes of a trouble: what does not work is wrong, what works
// otherwise than it was asked to is to be watched.
var severities = map[trouble.Rank]int{trouble.Well: 0, trouble.OnTheWay: 1, trouble.Held: 1, trouble.Unseen: 2, trouble.Broken: 2}

// rowOf is what the fleet shows of a channel.
func rowOf(channel *v1.PubSubChannel) (protocol.Row, trouble.Rank) {
	status, found := &channel.Status, trouble.Of(channel)
	row := protocol.Row{
		Key: channel.Namespace + "/" + channel.Name, Namespace: channel.Namespace, Name: channel.Name,
		Phase: string(status.Phase), Severity: severities[found.Rank], Trouble: found.Reason, Words: found.Message,
		Paused: channel.Spec.Paused || meta.IsStatusConditionTrue(status.Conditions, v1.ConditionPaused),
		Policy: string(status.PolicyInUse), Replicas: status.Replicas, Ready: status.ReadyReplicas, Desired: status.DesiredReplicas,
		Depth: status.QueueDepth, Rate: status.MessageRate,
	}
	limits(&row, &channel.Spec)
	d := status.Decision
	if d == nil {
		return row, found.Rank
	}
	if row.Depth == nil {
		row.Depth = &d.QueueDepth
	}
	row.AtLeast, row.Waiting, row.InFlight = d.DepthIsLowerBound, &d.Ready, d.InFlight
	if row.Autoscaled {
		row.LowerBound, row.UpperBound = &d.LowerBound, &d.UpperBound
	}
	row.Action, row.Reason = string(d.Action), d.Reason
	row.Words = cmp.Or(row.Words, d.Message)
	if d.OldestMessageTime != nil {
		row.Oldest = ptr.To(d.OldestMessageTime.UTC())
	}
	return row, found.Rank
}

// limits fills in between which numbers of workers the channel is. If the policy can't be read,
// the defaults stand in for what is faulty, as they do in the scaler.
func limits(row *protocol.Row, spec *v1.PubSubChannelSpec) {
	row.Autoscaled = spec.AutoScaling != nil && spec.AutoScaling.Enabled
	if !row.Autoscaled {
		row.Min = ptr.Deref(spec.Replicas, 1)
		row.Max = row.Min
		return
	}
	policy, _ := autoscaling.Policy(spec.AutoScaling) // the CRD's rules keep such a one away; the trouble is told by Ready
	row.Min, row.Max = policy.MinReplicas, policy.MaxReplicas
}

// pointOf is a row's point. A rate that is only the growth of the depth tells of no arrivals.
func pointOf(row *protocol.Row, d *v1.ScalingDecision, at time.Time) point {
	p := protocol.Point{
		Time: at, Depth: row.Depth, LowerBound: row.LowerBound, UpperBound: row.UpperBound, Rate: row.Rate,
		Replicas: row.Replicas, Ready: row.Ready, Desired: row.Desired,
	}
	if d != nil && d.MessageRateIsLowerBound {
		p.Rate = nil
	}
	return compact(p)
}

// marksOf are what happened between two states of a channel.
func marksOf(before, after *v1.PubSubChannel, at time.Time) []protocol.Mark {
	var marks []protocol.Mark
	was, is := &before.Status, &after.Status
	if was.Decision != nil && is.Decision != nil && (was.Decision.Reason != is.Decision.Reason || was.Decision.Action != is.Decision.Action) {
		marks = append(marks, protocol.Mark{
			Time: at, Kind: "decision", From: is.Decision.Replicas, To: is.Decision.DesiredReplicas, Words: cmp.Or(is.Decision.Message, is.Decision.Reason),
		})
	}
	if was.DesiredReplicas == is.DesiredReplicas || was.Selector == "" { // without a selector there was no Deployment yet
		return marks
	}
	mark := protocol.Mark{Time: at, Kind: "scaling", From: was.DesiredReplicas, To: is.DesiredReplicas, Words: whyScaled(was, is)}
	if auto := after.Spec.AutoScaling; auto != nil && auto.Enabled {
		policy, _ := autoscaling.Policy(auto)
		if mark.From > 0 { // KEDA's own step from 0 begins no cooldown
			mark.Until = ptr.To(at.Add(policy.Cooldown))
		}
	}
	return append(marks, mark)
}

// whyScaled is the message of the decision that asked for the number that there is now. The one
// before the scaling did; the one after may, if the status has both at once.
func whyScaled(was, is *v1.PubSubChannelStatus) string {
	for _, d := range []*v1.ScalingDecision{was.Decision, is.Decision} {
		if d != nil && d.Message != "" && d.DesiredReplicas == is.DesiredReplicas && d.Replicas != d.DesiredReplicas {
			return d.Message
		}
	}
	scaled := fmt.Sprintf("%d → %d workers", was.DesiredReplicas, is.DesiredReplicas)
	before, after := was.Decision, is.Decision
	if before == nil || after == nil || before.Replicas != was.DesiredReplicas {
		return scaled
	}
	// The controller asks the scaler less often than the HPA, and may have missed the decision. What was known before and
	// after it then tells where the depth was.
	switch {
	case is.DesiredReplicas > was.DesiredReplicas && after.QueueDepth > before.UpperBound:
		return fmt.Sprintf("%s: queue depth %d is above %d, the upper bound of %d", scaled, after.QueueDepth, before.UpperBound, before.Replicas)
	case is.DesiredReplicas < was.DesiredReplicas && after.QueueDepth < before.LowerBound:
		return fmt.Sprintf("%s: queue depth %d is below %d, the lower bound of %d", scaled, after.QueueDepth, before.LowerBound, before.Replicas)
	default:
		return scaled
	}
}

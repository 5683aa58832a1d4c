package record

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
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
		Time: at, Depth: row.Depth, LowerBound: row.LowerBound, UpperBound: row.UpperBound, Rate: row.Rate, InFlight: row.InFlight,
		Replicas: row.Replicas, Ready: row.Ready, Desired: row.Desired,
	}
	if d != nil && d.MessageRateIsLowerBound {
		p.Rate = nil
	}
	return compact(p)
}

// marksOf are what happened between two states of a channel, of which the rows are.
func marksOf(before, after *v1.PubSubChannel, was, is *protocol.Row, at time.Time) []protocol.Mark {
	marks := changesOf(before, after, was, is, at)
	from, to := &before.Status, &after.Status
	if d := to.Decision; from.Decision != nil && d != nil && (from.Decision.Reason != d.Reason || from.Decision.Action != d.Action) {
		marks = append(marks, protocol.Mark{
			Time: at, Kind: protocol.MarkDecision, From: d.Replicas, To: d.DesiredReplicas, Words: cmp.Or(d.Message, d.Reason),
		})
	}
	if from.DesiredReplicas == to.DesiredReplicas || from.Selector == "" { // without a selector there was no Deployment yet
		return marks
	}
	mark := protocol.Mark{Time: at, Kind: protocol.MarkScaling, From: from.DesiredReplicas, To: to.DesiredReplicas, Words: whyScaled(from, to, &after.Spec)}
	if auto := after.Spec.AutoScaling; auto != nil && auto.Enabled {
		policy, _ := autoscaling.Policy(auto)
		if mark.From > 0 && mark.To > 0 { // KEDA's own steps from 0 and to 0 begin no cooldown
			mark.Until = ptr.To(at.Add(policy.Cooldown))
		}
	}
	return append(marks, mark)
}

// changesOf are what somebody changed of a channel: who looks at its past, or replays it, has to know.
func changesOf(before, after *v1.PubSubChannel, was, is *protocol.Row, at time.Time) []protocol.Mark {
	if before.Generation == after.Generation && is.Paused == was.Paused { // as nearly always
		return nil
	}
	var marks []protocol.Mark
	mark := func(kind, words string) {
		marks = append(marks, protocol.Mark{Time: at, Kind: kind, From: is.Desired, To: is.Desired, Words: words})
	}
	switch {
	case is.Paused && !was.Paused:
		mark(protocol.MarkPaused, "the channel was paused: the number of its workers is held")
	case !is.Paused && was.Paused:
		mark(protocol.MarkResumed, "the channel is no longer paused")
	}
	if before.Generation == after.Generation {
		return marks
	}
	from, to := before.Spec.DeepCopy(), after.Spec.DeepCopy()
	if !equality.Semantic.DeepEqual(from.AutoScaling, to.AutoScaling) {
		mark(protocol.MarkSettings, "spec.autoScaling was changed")
	}
	from.Paused, to.Paused, from.AutoScaling, to.AutoScaling = false, false, nil, nil
	if !equality.Semantic.DeepEqual(from, to) {
		mark(protocol.MarkSpec, "the spec was changed beside spec.autoScaling, such as what the workers run")
	}
	return marks
}

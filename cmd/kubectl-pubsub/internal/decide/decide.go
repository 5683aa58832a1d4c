// Package decide answers about a channel what Inspector.Explain answers, from its spec and its
// status alone: whoever may read a channel may ask why, and what if. It is pure, and decides by
// the scaler's own code.
//
// What a status does not have is not in the answer: the depth of each key, and fractions of a
// second and of messageRate. What counts on since the status was written is as of now: the
// cooldown, the age of the oldest message, and how much of Utilization's window was seen.
package decide

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// Overrides are what counts in place of what is so. The zero value overrides nothing.
type Overrides struct {
	// QueueDepth is the depth in messages, 0 or more. Nothing else of the queue counts then, as
	// for the scaler: neither what is in flight nor the oldest message.
	QueueDepth *int64
	// Replicas is the number of workers, 0 to policy.MaxReplicasLimit.
	Replicas *int32
	// LastScale is when the last scaling was; the zero time: never.
	LastScale *time.Time
	// Changes are fields of spec.autoScaling by name, those of utilization as utilization.target
	// or within an object, with values as the API takes them; nil stands for the default.
	Changes map[string]any
}

// UnknownError says why a channel's status has no decision, or none that counts.
type UnknownError struct {
	Channel string // namespace/name
	Reason  string // in CamelCase: that of the condition Connected, or one of the constants
	Message string
}

// The reasons beside those of the condition Connected.
const (
	// NotObserved means that no controller has told anything of the channel yet.
	NotObserved = "NotObserved"
	// NoDecision means that a controller has told of the channel, but no decision.
	NoDecision = "NoDecision"
)

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the status of PubSubChannel %s has no decision (%s): %s", e.Channel, e.Reason, e.Message)
}

// OffError says that nothing decides about a channel, because its autoscaling is off.
type OffError struct {
	Namespace, Name string
}

func (e *OffError) Error() string {
	return fmt.Sprintf(`autoscaling of PubSubChannel %[1]s/%[2]s is off, so nothing decides about its replicas: switch it on with kubectl patch psc %[2]s -n %[1]s --type merge -p '{"spec":{"autoScaling":{"enabled":true}}}'`,
		e.Namespace, e.Name)
}

// Explain decides about a channel as of now. Its errors are an OffError, an UnknownError, and
// those that name an override, a changed setting or a field of the spec, its value and the remedy.
func Explain(channel *v1.PubSubChannel, with Overrides, now time.Time) (*inspectv1.ExplainResponse, error) {
	if words := reading.Unreadable(channel); words != "" {
		return nil, fmt.Errorf("PubSubChannel %s/%s can't be read: %s: correct it with kubectl edit psc %[2]s -n %[1]s", channel.Namespace, channel.Name, words)
	}
	if err := with.check(); err != nil {
		return nil, err
	}
	changed, err := apply(Installed(channel), with.Changes)
	if err != nil {
		return nil, err
	}
	p := plan.Of(changed)
	switch {
	case !p.AutoScaled:
		return nil, &OffError{channel.Namespace, channel.Name}
	case p.Invalid != nil:
		return nil, p.Invalid
	case len(with.Changes) > 0 && p.Unscalable != nil:
		return nil, p.Unscalable
	}
	read, target, err := facts(channel, with, p.Trigger.Policy, now)
	if err != nil {
		return nil, err
	}
	return explanation.Evaluate(p.Trigger.Policy, read, target, now).Response()
}

func (o Overrides) check() error {
	if o.QueueDepth != nil && *o.QueueDepth < 0 {
		return fmt.Errorf("the queue depth is %d: it must not be negative", *o.QueueDepth)
	}
	if o.Replicas != nil && (*o.Replicas < 0 || *o.Replicas > policy.MaxReplicasLimit) {
		return fmt.Errorf("the number of replicas is %d: it must be from 0 to %d", *o.Replicas, policy.MaxReplicasLimit)
	}
	return nil
}

// facts are what a decision is made from: what the status tells, but for what is overridden.
func facts(channel *v1.PubSubChannel, with Overrides, spec policy.Spec, now time.Time) (explanation.Reading, explanation.Target, error) {
	d := channel.Status.Decision
	if d == nil && (with.QueueDepth == nil || with.Replicas == nil || with.LastScale == nil) {
		return explanation.Reading{}, explanation.Target{}, unknown(channel, now)
	}
	target := explanation.Target{ToleranceHonoured: true}
	var read explanation.Reading
	if d != nil {
		target = explanation.Target{Replicas: d.Replicas, ToleranceHonoured: !d.ToleranceIgnored}
		if d.LastScaleTime != nil {
			target.LastScale = d.LastScaleTime.Time
		}
		read = readingOf(channel, spec, now)
	}
	if with.Replicas != nil {
		target.Replicas = *with.Replicas
	}
	if with.LastScale != nil {
		target.LastScale = *with.LastScale
	}
	if with.QueueDepth != nil {
		read = explanation.OfDepth(read.Kind, *with.QueueDepth, now)
	}
	return read, target, nil
}

// pubSub is the type of a Pub/Sub channel, whose depth is a lower bound by which a fleet shrinks
// all the same (scaler/queue, Depth.AtLeast).
const pubSub = "pubsub"

// readingOf is what the status tells of the queue, as of now.
func readingOf(channel *v1.PubSubChannel, spec policy.Spec, now time.Time) explanation.Reading {
	d := channel.Status.Decision
	read := explanation.Reading{
		Kind: d.QueueType, Ready: d.Ready, InFlight: max(0, d.QueueDepth-d.Ready), InFlightKnown: d.InFlight != nil,
		LowerBound: d.DepthIsLowerBound, AtLeast: d.DepthIsLowerBound && d.QueueType != pubSub,
		At: d.ObservedTime.Time, RateLowerBound: d.MessageRateIsLowerBound, Remarks: d.Remarks,
		NoWork: cmp.Or(d.FallbackReason, notMeasured),
	}
	if rate := channel.Status.MessageRate; rate != nil {
		read.Rate = new(float64(*rate))
	}
	if d.OldestMessageTime != nil && spec.MaxAge > 0 {
		read.Oldest = d.OldestMessageTime.Time
	}
	if d.BusyOverWindow != nil && d.WindowSeen != nil {
		since := max(0, now.Sub(d.ObservedTime.Time)) // a gap would have been written
		window := windowOf(channel, spec)
		read.Work = &explanation.Work{Mean: d.BusyOverWindow.MilliValue(), Seen: min(d.WindowSeen.Duration+since, window), Window: window}
		if d.MeanTimeInFlight != nil {
			read.Work.Took = d.MeanTimeInFlight.Duration
		}
		if d.Busy != nil {
			read.Work.Recent = new(d.Busy.MilliValue())
		}
	}
	if c := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionUtilization); c != nil && c.Reason == v1.ReasonWorkerConcurrencyUnexpected {
		read.ConcurrencyRemark = c.Message
	}
	return read
}

// windowOf is the scaler's window; that of a what-if question about the window itself begins anew.
func windowOf(channel *v1.PubSubChannel, spec policy.Spec) time.Duration {
	d := channel.Status.Decision
	asked, _ := autoscaling.OfChannel(&channel.Spec) // what can't be read is told elsewhere
	if asked.UtilizationWindow() == spec.UtilizationWindow() {
		return inquiry.WindowOf(d, spec)
	}
	if d.MeanTimeInFlight == nil {
		return spec.UtilizationWindow()
	}
	return spec.WindowFor(d.MeanTimeInFlight.Duration, 0)
}

// notMeasured is why the work in flight is not known of a channel that was not of policy
// Utilization when the scaler looked.
const notMeasured = "the work in flight is measured once a channel's policy is Utilization, so until then there is nothing to tell of it: set policy and ask again"

// unknown says why a status has no decision.
func unknown(channel *v1.PubSubChannel, now time.Time) error {
	e := &UnknownError{Channel: channel.Namespace + "/" + channel.Name}
	connected := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionConnected)
	switch ready := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady); {
	case len(channel.Status.Conditions) == 0:
		e.Reason, e.Message = NotObserved, "no controller has looked at the channel yet: see kubectl pubsub doctor"
	case connected != nil && connected.Status != metav1.ConditionTrue:
		e.Reason, e.Message = connected.Reason, connected.Message
	case connected == nil && ready != nil && ready.Status != metav1.ConditionTrue:
		e.Reason, e.Message = ready.Reason, ready.Message
	case connected == nil && ready != nil && now.Sub(ready.LastTransitionTime.Time) > OldAfter && !ready.LastTransitionTime.IsZero():
		e.Reason, e.Message = NoDecision, "the scaler has not answered about the channel for minutes, or the operator is older than this plugin: see kubectl pubsub doctor, or upgrade the operator with its CRD"
	case connected == nil:
		e.Reason, e.Message = NotObserved, "the scaler has not answered about the channel yet: ask again in some seconds"
	default:
		e.Reason, e.Message = NoDecision, "the operator, or its CRD, is older than this plugin, or the scaler newer than the operator: upgrade the operator with its CRD"
	}
	return e
}

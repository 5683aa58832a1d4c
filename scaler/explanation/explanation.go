// Package explanation makes the answer of Inspector.Explain: what was read of a queue, and the
// policy, become the decision with its arithmetic. The scaler and kubectl pubsub use it, so that
// both give the same answer from the same facts. It is pure: no I/O, no clock.
package explanation

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Reading is what is known of the queues of a target, summed up.
type Reading struct {
	Kind            string // of the queues, as ExplainResponse.queue_type
	Ready, InFlight int64  // messages, 0 or more
	LowerBound      bool   // the exact depth is not known, and there are at least so many
	AtLeast         bool   // and nothing may shrink by it; false for Pub/Sub
	InFlightKnown   bool   // InFlight is what is in flight; else it is what is seen of it
	At              time.Time
	Rate            *float64 // messages that arrive per second; nil while unknown
	RateLowerBound  bool
	Oldest          time.Time // since when the oldest message waits; the zero time if none does, or without maxAge
	Remarks         string    // what else there is to know of the queues, as the end of the explanation; empty: nothing
	Keys            []*inspectv1.KeyDepth

	Work              *Work  // the work in flight over time; nil if it is not known
	NoWork            string // why Work is nil, with the remedy
	ConcurrencyRemark string // what is wrong with workerConcurrency by what was seen; empty: nothing
}

// Work is what was in flight over time, in thousandths of messages.
type Work struct {
	Recent *int64        // the mean over policy.RecentWindow; nil until enough of it was seen
	Mean   int64         // the mean over the policy's window
	Seen   time.Duration // how long it was seen without a gap, at most the window
}

// Target is the state of what is scaled.
type Target struct {
	Replicas          int32
	LastScale         time.Time // the zero time: never
	ToleranceHonoured bool      // by the cluster's HPA
}

// OfDepth is the reading in a what-if question that gives the depth: nothing else of the queue
// counts then.
func OfDepth(kind string, depth int64, now time.Time) Reading {
	return Reading{
		Kind: kind, Ready: depth, At: now,
		NoWork: "queue_depth says nothing of the work in flight: leave it out to have Utilization decide",
	}
}

// Depth is the number of messages, at most math.MaxInt64.
func (r Reading) Depth() int64 {
	if r.InFlight > math.MaxInt64-r.Ready {
		return math.MaxInt64
	}
	return r.Ready + r.InFlight
}

// oldestAge is how long the oldest message has waited by now.
func (r Reading) oldestAge(now time.Time) time.Duration {
	if r.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(r.Oldest))
}

// inFlight is the work as the policy decides by it.
func (w *Work) inFlight() policy.InFlight {
	if w == nil {
		return policy.InFlight{}
	}
	in := policy.InFlight{Known: true, Window: w.Mean, Seen: w.Seen}
	if w.Recent != nil {
		in.Recent = *w.Recent
	}
	return in
}

// Evaluation is a decision, with everything that it was made from.
type Evaluation struct {
	Spec     policy.Spec
	Reading  Reading
	Target   Target
	Now      time.Time
	Decision policy.Decision
	InUse    policy.Name // the policy that decided
	Fallback string      // why that is not the spec's; empty if it is
}

// Evaluate decides. The spec must be valid.
func Evaluate(spec policy.Spec, reading Reading, target Target, now time.Time) Evaluation {
	e := Evaluation{Spec: spec, Reading: reading, Target: target, Now: now, InUse: policy.ByThreshold}
	if spec.Policy == policy.ByUtilization {
		if e.InUse = policy.ByUtilization; reading.Work == nil {
			e.InUse, e.Fallback = policy.ByThreshold, reading.NoWork
		}
	}
	e.Decision = e.InUse.Decider()(spec, policy.State{
		Replicas:  target.Replicas,
		Depth:     reading.Depth(),
		AtLeast:   reading.AtLeast,
		OldestAge: reading.oldestAge(now),
		InFlight:  reading.Work.inFlight(),
		LastScale: target.LastScale,
		Now:       now,
	})
	return e
}

// Value is what GetMetrics answers.
func (e Evaluation) Value() float64 {
	spec := e.Spec
	spec.Policy = e.InUse
	return float64(spec.MetricValue(e.Decision, e.Target.ToleranceHonoured))
}

// Response is the answer of Inspector.Explain. It fails if the contract has no name for the
// decision's action or reason.
func (e Evaluation) Response() (*inspectv1.ExplainResponse, error) {
	d, r := e.Decision, e.Reading
	action, told := actions[d.Action]
	reason, why := reasons[d.Reason]
	if !told || !why {
		return nil, fmt.Errorf("the contract has no name of action %d for reason %q", d.Action, d.Reason)
	}
	out := &inspectv1.ExplainResponse{
		QueueDepth:         r.Depth(),
		Ready:              r.Ready,
		InFlight:           r.InFlight,
		InFlightKnown:      r.InFlightKnown,
		DepthIsLowerBound:  r.LowerBound,
		QueueType:          r.Kind,
		SampleAge:          durationpb.New(max(0, e.Now.Sub(r.At))),
		Replicas:           d.Replicas,
		DesiredReplicas:    d.Desired,
		Action:             action,
		Reason:             reason,
		Explanation:        d.Text + r.Remarks,
		LastingExplanation: d.LastingText + r.Remarks,
		Remarks:            r.Remarks,
		Arithmetic:         d.Arithmetic,
		LowerBound:         d.LowerBound,
		UpperBound:         d.UpperBound,
		Active:             d.Active,
		MetricValue:        e.Value(),
		TargetQueueDepth:   float64(e.Spec.TargetQueueDepth),
		ToleranceHonoured:  e.Target.ToleranceHonoured,
		MessageRate:        r.Rate,
		Policy:             Policy(e.Spec),
		PolicyInUse:        string(e.InUse),
		FallbackReason:     e.Fallback,
		Keys:               r.Keys,

		MessageRateIsLowerBound: r.RateLowerBound,
	}
	e.tellBusy(out)
	if !r.Oldest.IsZero() {
		out.OldestAge = durationpb.New(r.oldestAge(e.Now))
	}
	if d.CooldownLeft > 0 {
		out.CooldownLeft = durationpb.New(d.CooldownLeft)
	}
	if !e.Target.LastScale.IsZero() {
		out.LastScaleTime = timestamppb.New(e.Target.LastScale)
	}
	return out, nil
}

// tellBusy adds what Utilization decides by.
func (e Evaluation) tellBusy(out *inspectv1.ExplainResponse) {
	if e.Spec.Policy != policy.ByUtilization {
		return
	}
	out.Slots = e.Spec.Slots(e.Decision.Replicas)
	w := e.Reading.Work
	if w == nil {
		return
	}
	out.BusyOverWindow, out.WindowSeen = new(messages(w.Mean)), durationpb.New(w.Seen)
	if w.Recent != nil {
		out.Busy = new(messages(*w.Recent))
		if out.GetSlots() > 0 {
			out.Utilization = new(100 * out.GetBusy() / float64(out.GetSlots()))
		}
	}
	out.ConcurrencyRemark = e.Reading.ConcurrencyRemark
}

// messages is a number that is given in thousandths.
func messages(thousandths int64) float64 { return float64(thousandths) / 1000 }

// Policy is a spec as the contract has it.
func Policy(spec policy.Spec) *inspectv1.Policy {
	message := &inspectv1.Policy{
		MinReplicas:          spec.MinReplicas,
		MaxReplicas:          spec.MaxReplicas,
		TargetQueueDepth:     spec.TargetQueueDepth,
		ScaleUpThreshold:     spec.ScaleUpThreshold,
		ScaleDownThreshold:   spec.ScaleDownThreshold,
		CooldownPeriod:       durationpb.New(spec.Cooldown),
		ActivationQueueDepth: spec.ActivationQueueDepth,
		MaxScaleUpStep:       spec.MaxScaleUpStep.String(),
		MaxScaleDownStep:     spec.MaxScaleDownStep.String(),
		Policy:               string(cmp.Or(spec.Policy, policy.ByThreshold)),
		WorkerConcurrency:    spec.WorkerConcurrency,
	}
	if spec.Policy == policy.ByUtilization {
		u := spec.UtilizationOrDefault()
		message.WorkerConcurrency = max(1, spec.WorkerConcurrency)
		message.UtilizationTarget, message.UtilizationScaleUp, message.UtilizationScaleDown = u.Target, u.ScaleUp, u.ScaleDown
		message.UtilizationWindow = durationpb.New(u.Window)
	}
	if spec.MaxAge > 0 {
		message.MaxAge = durationpb.New(spec.MaxAge)
	}
	return message
}

var actions = map[policy.Action]inspectv1.Action{
	policy.Hold:      inspectv1.Action_ACTION_HOLD,
	policy.ScaleUp:   inspectv1.Action_ACTION_SCALE_UP,
	policy.ScaleDown: inspectv1.Action_ACTION_SCALE_DOWN,
}

var reasons = map[policy.Reason]inspectv1.Reason{
	policy.WithinBand:                 inspectv1.Reason_REASON_WITHIN_BAND,
	policy.AboveUpperBound:            inspectv1.Reason_REASON_ABOVE_UPPER_BOUND,
	policy.BelowLowerBound:            inspectv1.Reason_REASON_BELOW_LOWER_BOUND,
	policy.Cooldown:                   inspectv1.Reason_REASON_COOLDOWN,
	policy.AtMaxReplicas:              inspectv1.Reason_REASON_AT_MAX_REPLICAS,
	policy.AtMinReplicas:              inspectv1.Reason_REASON_AT_MIN_REPLICAS,
	policy.FewerWouldExceedUpperBound: inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND,
	policy.Activation:                 inspectv1.Reason_REASON_ACTIVATION,
	policy.Idle:                       inspectv1.Reason_REASON_IDLE,
	policy.OutsideLimits:              inspectv1.Reason_REASON_OUTSIDE_LIMITS,
	policy.AboveMaxAge:                inspectv1.Reason_REASON_ABOVE_MAX_AGE,
	policy.DepthUncertain:             inspectv1.Reason_REASON_DEPTH_UNCERTAIN,
	policy.AboveUtilization:           inspectv1.Reason_REASON_ABOVE_UTILIZATION,
	policy.WorkersBusy:                inspectv1.Reason_REASON_WORKERS_BUSY,
	policy.WindowIncomplete:           inspectv1.Reason_REASON_WINDOW_INCOMPLETE,
}

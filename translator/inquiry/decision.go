package inquiry

import (
	"math"
	"strings"
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

const (
	// maxWords is how long a text of a decision may be in a status, in bytes. Ours have some
	// hundreds, but a scaler may be of another version.
	maxWords = 4096
	// oldestJitter is by how much the time of the oldest message may be off while it is the same
	// one: an age comes from the scaler, and the time of the answer from here.
	oldestJitter = 2 * time.Second
	// windowJitter is the same for how much of a window was seen.
	windowJitter = 10 * time.Second
	// maxTook is more than any message takes that makes a window.
	maxTook = 24 * time.Hour
	// maxWindow is more than any window of ours.
	maxWindow = 24 * time.Hour
	// maxSampleAge bounds how long before the answer a queue was read.
	maxSampleAge = time.Hour
)

// actions are those that a status may have. The API server would refuse the whole status for
// another one, which a newer scaler may have.
var actions = map[inspectv1.Action]v1.ScalingAction{
	inspectv1.Action_ACTION_HOLD:       v1.ScalingHold,
	inspectv1.Action_ACTION_SCALE_UP:   v1.ScalingUp,
	inspectv1.Action_ACTION_SCALE_DOWN: v1.ScalingDown,
}

// Decision is what the answer says of the decision, as a status has it; nil if there is none, or
// one with an action that only a newer scaler knows.
func (a *Answer) Decision() *v1.ScalingDecision {
	if a == nil || a.Err != nil {
		return nil
	}
	r := a.Response
	action, known := actions[r.GetAction()]
	if !known {
		return nil
	}
	read := a.At.Add(-min(max(r.GetSampleAge().AsDuration(), 0), maxSampleAge))
	d := &v1.ScalingDecision{
		ObservedTime:            seconds(read),
		Action:                  action,
		Reason:                  ReasonOf(r),
		Message:                 bounded(r.GetLastingExplanation()),
		Remarks:                 bounded(r.GetRemarks()),
		Arithmetic:              bounded(r.GetArithmetic()),
		Replicas:                r.GetReplicas(),
		DesiredReplicas:         r.GetDesiredReplicas(),
		QueueDepth:              r.GetQueueDepth(),
		DepthIsLowerBound:       r.GetDepthIsLowerBound(),
		Ready:                   r.GetReady(),
		QueueType:               bounded(r.GetQueueType()),
		LowerBound:              r.GetLowerBound(),
		UpperBound:              r.GetUpperBound(),
		Active:                  r.GetActive(),
		MessageRateIsLowerBound: r.GetMessageRateIsLowerBound(),
		Busy:                    thousandths(r.Busy),
		BusyOverWindow:          thousandths(r.BusyOverWindow),
		FallbackReason:          bounded(r.GetFallbackReason()),
		ToleranceIgnored:        !r.GetToleranceHonoured(),
	}
	if r.GetInFlightKnown() {
		d.InFlight = new(r.GetInFlight())
	}
	if last := r.GetLastScaleTime(); last.IsValid() { // from year 1 to 9999, as the API server takes it
		d.LastScaleTime = new(seconds(last.AsTime()))
	}
	if age := r.GetOldestAge(); age != nil {
		d.OldestMessageTime = new(seconds(a.At.Add(-age.AsDuration())))
	}
	if took := r.GetMeanTimeInFlight(); took.IsValid() {
		d.MeanTimeInFlight = &metav1.Duration{Duration: min(max(took.AsDuration(), 0), maxTook)}
	}
	if seen := r.GetWindowSeen(); seen != nil {
		d.WindowSeen = &metav1.Duration{Duration: min(max(seen.AsDuration(), 0), maxWindow)}
		if window := r.GetPolicy().GetUtilizationWindow().AsDuration(); window >= time.Second { // as the API server takes it
			d.Window = &metav1.Duration{Duration: min(window, maxWindow)}
		}
		if d.WindowSeen.Duration < a.Question.windowFor(d) {
			d.WindowSeen.Duration = d.WindowSeen.Truncate(time.Second)
		}
	}
	return d
}

// ReasonOf is the reason of an answer as a condition's; one without any counts as unknown.
func ReasonOf(response *inspectv1.ExplainResponse) string {
	if response.GetReason() == inspectv1.Reason_REASON_UNSPECIFIED {
		return v1.ReasonDecisionUnknown
	}
	return ReasonName(response.GetReason())
}

// windowFor is how far back the work in flight counts for the question's policy.
func (q Question) windowFor(d *v1.ScalingDecision) time.Duration {
	return WindowOf(d, q.spec())
}

// spec is the question's policy; of the zero Question, the zero one.
func (q Question) spec() policy.Spec {
	if q.policy == (unique.Handle[policy.Spec]{}) {
		return policy.Spec{}
	}
	return q.policy.Value()
}

// WindowOf is how far back the work in flight counts for a decision: the window that the scaler took. One that
// an older controller has told is told by the time in flight alone.
func WindowOf(d *v1.ScalingDecision, spec policy.Spec) time.Duration {
	switch {
	case d != nil && d.Window != nil:
		return d.Window.Duration
	case d != nil && d.MeanTimeInFlight != nil:
		return spec.WindowFor(d.MeanTimeInFlight.Duration, 0)
	default:
		return spec.UtilizationWindow()
	}
}

// SameDecision reports whether a decision says nothing that the last one did not say, for a
// policy. What only counts on is nothing new:
//
//   - busy and busyOverWindow, while they change by no more than 10 % or half a message;
//   - windowSeen while it grows, until it is the whole window;
//   - meanTimeInFlight while it makes no other window, and a window in place of which a scaler would keep
//     the one that was told: of two scalers, one may have begun with a time in flight that the other has not seen;
//   - the time of the oldest message, while it is the same message.
//
// So a decision is to be held against the last that was told, not against the last that was made.
func SameDecision(last, next *v1.ScalingDecision, spec policy.Spec) bool {
	if last == nil || next == nil {
		return last == next
	}
	return last.Action == next.Action && last.Reason == next.Reason && last.Message == next.Message && last.Remarks == next.Remarks &&
		inspect.WithoutDigits(last.Arithmetic) == inspect.WithoutDigits(next.Arithmetic) &&
		inspect.WithoutDigits(last.FallbackReason) == inspect.WithoutDigits(next.FallbackReason) &&
		last.Replicas == next.Replicas && last.DesiredReplicas == next.DesiredReplicas &&
		last.QueueDepth == next.QueueDepth && last.DepthIsLowerBound == next.DepthIsLowerBound && last.Ready == next.Ready &&
		equal(last.InFlight, next.InFlight) && last.QueueType == next.QueueType &&
		last.LowerBound == next.LowerBound && last.UpperBound == next.UpperBound && last.Active == next.Active &&
		sameTime(last.LastScaleTime, next.LastScaleTime, 0) && sameTime(last.OldestMessageTime, next.OldestMessageTime, oldestJitter) &&
		last.MessageRateIsLowerBound == next.MessageRateIsLowerBound && last.ToleranceIgnored == next.ToleranceIgnored &&
		near(last.Busy, next.Busy) && near(last.BusyOverWindow, next.BusyOverWindow) &&
		sameWindow(last, next, spec) && growsOn(last, next, spec)
}

// sameWindow reports whether the window that was told need not be told anew.
func sameWindow(last, next *v1.ScalingDecision, spec policy.Spec) bool {
	before, after := WindowOf(last, spec), WindowOf(next, spec)
	return before == after || next.MeanTimeInFlight != nil && spec.WindowFor(next.MeanTimeInFlight.Duration, before) == before
}

func equal(a, b *int64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func sameTime(a, b *metav1.Time, jitter time.Duration) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Sub(b.Time).Abs() <= jitter)
}

// near reports whether a mean number of messages has not changed by more than 10 % and half a message.
func near(last, next *resource.Quantity) bool {
	if last == nil || next == nil {
		return last == next
	}
	before, after := last.AsApproximateFloat64(), next.AsApproximateFloat64()
	return math.Abs(after-before) <= max(0.5, before/10)
}

// growsOn reports whether no more can be said of the window than that time has passed.
func growsOn(last, next *v1.ScalingDecision, spec policy.Spec) bool {
	if last.WindowSeen == nil || next.WindowSeen == nil {
		return last.WindowSeen == next.WindowSeen
	}
	before, after := last.WindowSeen.Duration, next.WindowSeen.Duration
	whole := after >= WindowOf(next, spec)
	if whole != (before >= WindowOf(last, spec)) {
		return false
	}
	grown := before + max(0, next.ObservedTime.Sub(last.ObservedTime.Time))
	return whole || after+windowJitter >= grown
}

// seconds is a time as a status keeps it.
func seconds(at time.Time) metav1.Time { return metav1.NewTime(at.Truncate(time.Second)) }

// thousandths is a mean number of messages as a status keeps it; nil while it is unknown.
func thousandths(messages *float64) *resource.Quantity {
	if messages == nil || math.IsNaN(*messages) {
		return nil
	}
	const most = 1 << 62 // an int64 holds it, as a float64 does
	return resource.NewMilliQuantity(int64(min(max(math.Round(1000**messages), 0), most)), resource.DecimalSI)
}

func bounded(words string) string {
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	return strings.ToValidUTF8(words, "")
}

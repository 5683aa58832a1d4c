package policy

import (
	"fmt"
	"time"
)

// State is what a decision is made from, besides the spec.
type State struct {
	Replicas int32 // the target's replicas now (spec.replicas of its scale)
	Depth    int64 // messages: those that are ready and those in flight
	// AtLeast says that Depth is only a lower bound: the true depth is Depth or more. Decide
	// then changes only what every such depth would change, and no further:
	//
	//	min(n, exact(q)) ≤ atLeast(Q) ≤ max(n, exact(q))   for n = Replicas and every q ≥ Q
	//
	// Depths have no upper limit. So the replicas grow as they would for Depth itself, and they
	// never shrink, except to MaxReplicas. A depth that is not known does not count as idle,
	// so KEDA does not remove the last replica. A target of 0 replicas wakes only when the
	// bound itself is above ActivationQueueDepth, because the true
	// depth may be no greater than that.
	AtLeast bool
	// OldestAge is how long the oldest message has waited. It is 0 if none waits, or if the
	// spec has no MaxAge.
	OldestAge time.Duration
	InFlight  InFlight  // for Utilization alone
	LastScale time.Time // the HPA's status.lastScaleTime; the zero time: it has never scaled
	Now       time.Time
}

// Action is what to do with the replicas.
type Action int

// The actions.
const (
	Hold Action = iota + 1
	ScaleUp
	ScaleDown
)

// Reason says why in one word, in the form of a Kubernetes condition's reason.
type Reason string

// The reasons.
const (
	WithinBand                 Reason = "WithinBand"
	AboveUpperBound            Reason = "AboveUpperBound"
	BelowLowerBound            Reason = "BelowLowerBound"
	Cooldown                   Reason = "Cooldown"
	AtMaxReplicas              Reason = "AtMaxReplicas"
	AtMinReplicas              Reason = "AtMinReplicas"
	FewerWouldExceedUpperBound Reason = "FewerWouldExceedUpperBound"
	Activation                 Reason = "Activation"
	Idle                       Reason = "Idle"
	OutsideLimits              Reason = "OutsideLimits"
	AboveMaxAge                Reason = "AboveMaxAge"
	DepthUncertain             Reason = "DepthUncertain"

	// These are Utilization's.
	AboveUtilization Reason = "AboveUtilization"
	WorkersBusy      Reason = "WorkersBusy"
	WindowIncomplete Reason = "WindowIncomplete"
)

// Decision is the replicas that are wanted, and why.
type Decision struct {
	Replicas     int32 // as in the State
	Desired      int32
	Action       Action
	Reason       Reason
	Text         string        // the message: the reason in a sentence, with the numbers
	LastingText  string        // the same message with points in time instead of seconds that count down, and without ages and averages
	Arithmetic   string        // how Desired is computed from the depth or the work in flight, and what limits it; empty if it comes from neither
	LowerBound   int64         // below this depth the target shrinks
	UpperBound   int64         // above this depth the target grows
	CooldownLeft time.Duration // more than 0 while the cooldown runs, even if it is not the reason
	Active       bool          // what IsActive answers
}

// Decider is a policy: its decision depends on the spec and the state alone. The scaler uses
// Decide; the simulation can use others.
type Decider func(Spec, State) Decision

// Decide applies the thresholds. The spec must be valid.
func Decide(spec Spec, state State) Decision {
	state.Depth = min(max(state.Depth, 0), maxDepth)
	n := int64(state.Replicas)
	d := Decision{
		Replicas:     state.Replicas,
		LowerBound:   (spec.TargetQueueDepth*n*int64(spec.ScaleDownThreshold) + 99) / 100,
		UpperBound:   spec.upperBound(n),
		CooldownLeft: cooldownLeft(spec, state),
		// Inactivity takes a target straight from any number of replicas to 0
		// (KEDA 2.21, pkg/scaling/executor/scale_scaledobjects.go:105-108), so a target
		// stays active until the HPA has brought it down.
		Active: state.Depth > spec.ActivationQueueDepth || spec.tooOld(state) || n > spec.floor() || state.AtLeast && n > 0,
	}
	switch {
	case n == 0 && spec.MinReplicas == 0:
		decideAtZero(&d, spec, state)
	case n < spec.floor() || n > int64(spec.MaxReplicas):
		// The HPA moves it to the limit at once, whatever we answer. From 0, KEDA does.
		d.to(min(max(n, spec.floor()), int64(spec.MaxReplicas)), OutsideLimits)
		verb := "are"
		if n == 1 {
			verb = "is"
		}
		d.Text = fmt.Sprintf("%s %s outside the limits %d to %d: %s", replicas(n), verb, spec.floor(), spec.MaxReplicas, d.change())
	case state.Depth > d.UpperBound, spec.tooOld(state):
		decideUp(&d, spec, state)
	case state.Depth < d.LowerBound:
		decideDown(&d, spec, state)
	default:
		d.to(n, WithinBand)
		d.Text = fmt.Sprintf("%s is between %d and %d (%d × %d × %d %% and %d %%): holding at %d",
			state.depthWords(), d.LowerBound, d.UpperBound, spec.TargetQueueDepth, n, spec.ScaleDownThreshold, spec.ScaleUpThreshold, n)
	}
	if d.LastingText == "" {
		d.LastingText = d.Text
	}
	return d
}

func decideAtZero(d *Decision, spec Spec, state State) {
	if state.Depth > spec.ActivationQueueDepth {
		d.to(1, Activation)
		d.Text = fmt.Sprintf("%s is above activationQueueDepth %d: %s", state.depthWords(), spec.ActivationQueueDepth, d.change())
		return
	}
	if spec.tooOld(state) {
		d.to(1, AboveMaxAge)
		now, lasting := spec.ageWords(state)
		d.Text, d.LastingText = now+": "+d.change(), lasting+": "+d.change()
		return
	}
	d.to(0, Idle)
	d.Text = fmt.Sprintf("%s is not above activationQueueDepth %d: staying at 0", state.depthWords(), spec.ActivationQueueDepth)
}

func decideUp(d *Decision, spec Spec, state State) {
	d.grow(spec, state, spec.demandOfDepth(d, state))
}

// demand is a number of replicas that is asked for, more than there are, and why.
type demand struct {
	fewest         int64 // the replicas
	reason         Reason
	bound, lasting string // the beginning of the message, and of the one that lasts
	formula, met   string // how fewest is computed, and what it is the fewest for; empty if it is not computed
}

// demandOfDepth is what a depth above the upper bound, or too old a message, asks for.
func (s Spec) demandOfDepth(d *Decision, state State) demand {
	n := int64(state.Replicas)
	if state.Depth <= d.UpperBound {
		// An age does not tell how many more replicas would help, so add one at a time.
		now, lasting := s.ageWords(state)
		return demand{fewest: n + 1, reason: AboveMaxAge, bound: now, lasting: lasting}
	}
	bound := fmt.Sprintf("%s is above %d = %d × %d × %d %%", state.depthWords(), d.UpperBound, s.TargetQueueDepth, n, s.ScaleUpThreshold)
	fewest := s.fewest(state.Depth)
	return demand{
		fewest: fewest, reason: AboveUpperBound, bound: bound, lasting: bound,
		formula: s.fewestFormula(state.Depth, fewest), met: ", the fewest replicas whose upper bound is not exceeded",
	}
}

// grow answers a demand within the limits, the step and the cooldown.
func (d *Decision) grow(spec Spec, state State, want demand) {
	n := int64(state.Replicas)
	desired := min(want.fewest, n+spec.MaxScaleUpStep.of(n), int64(spec.MaxReplicas))
	d.Arithmetic = ""
	var then string
	switch {
	case desired == n:
		d.to(n, AtMaxReplicas)
		then = fmt.Sprintf(", but maxReplicas is %d: holding at %d", spec.MaxReplicas, n)
	case d.CooldownLeft > 0:
		if want.formula != "" {
			d.Arithmetic = want.formula + onceCooled
		}
		d.holdForCooldown(want.bound, want.lasting, spec, state)
		return
	default:
		d.to(desired, want.reason)
		if want.formula != "" {
			d.Arithmetic = spec.growth(d, want)
		}
		then = ": " + d.change()
	}
	d.Text, d.LastingText = want.bound+then, want.lasting+then
}

// belowWords is the beginning of a message about a depth below the lower bound.
func (s Spec) belowWords(d *Decision, state State) string {
	return fmt.Sprintf("%s is below %d = %d × %d × %d %%", state.depthWords(), d.LowerBound, s.TargetQueueDepth, state.Replicas, s.ScaleDownThreshold)
}

// depthWords is the beginning of a message that compares the depth.
func (s State) depthWords() string {
	if s.AtLeast {
		return fmt.Sprintf("queue depth of at least %d", s.Depth)
	}
	return fmt.Sprintf("queue depth %d", s.Depth)
}

// tooOld tells whether the oldest message waits longer than it may.
func (s Spec) tooOld(state State) bool { return s.MaxAge > 0 && state.OldestAge > s.MaxAge }

// ageWords is the beginning of a message about maxAge: with the age of now, and without it.
func (s Spec) ageWords(state State) (now, lasting string) {
	return fmt.Sprintf("the oldest message has waited %s, longer than maxAge %s", seconds(state.OldestAge), seconds(s.MaxAge)),
		"the oldest message waits longer than maxAge " + seconds(s.MaxAge)
}

func decideDown(d *Decision, spec Spec, state State) {
	n := int64(state.Replicas)
	most := spec.mostOf(state.Depth)
	fewest := spec.fewest(state.Depth)
	desired := max(most, fewest, n-spec.MaxScaleDownStep.of(n), spec.floor())
	bound := spec.belowWords(d, state)
	switch {
	case state.AtLeast && (n > spec.floor() || spec.MinReplicas == 0):
		d.to(n, DepthUncertain)
		d.Text = fmt.Sprintf("queue depth is only known to be at least %d, so it may or may not be below %d = %d × %d × %d %%: holding at %d",
			state.Depth, d.LowerBound, spec.TargetQueueDepth, n, spec.ScaleDownThreshold, n)
	case n == spec.floor() && spec.MinReplicas == 0:
		d.to(n, AtMinReplicas)
		d.Text = fmt.Sprintf("%s, but only KEDA removes the last replica, once the queue has been idle for %s: holding at %d", bound, seconds(spec.Cooldown), n)
	case n == spec.floor():
		d.to(n, AtMinReplicas)
		d.Text = fmt.Sprintf("%s, but minReplicas is %d: holding at %d", bound, spec.MinReplicas, n)
	case desired >= n:
		d.to(n, FewerWouldExceedUpperBound)
		d.Text = fmt.Sprintf("%s, but above the upper bound of %s, %d = %d × %d × %d %%: holding at %d",
			bound, replicas(n-1), spec.upperBound(n-1), spec.TargetQueueDepth, n-1, spec.ScaleUpThreshold, n)
	case d.CooldownLeft > 0:
		d.Arithmetic = spec.mostFormula(state.Depth, most) + onceCooled
		d.holdForCooldown(bound, bound, spec, state)
	default:
		d.to(desired, BelowLowerBound)
		d.Arithmetic = spec.shrinkage(d, state.Depth, most, fewest)
		d.Text = bound + ": " + d.change()
	}
}

// upperBound is the greatest depth at which that many replicas are not too few, in messages.
func (s Spec) upperBound(replicas int64) int64 {
	return s.TargetQueueDepth * replicas * int64(s.ScaleUpThreshold) / 100
}

// mostOf is the most replicas whose lower bound a depth reaches.
func (s Spec) mostOf(depth int64) int64 {
	return 100 * depth / (s.TargetQueueDepth * int64(s.ScaleDownThreshold))
}

// fewest is the fewest replicas that keep the depth at or under the upper bound.
func (s Spec) fewest(depth int64) int64 {
	perReplica := s.TargetQueueDepth * int64(s.ScaleUpThreshold)
	fewest := 100 * depth / perReplica
	if 100*depth%perReplica != 0 {
		fewest++
	}
	return fewest
}

// replicas prints a number of replicas: "1 replica", "2 replicas".
func replicas(n int64) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

// change prints the step from the replicas that there are to those that are wanted.
func (d *Decision) change() string {
	return fmt.Sprintf("%d → %s", d.Replicas, replicas(int64(d.Desired)))
}

func (d *Decision) to(desired int64, reason Reason) {
	d.Desired, d.Reason = int32(desired), reason
	switch {
	case d.Desired > d.Replicas:
		d.Action = ScaleUp
	case d.Desired < d.Replicas:
		d.Action = ScaleDown
	default:
		d.Action = Hold
	}
}

func (d *Decision) holdForCooldown(bound, lasting string, spec Spec, state State) {
	d.to(int64(d.Replicas), Cooldown)
	d.Text = fmt.Sprintf("%s; holding at %d: %s of the %s cooldown left", bound, d.Replicas, seconds(d.CooldownLeft), seconds(spec.Cooldown))
	end := state.LastScale.Add(spec.Cooldown).Round(time.Second).UTC()
	d.LastingText = fmt.Sprintf("%s; holding at %d: the %s cooldown lasts until %s", lasting, d.Replicas, seconds(spec.Cooldown), end.Format(time.TimeOnly+" MST"))
	if state.LastScale.Sub(state.Now) > clockTolerance {
		ahead := "; the last scaling was at " + state.LastScale.UTC().Format(time.TimeOnly+" MST") + ", ahead of the scaler's clock: synchronize the nodes' clocks"
		d.Text, d.LastingText = d.Text+ahead, d.LastingText+ahead
	}
}

// clockTolerance is how far synchronized clocks may differ. It also covers the rounding of
// the HPA's lastScaleTime to whole seconds.
const clockTolerance = 5 * time.Second

// cooldownLeft is how long the cooldown still runs. If the last scaling is in the future,
// another machine's clock is ahead. It then counts as a scaling that happened just now, until
// that time has come: the fleet holds for that much longer, and the message says why.
func cooldownLeft(spec Spec, state State) time.Duration {
	if state.LastScale.IsZero() {
		return 0
	}
	since := max(0, state.Now.Sub(state.LastScale))
	return max(0, spec.Cooldown-since)
}

// seconds prints whole seconds, rounded up so that a running cooldown never reads "0 s".
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", (d+time.Second-1)/time.Second)
}

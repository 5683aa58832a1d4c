package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxWorkerConcurrency is the most messages that one worker may work on at once.
const MaxWorkerConcurrency = 10_000

// RecentWindow is the time over which InFlight.Recent is the mean: the HPA's default sync
// period, so that each sync sees what came since the one before.
const RecentWindow = 15 * time.Second

// UtilizationSpec configures Utilization. Percentages are of the fleet's slots: replicas ×
// WorkerConcurrency.
type UtilizationSpec struct {
	Target    int32         // percent busy that growing aims at, more than ScaleDown and less than ScaleUp
	ScaleUp   int32         // percent busy above which the fleet grows, 3 to 100
	ScaleDown int32         // percent busy that fewer replicas may at most have, 1 to 98
	Window    time.Duration // of work in flight that must be seen before the fleet shrinks, 15 s to 1 h, at least: see WindowFor
}

// DefaultUtilization holds the defaults: up above 90 % to 80 %, down to at most 70 % by 120 s.
func DefaultUtilization() UtilizationSpec {
	return UtilizationSpec{Target: 80, ScaleUp: 90, ScaleDown: 70, Window: 2 * time.Minute}
}

func (u UtilizationSpec) validate() error {
	var errs []error
	if u.ScaleDown < 1 || u.ScaleDown >= u.Target || u.Target >= u.ScaleUp || u.ScaleUp > 100 {
		errs = append(errs, fmt.Errorf("utilization has scaleDown %d, target %d and scaleUp %d: they must be from 1 to 100 and each more than the one before", u.ScaleDown, u.Target, u.ScaleUp))
	}
	if u.Window < RecentWindow || u.Window > MaxWindow {
		errs = append(errs, fmt.Errorf("utilization.window is %s: it must be from %s to 1h", u.Window, RecentWindow))
	}
	return errors.Join(errs...)
}

// InFlight is the work in flight over time. By Little's law its mean is the number of busy
// slots that the load needs, whatever the rates and however long a message takes. That is
// only so if what is in flight is in work: messages that a worker has fetched ahead, and those
// that wait for a retry, count as work that is not there.
type InFlight struct {
	Known  bool          // false if it can't be seen; the other fields are then without meaning
	Recent int64         // thousandths of messages: the mean of a sample each second over RecentWindow, or what was seen of it
	Window int64         // the same over UtilizationSpec.Window
	Seen   time.Duration // how much of UtilizationSpec.Window was seen
}

// maxInFlight is the greatest mean in flight, in thousandths; greater ones count as this.
// 100 × maxInFlight still fits in an int64.
const maxInFlight = maxDepth

// Utilization scales by how busy the workers are. The spec must be valid.
//
//   - Up: if the mean in flight of RecentWindow is above ScaleUp percent of the slots, to the
//     fewest replicas of which it is at most Target percent. If Decide asks for more, to as many
//     as that: saturated workers don't show how much more there is, and a depth does.
//   - Down: if Decide would go down, and no further than the mean in flight, of RecentWindow or
//     of Window with twice its standard error, whichever is more, is at most ScaleDown percent of
//     the fewer slots. A window of which a part was not seen is no reason to go down.
//
// Limits, steps, the cooldown, the age, activation and the last step to 0 are Decide's, by the
// same code. If what is in flight is not known, the decision is Decide's.
func Utilization(spec Spec, state State) Decision {
	d := Decide(spec, state)
	n := int64(state.Replicas)
	if !state.InFlight.Known || n < spec.floor() || n > int64(spec.MaxReplicas) {
		return d
	}
	state.Depth = min(max(state.Depth, 0), maxDepth)
	if want, busy := spec.demandOfWork(state); busy {
		deep := state.Depth > d.UpperBound || spec.tooOld(state)
		if !deep || want.fewest > spec.demandOfDepth(&d, state).fewest {
			d.grow(spec, state, want)
		}
		return d
	}
	shrinking := d.Action == ScaleDown || d.Reason == Cooldown && state.Depth < d.LowerBound
	if shrinking && !spec.tooOld(state) { // few messages, one of which is too old, wait for more workers
		d.shrinkByWork(spec, state)
	}
	return d
}

// demandOfWork is what the work in flight asks for, if the workers are too busy.
func (s Spec) demandOfWork(state State) (want demand, busy bool) {
	u, recent := s.utilization(), clampedInFlight(state.InFlight.Recent)
	n, slots := int64(state.Replicas), s.slotsOf(1)
	if 100*recent <= 1000*slots*n*int64(u.ScaleUp) {
		return demand{}, false
	}
	above := fmt.Sprintf("in flight on average over %s is above %s", seconds(RecentWindow), s.slotsWords(n, u.ScaleUp))
	fewest := s.fewestBusy(recent, u.Target)
	return demand{
		fewest: fewest, reason: AboveUtilization, bound: decimal(recent) + " " + above, lasting: "what is " + above,
		formula: s.busyFormula(recent, u.Target, fewest), met: s.busyMet(u.Target),
	}, true
}

// shrinkByWork limits a decision to go down, now or after the cooldown, to what the work in
// flight leaves room for.
func (d *Decision) shrinkByWork(spec Spec, state State) {
	u, n := spec.utilization(), int64(state.Replicas)
	busy, words := spec.evidence(state.InFlight)
	bound := spec.belowWords(d, state)
	fewest := spec.fewestBusy(busy, u.ScaleDown)
	switch {
	case state.InFlight.Seen < u.Window:
		d.to(n, WindowIncomplete)
		seen := max(0, state.InFlight.Seen).Truncate(time.Second)
		d.Text = fmt.Sprintf("%s, but the work in flight was seen for %s of the last %s only: holding at %d", bound, seconds(seen), seconds(u.Window), n)
		d.LastingText = fmt.Sprintf("%s, but the work in flight was not seen for all of the last %s: holding at %d", bound, seconds(u.Window), n)
	case fewest >= n:
		d.to(n, WorkersBusy)
		above := fmt.Sprintf("is above %s: holding at %d", spec.slotsWords(n-1, u.ScaleDown), n)
		d.Text, d.LastingText = fmt.Sprintf("%s, but %s %s", bound, words, above), fmt.Sprintf("%s, but the work in flight %s", bound, above)
	case d.Reason == Cooldown:
		if fewest > spec.mostOf(state.Depth) {
			d.Arithmetic = spec.busyFormula(busy, u.ScaleDown, fewest) + onceCooled
		}
		return
	case fewest > int64(d.Desired):
		d.to(fewest, BelowLowerBound)
		d.Arithmetic = spec.busyFormula(busy, u.ScaleDown, fewest) + spec.busyMet(u.ScaleDown)
		d.Text = bound + ": " + d.change()
		d.LastingText = d.Text
		return
	default:
		return
	}
	d.Arithmetic = ""
}

// evidence is the work in flight that fewer replicas must have room for, in thousandths: the
// mean of the last seconds, or that of the window and what it may be off, whichever is more.
//
// A mean of samples is known to within about two standard errors. The number of messages in
// work varies as a Poisson variable does, by the square root of its mean L, and there is a sample
// each second: the standard error is √(L ÷ seconds). Without it a small fleet would be taken a
// worker again and again by a window that happened to be quiet.
func (s Spec) evidence(in InFlight) (busy int64, words string) {
	window := s.utilization().Window
	mean, recent := clampedInFlight(in.Window), clampedInFlight(in.Recent)
	off := int64(2 * 1000 * math.Sqrt(float64(mean)/1000/window.Seconds()))
	if recent >= mean+off {
		return recent, fmt.Sprintf("%s in flight on average over %s", decimal(recent), seconds(RecentWindow))
	}
	return clampedInFlight(mean + off), fmt.Sprintf("%s in flight over %s (%s on average, and twice the standard error)", decimal(mean+off), seconds(window), decimal(mean))
}

// UtilizationOrDefault is Utilization, with its defaults.
func (s Spec) UtilizationOrDefault() UtilizationSpec { return s.utilization() }

// utilization is the configuration, with its defaults.
func (s Spec) utilization() UtilizationSpec {
	if s.Utilization == (UtilizationSpec{}) {
		return DefaultUtilization()
	}
	return s.Utilization
}

// Slots is how many messages that many replicas work on at once.
func (s Spec) Slots(replicas int32) int64 { return s.slotsOf(int64(replicas)) }

// slotsOf is how many messages that many replicas work on at once.
func (s Spec) slotsOf(replicas int64) int64 { return replicas * int64(max(1, s.WorkerConcurrency)) }

// fewestBusy is the fewest replicas of whose slots the work in flight, in thousandths, is at most
// that many percent.
func (s Spec) fewestBusy(inFlight int64, percent int32) int64 {
	perReplica := 1000 * s.slotsOf(1) * int64(percent)
	return (100*inFlight + perReplica - 1) / perReplica
}

func clampedInFlight(thousandths int64) int64 { return min(max(thousandths, 0), maxInFlight) }

// slotsWords is a percentage of the slots of that many replicas, with how it is computed.
func (s Spec) slotsWords(n int64, percent int32) string {
	return fmt.Sprintf("%s = %d × %d × %d %%", decimal(10*s.slotsOf(n)*int64(percent)), s.slotsOf(1), n, percent)
}

func (s Spec) busyFormula(inFlight int64, percent int32, fewest int64) string {
	return fmt.Sprintf("ceil(%s ÷ (%d × %d %%)) = %d", decimal(inFlight), s.slotsOf(1), percent, fewest)
}

func (s Spec) busyMet(percent int32) string {
	return fmt.Sprintf(", the fewest replicas that are at most %d %% busy", percent)
}

// decimal prints thousandths: "8.25", "9".
func decimal(thousandths int64) string {
	text := strconv.FormatInt(thousandths/1000, 10) + "." + fmt.Sprintf("%03d", thousandths%1000)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

package policy

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seed is that of the runs with two scalers: 0 takes the clock's. A failure tells it.
var seed = flag.Uint64("seed", 0, "of TestTwoScalersOverTime; 0: another one each time")

// steady is work that stays as it is, and leaves the queue empty.
func steady(n int64, load int64) State {
	return State{Replicas: int32(n), Depth: load / 1000, Now: now, InFlight: InFlight{Known: true, Recent: load, Window: load, Seen: time.Hour}}
}

// An HPA that keeps a tolerance of 0 comes to exactly what Utilization decides, and one that does
// not gets there or goes beyond by at most a tenth; where it stays, that is because it would come back.
func TestTheHPAComesToWhatUtilizationDecides(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	reasons := map[Reason]int{}
	for range *cases {
		s, state := randomWork(r)
		s.Policy = ByUtilization
		n := int64(state.Replicas)
		if n < s.floor() || n > int64(s.MaxReplicas) {
			continue
		}
		d := Utilization(s, state)
		require.EqualValues(t, d.Desired, hpaReplicas(s.MetricValue(d, true), s.TargetQueueDepth, n, 0), "%+v at %+v: %s", s, state, d.Text)
		if d.Action == Hold {
			require.Equal(t, n, hpaReplicas(s.MetricValue(d, false), s.TargetQueueDepth, n, 0.1), "%+v at %+v: %s", s, state, d.Text)
			continue
		}
		reasons[d.Reason]++
		rough := hpaReplicas(s.MetricValue(d, false), s.TargetQueueDepth, n, 0.1)
		if rough == n {
			landing := s.landing(d, s.beyondTolerance(d))
			require.True(t, s.turnsBack(d, landing) || s.turnsBackByWork(d, landing), "%+v at %+v: %s is lost in the tolerance", s, state, d.Text)
			continue
		}
		require.Equal(t, d.Action == ScaleUp, rough > n)
		require.LessOrEqual(t, max(rough-int64(d.Desired), int64(d.Desired)-rough), n/10, "%+v at %+v: %s", s, state, d.Text)
	}
	for _, reason := range []Reason{AboveUtilization, AboveUpperBound, BelowLowerBound} {
		require.Greater(t, reasons[reason], *cases/1000, "%s is tried", reason)
	}
}

// The numbers behind it: up from 99 % to 81 % goes beyond the tolerance by itself. Thresholds of 90, 89 and 88 % ask
// for a replica more, which the HPA would overshoot to where it is taken back.
func TestValuesOfUtilization(t *testing.T) {
	wide, tight := DefaultSpec(), DefaultSpec()
	wide.Policy, tight.Policy = ByUtilization, ByUtilization
	wide.MaxReplicas, tight.MaxReplicas = 1000, 1000
	tight.Utilization = UtilizationSpec{Target: 89, ScaleUp: 90, ScaleDown: 88, Window: time.Minute}
	for name, test := range map[string]struct {
		spec    Spec
		n, load int64 // thousandths
		desired int32
		rough   int64 // what an HPA with a tolerance of 10 % is told, in messages
	}{
		"99 of 100 busy":                    {wide, 100, 99_000, 124, 12_400},
		"91 of 100 busy":                    {wide, 100, 91_000, 114, 11_400},
		"tight: 90.1 of 100 busy":           {tight, 100, 90_100, 102, 10_200},
		"tight: 82.5 of 100 busy":           {tight, 100, 82_500, 97, 9_700},
		"50 of 100 busy":                    {wide, 100, 50_000, 80, 8_000},
		"67 of 100 busy, in two deviations": {wide, 100, 66_500, 98, 8_999},
		"all of 2 busy":                     {wide, 2, 2_000, 3, 300},
	} {
		t.Run(name, func(t *testing.T) {
			state := steady(test.n, test.load)
			state.Depth = 0
			d := Utilization(test.spec, state)
			require.Equal(t, test.desired, d.Desired, d.Text)
			require.Equal(t, 100*int64(test.desired), test.spec.MetricValue(d, true))
			require.Equal(t, test.rough, test.spec.MetricValue(d, false))
		})
	}
}

// With a constant load, an HPA with a tolerance of 10 % moves the replicas in one direction only too.
func TestUtilizationCannotFlapWithoutTolerance(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	moved, tight := 0, 0
	for range *cases {
		s := randomUtilization(r)
		s.Policy, s.MaxAge = ByUtilization, 0
		if r.IntN(2) == 0 { // what is near to one another
			down := 1 + r.Int32N(90)
			s.Utilization = UtilizationSpec{ScaleDown: down, Target: down + 1 + r.Int32N(4), ScaleUp: down + 5 + r.Int32N(4), Window: RecentWindow}
		}
		n := max(s.floor(), r.Int64N(int64(s.MaxReplicas)+1))
		load := r.Int64N(1000*s.slotsOf(n) + 1)
		direction := Hold
		for range 100 {
			d := Utilization(s, steady(n, load))
			next := hpaReplicas(s.MetricValue(d, false), s.TargetQueueDepth, n, 0.1)
			if next != int64(d.Desired) {
				tight++
			}
			next = min(next, n+s.MaxScaleUpStep.of(n), int64(s.MaxReplicas))
			next = max(next, n-s.MaxScaleDownStep.of(n), s.floor())
			if next == n {
				break
			}
			require.Truef(t, direction == Hold || d.Action == direction, "%+v flaps at load %d: %d → %d: %s", s, load, n, next, d.Text)
			direction, n = d.Action, next
			moved++
		}
	}
	require.Greater(t, moved, *cases/10, "it is tried")
	require.Greater(t, tight, *cases/100, "it is tried")
}

// looking is a scaler that samples a load each second, at a moment of its own.
type looking struct {
	samples []int64 // thousandths, the newest last
	since   int     // the second in which it started
}

func (l *looking) inFlight(s Spec, second int) InFlight {
	window := min(len(l.samples), int(s.utilization().Window/time.Second))
	recent := min(len(l.samples), int(RecentWindow/time.Second))
	if window == 0 {
		return InFlight{Known: true}
	}
	return InFlight{
		Known: true, Recent: mean(l.samples[len(l.samples)-recent:]), Window: mean(l.samples[len(l.samples)-window:]),
		Seen: time.Duration(second-l.since) * time.Second,
	}
}

// Two scalers look at the same queue at different moments, and now and then one of them starts anew. An HPA with
// or without a tolerance asks one of the two by chance, each 15 s. They know the last scaling from
// the cluster, and nothing of one another: the cooldown holds, and while the load stays within 3 % of its
// mean, they undo none of one another's scalings. The percentages must be further apart than the load varies.
func TestTwoScalersOverTime(t *testing.T) {
	start := *seed
	if start == 0 {
		start = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", start)
	r := rand.New(rand.NewPCG(start, 36))
	moved := 0
	for range max(20, *cases/200) {
		s := randomUtilization(r)
		s.Policy, s.MaxAge = ByUtilization, 0
		s.MaxReplicas = min(s.MaxReplicas, 1000)
		s.MinReplicas = min(s.MinReplicas, s.MaxReplicas)
		s.Cooldown = time.Duration(r.IntN(180)) * time.Second
		if down := 1 + r.Int32N(60); s.Utilization != (UtilizationSpec{}) {
			s.Utilization.ScaleDown, s.Utilization.Target, s.Utilization.ScaleUp = down, down+down/10+1+r.Int32N(10), down+down/5+12+r.Int32N(10)
		}
		require.NoError(t, s.Validate())
		n := max(s.floor(), r.Int64N(int64(s.MaxReplicas)+1))
		load := r.Int64N(1000*s.slotsOf(n)*97/100 + 1)
		kept := r.IntN(2) == 0 // the tolerance of 0
		scalers := [2]looking{}
		direction, last := Hold, time.Time{}
		for second := range 1200 {
			for i := range scalers {
				if r.IntN(1500) == 0 {
					scalers[i] = looking{since: second}
				}
				scalers[i].samples = append(scalers[i].samples, load+int64(float64(load)*0.03*(2*r.Float64()-1)))
			}
			if second%15 != 0 {
				continue
			}
			asked, at := scalers[r.IntN(2)], now.Add(time.Duration(second)*time.Second)
			d := Utilization(s, State{Replicas: int32(n), Depth: load / 1000, LastScale: last, Now: at, InFlight: asked.inFlight(s, second)})
			tolerance := 0.1
			if kept {
				tolerance = 0
			}
			next := hpaReplicas(s.MetricValue(d, kept), s.TargetQueueDepth, n, tolerance)
			next = min(next, n+s.MaxScaleUpStep.of(n), int64(s.MaxReplicas))
			next = max(next, n-s.MaxScaleDownStep.of(n), s.floor())
			if next == n {
				continue
			}
			require.Truef(t, last.IsZero() || at.Sub(last) >= s.Cooldown, "seed %d: %+v scales %s after the last time", start, s, at.Sub(last))
			require.Truef(t, direction == Hold || d.Action == direction, "seed %d: %+v flaps at load %d, second %d: %d → %d: %s", start, s, load, second, n, next, d.Text)
			direction, n, last = d.Action, next, at
			moved++
		}
	}
	require.Positive(t, moved, "it is tried")
}

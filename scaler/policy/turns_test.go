package policy

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// turning is a small spec, and a decision by a depth that goes up or down to desired.
func turning(r *rand.Rand) (s Spec, d Decision, landing int64) {
	s = Spec{
		Policy: ByUtilization, MinReplicas: 1, MaxReplicas: 50, TargetQueueDepth: 1 + r.Int64N(20),
		ScaleUpThreshold: 2 + r.Int32N(200), WorkerConcurrency: 1 + r.Int32N(3),
	}
	s.ScaleDownThreshold = 1 + r.Int32N(min(100, s.ScaleUpThreshold-1))
	down := 1 + r.Int32N(90)
	s.Utilization = UtilizationSpec{ScaleDown: down, Target: down + 1 + r.Int32N(4), ScaleUp: down + 5 + r.Int32N(5), Window: RecentWindow}
	d = Decision{Replicas: 1 + r.Int32N(8), Action: ScaleUp, Reason: AboveUpperBound}
	if d.Replicas > 1 && r.IntN(2) == 0 {
		d.Action, d.Reason, d.Desired = ScaleDown, BelowLowerBound, 1+r.Int32N(d.Replicas-1)
		return s, d, 1 + r.Int64N(int64(d.Desired))
	}
	d.Desired = d.Replicas + 1 + r.Int32N(4)
	return s, d, int64(d.Desired) + r.Int64N(3)
}

// What comes back at once is what some depth says, and none else: all depths are tried, by the rules as they are
// written and without a division.
func TestTurnsBackForSomeDepth(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	turns, edges := 0, 0
	tried := max(*cases/4, 20_000)
	for range tried {
		s, d, landing := turning(r)
		desired := int64(d.Desired)
		upper, lower := s.TargetQueueDepth*int64(s.ScaleUpThreshold), s.TargetQueueDepth*int64(s.ScaleDownThreshold)
		want := false
		for depth := range 3 + max((desired+1)*upper, landing*lower)/100 {
			hundred := 100 * depth
			if d.Action == ScaleUp {
				want = want || hundred > (desired-1)*upper && hundred < landing*lower
			} else {
				want = want || hundred <= desired*upper && hundred < (desired+1)*lower && hundred > landing*upper
			}
			if hundred == landing*lower || hundred == landing*upper {
				edges++
			}
		}
		want = want && landing != desired
		require.Equal(t, want, s.turnsBack(d, landing), "%+v %+v at %d", s, d, landing)
		if want {
			turns++
		}
	}
	require.Greater(t, turns, tried/20, "it is tried")
	require.Greater(t, edges, tried/20, "it is tried")
}

// The same by work in flight, of which all thousandths are tried.
func TestTurnsBackForSomeWork(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	turns := 0
	tried := max(*cases/20, 5000)
	for range tried {
		s, d, landing := turning(r)
		if d.Action == ScaleUp {
			d.Reason = AboveUtilization
		}
		u, n, desired := s.Utilization, int64(d.Replicas), int64(d.Desired)
		want := false
		for work := range 1000 * s.slotsOf(desired+3) {
			hundred := 100 * work
			if d.Action == ScaleUp {
				want = want || hundred > 1000*s.slotsOf(n)*int64(u.ScaleUp) && hundred > 1000*s.slotsOf(desired-1)*int64(u.Target) &&
					hundred <= 1000*s.slotsOf(landing-1)*int64(u.ScaleDown)
			} else {
				want = want || hundred <= 1000*s.slotsOf(desired)*int64(u.ScaleDown) && hundred > 1000*s.slotsOf(landing)*int64(u.ScaleUp)
			}
		}
		want = want && landing != desired
		require.Equal(t, want, s.turnsBackByWork(d, landing), "%+v %+v at %d", s, d, landing)
		if want {
			turns++
		}
	}
	require.Greater(t, turns, tried/50, "it is tried")
}

// The HPA goes no further than its policies let it, so a step of a few percent does not turn back where one without
// a limit would.
func TestALandingIsWithinTheStep(t *testing.T) {
	s := Spec{MinReplicas: 1, MaxReplicas: 1000, TargetQueueDepth: 100, ScaleUpThreshold: 100, ScaleDownThreshold: 95, MaxScaleUpStep: Step{Value: 5, Percent: true}}
	d := Decide(s, State{Replicas: 100, Depth: 20_000, Now: now})
	require.EqualValues(t, 105, d.Desired)
	require.EqualValues(t, 106, s.landing(d, 11_100), "the HPA rounds 5 % of 100 up, and one more")
	require.EqualValues(t, 11_001, s.MetricValue(d, false))
	s.MaxScaleUpStep = Step{Value: 5}
	require.EqualValues(t, 105, s.landing(d, 11_100))
	s.MaxScaleUpStep = Step{}
	require.EqualValues(t, 111, s.landing(d, 11_100))
	require.EqualValues(t, 10_500, s.MetricValue(d, false), "it would come back at once")
}

// A depth that no server may claim counts as the greatest, and one below 0 as none.
func TestDepthsBeyondAll(t *testing.T) {
	s := DefaultSpec()
	s.MaxReplicas = MaxReplicasLimit
	s.TargetQueueDepth, s.ScaleUpThreshold = MaxTargetQueueDepth, 1000
	for given, counts := range map[int64]int64{-1: 0, math.MinInt64: 0, maxDepth + 1: maxDepth, math.MaxInt64: maxDepth} {
		for name, decide := range map[string]Decider{"Threshold": Decide, "Utilization": Utilization} {
			for _, n := range []int32{0, 1, 3, 1000} {
				state := State{Replicas: n, Depth: given, Now: now, InFlight: InFlight{Known: true, Recent: given, Window: given, Seen: MaxWindow}}
				same := state
				same.Depth, same.InFlight.Recent, same.InFlight.Window = counts, counts, counts
				require.Equal(t, decide(s, same), decide(s, state), "%s, %d", name, given)
				state.InFlight.Window, same.InFlight.Window = 999_500, 999_500 // what keeps a fleet
				require.Equal(t, decide(s, same), decide(s, state), "%s, %d", name, given)
			}
		}
	}
}

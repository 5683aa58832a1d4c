package policy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// randomUtilization makes a random spec one for Utilization.
func randomUtilization(r *rand.Rand) Spec {
	s := randomSpec(r)
	s.WorkerConcurrency = int32(r.IntN(3) * r.IntN(50))
	if r.IntN(3) > 0 {
		down := 1 + r.Int32N(98)
		target := down + 1 + r.Int32N(99-down)
		s.Utilization = UtilizationSpec{ScaleDown: down, Target: target, ScaleUp: target + 1 + r.Int32N(100-target), Window: RecentWindow * time.Duration(1+r.IntN(20))}
	}
	return s
}

// randomInFlight is any work in flight, often near what the slots hold or near a threshold.
func randomInFlight(r *rand.Rand, s Spec, n int64) InFlight {
	one := func() int64 {
		switch slots := 1000 * s.slotsOf(n); r.IntN(5) {
		case 0:
			return 0
		case 1:
			return max(0, slots*int64(s.utilization().ScaleUp)/100+r.Int64N(5)-2)
		case 2:
			return max(0, slots*int64(s.utilization().ScaleDown)/100+r.Int64N(5)-2)
		default:
			return r.Int64N(slots + 2)
		}
	}
	return InFlight{Known: true, Recent: one(), Window: one(), Seen: time.Duration(r.Int64N(int64(2 * s.utilization().Window)))}
}

func randomWork(r *rand.Rand) (Spec, State) {
	s := randomUtilization(r)
	s.Cooldown = time.Duration(r.IntN(120)) * time.Second
	n := r.Int32N(s.MaxReplicas + s.MaxReplicas/4 + 1)
	return s, State{
		Replicas: n, Depth: randomDepth(r, s, int64(n)), AtLeast: r.IntN(8) == 0, OldestAge: randomAge(r),
		InFlight: randomInFlight(r, s, int64(n)), Now: now, LastScale: now.Add(-time.Duration(r.IntN(240)) * time.Second),
	}
}

// Whatever the work in flight is, there are never fewer than with the depth alone while that
// grows, nor ever fewer than by its step down, and limits, steps and the cooldown are kept.
func TestUtilizationStaysWithinTheLimitsAndNeverBelowThreshold(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	reasons := map[Reason]int{}
	for range *cases {
		s, state := randomWork(r)
		require.NoError(t, s.Validate())
		n := int64(state.Replicas)
		d, depth := Utilization(s, state), Decide(s, state)
		words := []any{"%+v at %+v: %s, by the depth: %s", s, state, d.Text, depth.Text}
		reasons[d.Reason]++
		require.GreaterOrEqualf(t, d.Desired, depth.Desired, words[0].(string), words[1:]...)
		require.Equal(t, depth.Active, d.Active, words...)
		require.NotEmpty(t, d.LastingText, words...)
		require.Equal(t, d.Desired > state.Replicas, d.Action == ScaleUp, words...)
		require.Equal(t, d.Desired < state.Replicas, d.Action == ScaleDown, words...)
		if n < s.floor() || n > int64(s.MaxReplicas) {
			require.Equal(t, depth, d, words...)
			continue
		}
		require.LessOrEqual(t, d.Desired, s.MaxReplicas, words...)
		require.LessOrEqual(t, int64(d.Desired)-n, s.MaxScaleUpStep.of(n), words...)
		if d.CooldownLeft > 0 {
			require.Equal(t, state.Replicas, d.Desired, words...)
		}
		if d.Action == ScaleDown {
			most := max(state.InFlight.Recent, state.InFlight.Window)
			require.LessOrEqual(t, 100*most, 1000*s.slotsOf(int64(d.Desired))*int64(s.utilization().ScaleDown), words...)
			require.GreaterOrEqual(t, state.InFlight.Seen, s.utilization().Window, words...)
		}
	}
	for _, reason := range []Reason{AboveUtilization, WorkersBusy, WindowIncomplete, BelowLowerBound, AboveUpperBound, Cooldown} {
		require.Greater(t, reasons[reason], *cases/1000, "%s is tried", reason)
	}
}

// If what is in flight is not known, or a whole window had none, the answer is Threshold's in
// every word.
func TestUtilizationWithoutWorkIsThreshold(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	down := 0
	for range *cases {
		s, state := randomWork(r)
		state.InFlight.Known = false
		require.Equal(t, Decide(s, state), Utilization(s, state))
		state.InFlight = InFlight{Known: true, Seen: s.utilization().Window}
		want := Decide(s, state)
		require.Equal(t, want, Utilization(s, state))
		if want.Action == ScaleDown && want.Reason == BelowLowerBound {
			down++
		}
	}
	require.Greater(t, down, *cases/100, "it is tried")
}

// A constant load that leaves the queue empty is answered by at most one move if steps set no
// limit, else by moves in one direction, and then the fleet holds for ever.
func TestUtilizationCannotFlap(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	moved := 0
	for range *cases {
		s := randomUtilization(r)
		n := s.MinReplicas + r.Int32N(s.MaxReplicas-s.MinReplicas+1)
		load := r.Int64N(1000*s.slotsOf(int64(max(1, n))) + 1)
		state := State{Depth: load / 1000, Now: now, InFlight: InFlight{Known: true, Recent: load, Window: load, Seen: time.Hour}}
		direction, steps := Hold, 0
		for ; steps <= 300; steps++ {
			state.Replicas = n
			d := Utilization(s, state)
			if d.Action == Hold {
				break
			}
			if n > 0 && d.Reason != OutsideLimits { // those are KEDA's and the HPA's
				require.Truef(t, direction == Hold || d.Action == direction, "%+v flaps at load %d: %s", s, load, d.Text)
				require.Falsef(t, direction == ScaleUp && s.MaxScaleUpStep == Step{} || direction == ScaleDown && s.MaxScaleDownStep == Step{},
					"%+v takes a second step at load %d: %s", s, load, d.Text)
				direction = d.Action
				moved++
			}
			n = d.Desired
		}
	}
	require.Greater(t, moved, *cases/10, "it is tried")
}

// Two scalers that answer by turns, one of which looked a second before the other, see windows
// that differ by a sample. They don't undo each other's scalings while the load stays within
// 5 % of its mean.
func TestTwoScalersThatDisagreeByOneSampleDontFlap(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	moved := 0
	for range *cases / 10 {
		s := randomUtilization(r)
		s.MaxReplicas = min(s.MaxReplicas, 1000)
		s.MinReplicas = min(s.MinReplicas, s.MaxReplicas)
		s.MaxAge = 0
		n := max(1, s.MinReplicas+r.Int32N(s.MaxReplicas-s.MinReplicas+1))
		window := int(s.utilization().Window / time.Second)
		load := r.Int64N(1000*s.slotsOf(int64(n)) + 1)
		samples := make([]int64, window+1)
		for i := range samples {
			samples[i] = load + int64(float64(load)*0.05*(2*r.Float64()-1))
		}
		direction := Hold
		for turn := range 40 {
			seen := samples[turn%2 : turn%2+window]
			state := State{Replicas: n, Depth: load / 1000, Now: now, InFlight: InFlight{Known: true, Recent: mean(seen[len(seen)-15:]), Window: mean(seen), Seen: time.Hour}}
			d := Utilization(s, state)
			if d.Action == Hold {
				continue
			}
			require.Truef(t, direction == Hold || d.Action == direction, "%+v flaps at load %d: %s", s, load, d.Text)
			direction, n = d.Action, d.Desired
			moved++
		}
	}
	require.Greater(t, moved, *cases/100, "it is tried")
}

func mean(samples []int64) int64 {
	var sum int64
	for _, sample := range samples {
		sum += sample
	}
	return sum / int64(len(samples))
}

// Where the depth and the work in flight meet: each of these is one off from another answer.
func TestAtTheEdgesOfDepthAndWork(t *testing.T) {
	spec := DefaultSpec()
	spec.Policy, spec.MaxAge = ByUtilization, time.Minute
	work := func(recent, window int64) InFlight {
		return InFlight{Known: true, Recent: recent, Window: window, Seen: time.Hour}
	}
	for name, test := range map[string]struct {
		state      State
		reason     Reason
		desired    int32
		arithmetic string
	}{
		"busy, at the upper bound": {State{Replicas: 3, Depth: 450, InFlight: work(2800, 2800)}, AboveUtilization, 4,
			"ceil(2.8 ÷ (1 × 80 %)) = 4, the fewest replicas that are at most 80 % busy"},
		"both ask for as many": {State{Replicas: 3, Depth: 500, InFlight: work(2800, 2800)}, AboveUpperBound, 4,
			"ceil(500 ÷ (100 × 150 %)) = 4, the fewest replicas whose upper bound is not exceeded"},
		"the step and the work leave as many": {State{Replicas: 10, Depth: 0, InFlight: work(5600, 0)}, BelowLowerBound, 8,
			"floor(0 ÷ (100 × 50 %)) = 0, but maxScaleDownStep 20% allows 2 fewer at once"},
		"the work leaves one more": {State{Replicas: 10, Depth: 0, InFlight: work(5601, 0)}, BelowLowerBound, 9,
			"ceil(5.601 ÷ (1 × 70 %)) = 9, the fewest replicas that are at most 70 % busy"},
		"deep, in the cooldown": {State{Replicas: 3, Depth: 900, InFlight: InFlight{Known: true}, LastScale: now.Add(-time.Second)}, Cooldown, 3,
			"ceil(900 ÷ (100 × 150 %)) = 6, applied within the limits once the cooldown is over"},
		"few, and no fewer than the least":       {State{Replicas: 1, Depth: 0, InFlight: InFlight{Known: true}}, AtMinReplicas, 1, ""},
		"an old message of few":                  {State{Replicas: 3, Depth: 10, OldestAge: 2 * time.Minute, InFlight: InFlight{Known: true}}, AboveMaxAge, 4, ""},
		"an old message of few, in the cooldown": {State{Replicas: 3, Depth: 10, OldestAge: 2 * time.Minute, InFlight: InFlight{Known: true}, LastScale: now.Add(-time.Second)}, Cooldown, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.state.Now = now
			d := Utilization(spec, test.state)
			assert.Equal(t, test.reason, d.Reason, d.Text)
			assert.Equal(t, test.desired, d.Desired, d.Text)
			assert.Equal(t, test.arithmetic, d.Arithmetic)
			if test.state.OldestAge > 0 {
				assert.Contains(t, d.Text, "the oldest message has waited 120 s")
			}
		})
	}
	busy, words := spec.evidence(work(4365, 4000))
	assert.EqualValues(t, 4365, busy)
	assert.Equal(t, "4.365 in flight on average over 15 s", words)
}

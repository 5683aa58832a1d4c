package policy

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cases is how many random specs each property is tried on (make property-test: a
// million). The seeds are fixed: a failure comes back.
var cases = flag.Int("cases", 20_000, "random specs for each property")

// randomSpec is any legal spec; small numbers are as likely as large ones.
func randomSpec(r *rand.Rand) Spec {
	upTo := func(most int64) int64 { // 1 to most, evenly over the orders of magnitude
		bound := int64(1)
		for bound < most && r.IntN(4) > 0 {
			bound = min(most, bound*4)
		}
		return 1 + r.Int64N(bound)
	}
	step := func() Step {
		switch r.IntN(3) {
		case 0:
			return Step{}
		case 1:
			return Step{Value: int32(upTo(1000))}
		default:
			return Step{Value: int32(upTo(100)), Percent: true}
		}
	}
	s := Spec{
		MaxReplicas:          int32(upTo(MaxReplicasLimit)),
		TargetQueueDepth:     upTo(MaxTargetQueueDepth),
		ScaleUpThreshold:     int32(2 + r.IntN(999)),
		ActivationQueueDepth: upTo(1000) - 1,
		MaxScaleUpStep:       step(),
		MaxScaleDownStep:     step(),
	}
	if r.IntN(3) == 0 {
		s.MaxAge = time.Duration(1+r.IntN(100)) * time.Second
	}
	s.MinReplicas = int32(r.Int64N(int64(s.MaxReplicas) + 1))
	s.ScaleDownThreshold = 1 + r.Int32N(min(100, s.ScaleUpThreshold-1))
	return s
}

// randomAge is the age of the oldest message, often longer than it may be.
func randomAge(r *rand.Rand) time.Duration { return time.Duration(r.IntN(120)) * time.Second }

// randomDepth is any depth, often near one of the bounds of n replicas.
func randomDepth(r *rand.Rand, s Spec, n int64) int64 {
	switch r.IntN(4) {
	case 0:
		return r.Int64N(maxDepth)
	case 1:
		return max(0, s.TargetQueueDepth*n*int64(s.ScaleUpThreshold)/100+r.Int64N(5)-2)
	case 2:
		return max(0, s.TargetQueueDepth*n*int64(s.ScaleDownThreshold)/100+r.Int64N(5)-2)
	default:
		return r.Int64N(2*s.TargetQueueDepth*int64(s.MaxReplicas) + 1)
	}
}

// The fleet can't flap: with a constant depth it moves in one direction only, and then
// holds for ever.
func TestItCannotFlap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range *cases {
		s := randomSpec(r)
		n := r.Int32N(s.MaxReplicas + 1)
		depth := randomDepth(r, s, int64(n))
		age := randomAge(r)
		start, direction := n, Hold
		for step := 0; ; step++ {
			d := Decide(s, State{Replicas: n, Depth: depth, OldestAge: age, Now: now})
			if d.Action == Hold {
				break
			}
			if n > 0 && d.Reason != OutsideLimits { // those are KEDA's and the HPA's
				require.Truef(t, direction == Hold || d.Action == direction, "%+v flaps at depth %d from %d: %s", s, depth, start, d.Text)
				direction = d.Action
			}
			n = d.Desired
			if s.MaxScaleUpStep == (Step{}) && d.Action == ScaleUp && d.Reason != AboveMaxAge {
				require.LessOrEqualf(t, step, 2, "%+v takes many steps up at depth %d from %d", s, depth, start)
			}
			if step > 300 {
				break // steps of 1 among a million replicas: long, but one way
			}
		}
	}
}

func TestDecisionsStayWithinTheLimitsAndSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range *cases {
		s := randomSpec(r)
		s.Cooldown = time.Duration(r.IntN(120)) * time.Second
		n := r.Int32N(2*s.MaxReplicas + 1)
		state := State{Replicas: n, Depth: randomDepth(r, s, int64(n)), OldestAge: randomAge(r), Now: now, LastScale: now.Add(-time.Duration(r.IntN(120)) * time.Second)}
		d := Decide(s, state)
		if n > 0 || s.MinReplicas > 0 {
			require.GreaterOrEqual(t, int64(d.Desired), s.floor(), d.Text)
			require.LessOrEqual(t, d.Desired, s.MaxReplicas, d.Text)
		}
		if d.Reason == OutsideLimits || n == 0 {
			continue
		}
		require.LessOrEqual(t, int64(d.Desired)-int64(n), s.MaxScaleUpStep.of(int64(n)), d.Text)
		require.LessOrEqual(t, int64(n)-int64(d.Desired), s.MaxScaleDownStep.of(int64(n)), d.Text)
		if d.CooldownLeft > 0 {
			require.Equal(t, n, d.Desired, "moved during the cooldown: %s", d.Text)
		}
		if n > 1 && int64(n) > s.floor() {
			require.True(t, d.Active, "KEDA would go from %d straight to 0", n)
		}
	}
}

func TestDecisionsAreMonotoneInDepth(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range *cases {
		s := randomSpec(r)
		n := r.Int32N(s.MaxReplicas + 1)
		a := randomDepth(r, s, int64(n))
		b := a + r.Int64N(1000)
		age := randomAge(r)
		less := Decide(s, State{Replicas: n, Depth: a, OldestAge: age, Now: now})
		more := Decide(s, State{Replicas: n, Depth: b, OldestAge: age, Now: now})
		require.LessOrEqualf(t, less.Desired, more.Desired, "%+v with %d replicas: depth %d (%s), depth %d (%s)", s, n, a, less.Text, b, more.Text)
	}
}

// A lower bound changes only what every depth that may be the truth would change, at least
// as far; with the depth alone it grows as if that were the truth.
func TestAtLeastChangesOnlyWhatEveryDepthWould(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	held := 0
	for range *cases {
		s := randomSpec(r)
		s.Cooldown = time.Duration(r.IntN(120)) * time.Second
		n := r.Int32N(s.MaxReplicas + s.MaxReplicas/4 + 1)
		state := State{Replicas: n, Depth: randomDepth(r, s, int64(n)), OldestAge: randomAge(r), Now: now, LastScale: now.Add(-time.Duration(r.IntN(240)) * time.Second)}
		exact := Decide(s, state)
		state.AtLeast = true
		atLeast := Decide(s, state)
		words := []any{"%+v with %d replicas: depth %d (%s), at least that (%s)", s, n, state.Depth, exact.Text, atLeast.Text}

		require.Equal(t, max(exact.Desired, min(n, s.MaxReplicas)), atLeast.Desired, words...)
		require.Equal(t, exact.Active || n > 0, atLeast.Active, words...)
		if atLeast.Reason == DepthUncertain {
			held++
			require.Equal(t, Hold, atLeast.Action, words...)
			require.Equal(t, int64(n)*s.TargetQueueDepth, s.MetricValue(atLeast, r.IntN(2) == 0), words...)
		}
		truth := state
		truth.AtLeast, truth.Depth = false, state.Depth+r.Int64N(1+2*s.TargetQueueDepth*int64(s.MaxReplicas))
		if r.IntN(4) == 0 {
			truth.Depth = max(state.Depth, randomDepth(r, s, int64(n)))
		}
		d := Decide(s, truth)
		require.GreaterOrEqualf(t, atLeast.Desired, min(n, d.Desired), "%+v with %d replicas: at least %d (%s), but %d (%s)", s, n, state.Depth, atLeast.Text, truth.Depth, d.Text)
		require.LessOrEqualf(t, atLeast.Desired, max(n, d.Desired), "%+v with %d replicas: at least %d (%s), but %d (%s)", s, n, state.Depth, atLeast.Text, truth.Depth, d.Text)
	}
	require.Greater(t, held, *cases/100, "it is tried")
}

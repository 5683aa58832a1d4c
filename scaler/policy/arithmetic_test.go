package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArithmetic(t *testing.T) {
	tests := map[string]struct {
		spec  func(*Spec)
		state State
		want  string
	}{
		"the fewest that suffice": {state: State{Replicas: 3, Depth: 500},
			want: "ceil(500 ÷ (100 × 150 %)) = 4, the fewest replicas whose upper bound is not exceeded"},
		"a lower bound": {state: State{Replicas: 3, Depth: 500, AtLeast: true},
			want: "ceil(500 ÷ (100 × 150 %)) = 4, the fewest replicas whose upper bound is not exceeded"},
		"maxReplicas": {state: State{Replicas: 3, Depth: 50_000},
			want: "ceil(50000 ÷ (100 × 150 %)) = 334, but maxReplicas is 10"},
		"a step up": {func(s *Spec) { s.MaxScaleUpStep = Step{Value: 50, Percent: true} }, State{Replicas: 4, Depth: 1400},
			"ceil(1400 ÷ (100 × 150 %)) = 10, but maxScaleUpStep 50% allows 2 more at once"},
		"a step up that ends at maxReplicas": {func(s *Spec) { s.MaxScaleUpStep = Step{Value: 7} }, State{Replicas: 3, Depth: 50_000},
			"ceil(50000 ÷ (100 × 150 %)) = 334, but maxReplicas is 10"},
		"the most that suffice": {func(s *Spec) { s.MaxScaleDownStep = Step{} }, State{Replicas: 10, Depth: 120},
			"floor(120 ÷ (100 × 50 %)) = 2, the most replicas whose lower bound is reached"},
		"fewer would be too few": {func(s *Spec) { s.ScaleDownThreshold, s.ScaleUpThreshold, s.MaxScaleDownStep = 100, 101, Step{} }, State{Replicas: 3, Depth: 190},
			"floor(190 ÷ (100 × 100 %)) = 1, but fewer than ceil(190 ÷ (100 × 101 %)) = 2 would exceed the upper bound"},
		"minReplicas": {func(s *Spec) { s.MinReplicas = 2 }, State{Replicas: 3, Depth: 0},
			"floor(0 ÷ (100 × 50 %)) = 0, but minReplicas is 2"},
		"the last replica": {func(s *Spec) { s.MinReplicas = 0 }, State{Replicas: 2, Depth: 0},
			"floor(0 ÷ (100 × 50 %)) = 0, but only KEDA removes the last replica"},
		"a step down": {state: State{Replicas: 10, Depth: 120},
			want: "floor(120 ÷ (100 × 50 %)) = 2, but maxScaleDownStep 20% allows 2 fewer at once"},
		"a cooldown before more": {state: State{Replicas: 4, Depth: 900, LastScale: now.Add(-time.Second)},
			want: "ceil(900 ÷ (100 × 150 %)) = 6, applied within the limits once the cooldown is over"},
		"a cooldown before fewer": {state: State{Replicas: 4, Depth: 100, LastScale: now.Add(-time.Second)},
			want: "floor(100 ÷ (100 × 50 %)) = 2, applied within the limits once the cooldown is over"},
		"a cooldown, and an age that asks for more": {func(s *Spec) { s.MaxAge = time.Minute }, State{Replicas: 4, Depth: 100, OldestAge: time.Hour, LastScale: now.Add(-time.Second)}, ""},
		"an age alone":   {func(s *Spec) { s.MaxAge = time.Minute }, State{Replicas: 4, Depth: 300, OldestAge: time.Hour}, ""},
		"the band":       {nil, State{Replicas: 3, Depth: 300}, ""},
		"at maxReplicas": {nil, State{Replicas: 10, Depth: 5000}, ""},
		"at minReplicas": {nil, State{Replicas: 1, Depth: 0}, ""},
		"uncertain":      {nil, State{Replicas: 10, Depth: 0, AtLeast: true}, ""},
		"outside limits": {nil, State{Replicas: 20, Depth: 0}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			if test.spec != nil {
				test.spec(&spec)
			}
			require.NoError(t, spec.Validate())
			test.state.Now = now
			d := Decide(spec, test.state)
			assert.Equal(t, test.want, d.Arithmetic, d.Text)
		})
	}
}

// The arithmetic names what limits a decision, and the number in it is the number of
// replicas that is wanted.
func TestArithmeticComesToTheDecision(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	shown := map[Reason]int{}
	for range *cases {
		s := randomSpec(r)
		s.MaxAge = 0
		n := r.Int32N(s.MaxReplicas + 1)
		d := Decide(s, State{Replicas: n, Depth: randomDepth(r, s, int64(n)), Now: now})
		moves := d.Reason == AboveUpperBound || d.Reason == BelowLowerBound
		require.Equal(t, moves, d.Arithmetic != "", "%+v with %d replicas: %s: %q", s, n, d.Text, d.Arithmetic)
		if !moves {
			continue
		}
		shown[d.Reason]++
		_, limit, limited := strings.Cut(d.Arithmetic, ", but ")
		step := max(d.Desired-n, n-d.Desired)
		ends := fmt.Sprintf(" = %d, the ", d.Desired)
		switch {
		case !limited:
			require.Contains(t, d.Arithmetic, ends, d.Text)
		case strings.HasPrefix(limit, "maxScale"):
			require.Contains(t, limit, fmt.Sprintf(" allows %d ", step), d.Text)
			require.LessOrEqual(t, int64(step), max(s.MaxScaleUpStep.of(int64(n)), s.MaxScaleDownStep.of(int64(n))))
			require.NotContains(t, limit, "Step  ", "no step limits this: %s: %s", d.Text, d.Arithmetic)
		case strings.HasPrefix(limit, "only KEDA"):
			require.EqualValues(t, 1, d.Desired, d.Arithmetic)
		default:
			require.Contains(t, limit, fmt.Sprintf(" %d", d.Desired), d.Text)
		}
	}
	require.Greater(t, min(shown[AboveUpperBound], shown[BelowLowerBound]), *cases/100, "it is tried")
}

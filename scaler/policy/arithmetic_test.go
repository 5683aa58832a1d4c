package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What limits a decision is what the arithmetic names: the number in the words is the one
// that is wanted.
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

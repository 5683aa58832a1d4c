package policy

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a decision is, its message says "1 replica" and "2 replicas".
func TestOneReplicaIsSingular(t *testing.T) {
	wrong := regexp.MustCompile(`(^|\D)1 replicas|([02-9]|\d\d) replica\b`)
	singular := regexp.MustCompile(`\b1 replica\b`)
	r := rand.New(rand.NewPCG(13, 14))
	one := 0
	for range *cases {
		s := randomSpec(r)
		n := r.Int32N(min(s.MaxReplicas, 4) + 2)
		d := Decide(s, State{Replicas: n, Depth: randomDepth(r, s, int64(n)), AtLeast: r.IntN(8) == 0, OldestAge: randomAge(r), Now: now})
		for _, text := range []string{d.Text, d.LastingText, d.Arithmetic} {
			require.NotRegexp(t, wrong, text)
			if singular.MatchString(text) {
				one++
			}
		}
	}
	require.Greater(t, one, *cases/100, "messages with one replica were not tried")
}

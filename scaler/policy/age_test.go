package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A queue whose oldest message is too old counts as over its upper bound.
func TestDecideByAge(t *testing.T) {
	const maxAge = time.Minute
	tests := map[string]struct {
		spec          func(*Spec)
		replicas      int32
		depth         int64
		age           time.Duration
		last          time.Duration // ago; 0: never
		desired       int32
		reason        Reason
		text, lasting string
	}{
		"within the band, but too old": {
			replicas: 3, depth: 300, age: 95 * time.Second, desired: 4, reason: AboveMaxAge,
			text:    "the oldest message has waited 95 s, longer than maxAge 60 s: 3 → 4 replicas",
			lasting: "the oldest message waits longer than maxAge 60 s: 3 → 4 replicas"},
		"below the band, but too old": {
			replicas: 3, depth: 1, age: 61 * time.Second, desired: 4, reason: AboveMaxAge},
		"as old as it may be": {
			replicas: 3, depth: 300, age: maxAge, desired: 3, reason: WithinBand},
		"over the upper bound, too: the depth decides": {
			replicas: 3, depth: 900, age: 95 * time.Second, desired: 6, reason: AboveUpperBound},
		"the cooldown holds": {
			replicas: 3, depth: 300, age: 95 * time.Second, last: 20 * time.Second, desired: 3, reason: Cooldown,
			text:    "the oldest message has waited 95 s, longer than maxAge 60 s; holding at 3: 40 s of the 60 s cooldown left",
			lasting: "the oldest message waits longer than maxAge 60 s; holding at 3: the 60 s cooldown lasts until 15:04:45 UTC"},
		"at maxReplicas": {
			replicas: 10, depth: 300, age: 95 * time.Second, desired: 10, reason: AtMaxReplicas,
			text: "the oldest message has waited 95 s, longer than maxAge 60 s, but maxReplicas is 10: holding at 10"},
		"wakes what sleeps": {
			spec:     func(s *Spec) { s.MinReplicas, s.ActivationQueueDepth = 0, 10 },
			replicas: 0, depth: 5, age: 95 * time.Second, desired: 1, reason: AboveMaxAge,
			text: "the oldest message has waited 95 s, longer than maxAge 60 s: 0 → 1 replica"},
		"no limit": {
			spec:     func(s *Spec) { s.MaxAge = 0 },
			replicas: 3, depth: 300, age: 95 * time.Hour, desired: 3, reason: WithinBand},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			spec.MaxAge = maxAge
			if test.spec != nil {
				test.spec(&spec)
			}
			require.NoError(t, spec.Validate())
			state := State{Replicas: test.replicas, Depth: test.depth, OldestAge: test.age, Now: now}
			if test.last > 0 {
				state.LastScale = now.Add(-test.last)
			}
			d := Decide(spec, state)
			assert.Equal(t, test.desired, d.Desired, d.Text)
			assert.Equal(t, test.reason, d.Reason, d.Text)
			assert.True(t, d.Active)
			if test.text != "" {
				assert.Equal(t, test.text, d.Text)
			}
			if test.lasting != "" {
				assert.Equal(t, test.lasting, d.LastingText)
			}
		})
	}
}

func TestMaxAgeIsValidated(t *testing.T) {
	for _, age := range []time.Duration{-time.Second, time.Millisecond, MaxMaxAge + 1} {
		spec := DefaultSpec()
		spec.MaxAge = age
		assert.ErrorContains(t, spec.Validate(), "maxAge is "+age.String()+": it must be from 1s to 720h0m0s")
	}
}

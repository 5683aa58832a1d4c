package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		spec     func(*Spec)
		replicas int32
		depth    int64
		last     time.Duration // ago; 0: never
		desired  int32
		action   Action
		reason   Reason
		active   bool
		text     string
	}{
		"worked example of the design: 3 replicas, 500 messages": {
			replicas: 3, depth: 500, desired: 4, action: ScaleUp, reason: AboveUpperBound, active: true,
			text: "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"the upper bound itself holds": {
			replicas: 3, depth: 450, desired: 3, action: Hold, reason: WithinBand, active: true,
			text: "queue depth 450 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3"},
		"one above the upper bound does not": {
			replicas: 3, depth: 451, desired: 4, action: ScaleUp, reason: AboveUpperBound, active: true},
		"the lower bound itself holds": {
			replicas: 4, depth: 200, desired: 4, action: Hold, reason: WithinBand, active: true},
		"one below the lower bound does not": {
			replicas: 4, depth: 199, desired: 3, action: ScaleDown, reason: BelowLowerBound, active: true,
			text: "queue depth 199 is below 200 = 100 × 4 × 50 %: 4 → 3 replicas"},
		"up to the fewest that suffice, in one step": {
			replicas: 2, depth: 1001, desired: 7, action: ScaleUp, reason: AboveUpperBound, active: true},
		"up no further than the step": {
			spec:     func(s *Spec) { s.MaxScaleUpStep = Step{Value: 2} },
			replicas: 2, depth: 1001, desired: 4, action: ScaleUp, reason: AboveUpperBound, active: true},
		"a step in percent is at least 1": {
			spec:     func(s *Spec) { s.MaxScaleUpStep = Step{Value: 10, Percent: true} },
			replicas: 2, depth: 1001, desired: 3, action: ScaleUp, reason: AboveUpperBound, active: true},
		"up no further than maxReplicas": {
			replicas: 9, depth: 100_000, desired: 10, action: ScaleUp, reason: AboveUpperBound, active: true},
		"at maxReplicas": {
			replicas: 10, depth: 100_000, desired: 10, action: Hold, reason: AtMaxReplicas, active: true,
			text: "queue depth 100000 is above 1500 = 100 × 10 × 150 %, but maxReplicas is 10: holding at 10"},
		"down by at most 20 %, rounded down": {
			replicas: 9, depth: 0, desired: 8, action: ScaleDown, reason: BelowLowerBound, active: true},
		"down by 20 % of 10": {
			replicas: 10, depth: 0, desired: 8, action: ScaleDown, reason: BelowLowerBound, active: true},
		"down without a limit, to the most that are over the lower bound": {
			spec:     func(s *Spec) { s.MaxScaleDownStep = Step{} },
			replicas: 10, depth: 130, desired: 2, action: ScaleDown, reason: BelowLowerBound, active: true},
		"down to minReplicas": {
			spec:     func(s *Spec) { s.MaxScaleDownStep = Step{}; s.MinReplicas = 3 },
			replicas: 10, depth: 0, desired: 3, action: ScaleDown, reason: BelowLowerBound, active: true},
		"at minReplicas": {
			spec:     func(s *Spec) { s.MinReplicas = 3 },
			replicas: 3, depth: 0, desired: 3, action: Hold, reason: AtMinReplicas,
			text: "queue depth 0 is below 150 = 100 × 3 × 50 %, but minReplicas is 3: holding at 3"},
		"only KEDA removes the last replica": {
			spec:     func(s *Spec) { s.MinReplicas = 0 },
			replicas: 1, depth: 0, desired: 1, action: Hold, reason: AtMinReplicas,
			text: "queue depth 0 is below 50 = 100 × 1 × 50 %, but only KEDA removes the last replica, once the queue has been idle for 60 s: holding at 1"},
		"active with more than one replica, so that KEDA never goes from N to 0": {
			spec:     func(s *Spec) { s.MinReplicas = 0 },
			replicas: 2, depth: 0, desired: 1, action: ScaleDown, reason: BelowLowerBound, active: true},
		"one fewer would cross the upper bound": {
			spec:     func(s *Spec) { s.ScaleDownThreshold, s.ScaleUpThreshold = 100, 101 },
			replicas: 2, depth: 102, desired: 2, action: Hold, reason: FewerWouldExceedUpperBound, active: true,
			text: "queue depth 102 is below 200 = 100 × 2 × 100 %, but above the upper bound of 1 replica, 101 = 100 × 1 × 101 %: holding at 2"},
		"cooldown holds on the way up": {
			replicas: 4, depth: 5000, last: 37 * time.Second, desired: 4, action: Hold, reason: Cooldown, active: true,
			text: "queue depth 5000 is above 600 = 100 × 4 × 150 %; holding at 4: 23 s of the 60 s cooldown left"},
		"cooldown holds on the way down": {
			replicas: 4, depth: 0, last: 59 * time.Second, desired: 4, action: Hold, reason: Cooldown, active: true,
			text: "queue depth 0 is below 200 = 100 × 4 × 50 %; holding at 4: 1 s of the 60 s cooldown left"},
		"cooldown is over after exactly its period": {
			replicas: 3, depth: 500, last: 60 * time.Second, desired: 4, action: ScaleUp, reason: AboveUpperBound, active: true},
		"a last scaling in the future counts as one now": {
			replicas: 3, depth: 500, last: -time.Hour, desired: 3, action: Hold, reason: Cooldown, active: true},
		"cooldown does not hide that the limit is reached": {
			replicas: 10, depth: 100_000, last: time.Second, desired: 10, action: Hold, reason: AtMaxReplicas, active: true},
		"idle at zero": {
			spec:     func(s *Spec) { s.MinReplicas = 0 },
			replicas: 0, depth: 0, desired: 0, action: Hold, reason: Idle,
			text: "queue depth 0 is not above activationQueueDepth 0: staying at 0"},
		"the first message wakes": {
			spec:     func(s *Spec) { s.MinReplicas = 0 },
			replicas: 0, depth: 1, last: time.Second, desired: 1, action: ScaleUp, reason: Activation, active: true,
			text: "queue depth 1 is above activationQueueDepth 0: 0 → 1 replica"},
		"activationQueueDepth must be exceeded": {
			spec:     func(s *Spec) { s.MinReplicas, s.ActivationQueueDepth = 0, 5 },
			replicas: 0, depth: 5, desired: 0, action: Hold, reason: Idle},
		"below minReplicas": {
			spec:     func(s *Spec) { s.MinReplicas = 3 },
			replicas: 1, depth: 0, last: time.Second, desired: 3, action: ScaleUp, reason: OutsideLimits,
			text: "1 replica is outside the limits 3 to 10: 1 → 3 replicas"},
		"above maxReplicas": {
			replicas: 12, depth: 0, last: time.Second, desired: 10, action: ScaleDown, reason: OutsideLimits, active: true},
		"0 replicas with minReplicas 1 are below the limit": {
			replicas: 0, depth: 0, desired: 1, action: ScaleUp, reason: OutsideLimits},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			if test.spec != nil {
				test.spec(&spec)
			}
			require.NoError(t, spec.Validate())
			state := State{Replicas: test.replicas, Depth: test.depth, Now: now}
			if test.last != 0 {
				state.LastScale = now.Add(-test.last)
			}
			got := Decide(spec, state)
			assert.Equal(t, test.desired, got.Desired, got.Text)
			assert.Equal(t, test.action, got.Action, got.Text)
			assert.Equal(t, test.reason, got.Reason, got.Text)
			assert.Equal(t, test.active, got.Active, "active")
			if test.text != "" {
				assert.Equal(t, test.text, got.Text)
			}
			assert.NotEmpty(t, got.Text)
			if got.Reason != Cooldown {
				assert.Equal(t, got.Text, got.LastingText)
			}
		})
	}
}

func TestValidateNamesFieldValueAndRemedy(t *testing.T) {
	tests := map[string]struct {
		mutate func(*Spec)
		want   string
	}{
		"target 0":      {func(s *Spec) { s.TargetQueueDepth = 0 }, "targetQueueDepth is 0: it must be from 1 to 1000000000"},
		"max 0":         {func(s *Spec) { s.MaxReplicas = 0; s.MinReplicas = 0 }, "maxReplicas is 0: it must be from 1 to 1000000"},
		"min negative":  {func(s *Spec) { s.MinReplicas = -1 }, "minReplicas is -1: it must be from 0 to 1000000"},
		"min above max": {func(s *Spec) { s.MinReplicas = 11 }, "minReplicas is 11, greater than maxReplicas 10: lower minReplicas or raise maxReplicas"},
		"down not below up": {func(s *Spec) { s.ScaleDownThreshold = 100; s.ScaleUpThreshold = 100 },
			"scaleDownThreshold is 100, not less than scaleUpThreshold 100: lower scaleDownThreshold or raise scaleUpThreshold"},
		"up too large":      {func(s *Spec) { s.ScaleUpThreshold = 1001 }, "scaleUpThreshold is 1001: it must be from 1 to 1000"},
		"cooldown negative": {func(s *Spec) { s.Cooldown = -time.Second }, "cooldownPeriod is -1: it must be from 0 to 86400"},
	}
	require.NoError(t, DefaultSpec().Validate())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			test.mutate(&spec)
			assert.ErrorContains(t, spec.Validate(), test.want)
		})
	}
}

func TestParseStep(t *testing.T) {
	for text, want := range map[string]Step{"": {}, "1": {Value: 1}, "20%": {Value: 20, Percent: true}, "1000000": {Value: 1_000_000}} {
		got, err := ParseStep(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	for _, text := range []string{"0", "-1", "0%", "%", "x", "1.5", "20 %", "1000001", "10000%", "99999999999"} {
		_, err := ParseStep(text)
		assert.ErrorContains(t, err, text)
	}
}

// What is kept must stay true while the cooldown runs.
func TestLastingTextDoesNotCountDown(t *testing.T) {
	scaled := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, since := range []time.Duration{time.Second, 1700 * time.Millisecond, 59 * time.Second} {
		got := Decide(DefaultSpec(), State{Replicas: 4, Depth: 5000, LastScale: scaled, Now: scaled.Add(since)})
		assert.Equal(t, "queue depth 5000 is above 600 = 100 × 4 × 150 %; holding at 4: the 60 s cooldown lasts until 15:05:05 UTC", got.LastingText)
	}
}

// What is only known to be at least so deep never shrinks, and is not idle.
func TestDecideByALowerBound(t *testing.T) {
	tests := map[string]struct {
		spec     func(*Spec)
		replicas int32
		depth    int64
		last     time.Duration // ago; 0: never
		desired  int32
		reason   Reason
		active   bool
		text     string
	}{
		"it holds where the bound alone would shrink": {
			spec:     func(s *Spec) { s.MaxReplicas = 200 },
			replicas: 200, depth: 1000, desired: 200, reason: DepthUncertain, active: true,
			text: "queue depth is only known to be at least 1000, so it may or may not be below 10000 = 100 × 200 × 50 %: holding at 200"},
		"no cooldown is waited for": {
			replicas: 4, depth: 0, last: time.Second, desired: 4, reason: DepthUncertain, active: true},
		"it grows": {
			replicas: 3, depth: 500, desired: 4, reason: AboveUpperBound, active: true,
			text: "queue depth of at least 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"within the band": {
			replicas: 3, depth: 300, desired: 3, reason: WithinBand, active: true,
			text: "queue depth of at least 300 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3"},
		"the last replica is not taken": {
			spec:     func(s *Spec) { s.MinReplicas = 0 },
			replicas: 1, depth: 0, desired: 1, reason: DepthUncertain, active: true},
		"at minReplicas": {
			replicas: 1, depth: 0, desired: 1, reason: AtMinReplicas, active: true},
		"above maxReplicas": {
			replicas: 12, depth: 0, desired: 10, reason: OutsideLimits, active: true},
		"0 replicas sleep on": {
			spec:     func(s *Spec) { s.MinReplicas, s.ActivationQueueDepth = 0, 5 },
			replicas: 0, depth: 5, desired: 0, reason: Idle,
			text: "queue depth of at least 5 is not above activationQueueDepth 5: staying at 0"},
		"0 replicas wake": {
			spec:     func(s *Spec) { s.MinReplicas, s.ActivationQueueDepth = 0, 5 },
			replicas: 0, depth: 6, desired: 1, reason: Activation, active: true,
			text: "queue depth of at least 6 is above activationQueueDepth 5: 0 → 1 replica"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			if test.spec != nil {
				test.spec(&spec)
			}
			require.NoError(t, spec.Validate())
			state := State{Replicas: test.replicas, Depth: test.depth, AtLeast: true, Now: now}
			if test.last != 0 {
				state.LastScale = now.Add(-test.last)
			}
			got := Decide(spec, state)
			assert.Equal(t, test.desired, got.Desired, got.Text)
			assert.Equal(t, test.reason, got.Reason, got.Text)
			assert.Equal(t, test.active, got.Active, "active")
			if test.text != "" {
				assert.Equal(t, test.text, got.Text)
			}
			assert.Equal(t, got.Text, got.LastingText)
		})
	}
}

package simulation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

func TestRateAwareDecisions(t *testing.T) {
	spec := policy.DefaultSpec()
	spec.MaxReplicas = 50
	spec.MaxScaleUpStep = policy.Step{Value: 20}
	for name, test := range map[string]struct {
		arrivals float64
		replicas int32
		depth    int64
		last     time.Duration // since the last scaling; 0: never
		desired  int32
	}{
		"up before a queue forms: 1.15 × 500 / 57": {arrivals: 500, replicas: 9, depth: 9, desired: 11},
		"down no further than arrivals allow":      {arrivals: 500, replicas: 12, depth: 0, desired: 11},
		"not down at all":                          {arrivals: 500, replicas: 11, depth: 0, desired: 11},
		"down by the policy's step":                {arrivals: 50, replicas: 30, depth: 0, desired: 24},
		"a queue is worked off in 15 s":            {arrivals: 300, replicas: 6, depth: 6000, desired: 13},
		"a queue that is worked off already":       {arrivals: 0, replicas: 20, depth: 3100, desired: 20},
		"no more than the policy's step":           {arrivals: 2000, replicas: 10, depth: 100, desired: 30},
		"no more than maxReplicas":                 {arrivals: 9000, replicas: 45, depth: 100, desired: 50},
		"cooldown":                                 {arrivals: 500, replicas: 9, depth: 9, last: 59 * time.Second, desired: 9},
		"after the cooldown":                       {arrivals: 500, replicas: 9, depth: 9, last: 60 * time.Second, desired: 11},
		"nothing to do":                            {arrivals: 1, replicas: 1, depth: 0, desired: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := rateAware{serviceRate: 57}
			for range 100 {
				r.counted(test.arrivals)
			}
			state := policy.State{Replicas: test.replicas, Depth: test.depth, Now: start}
			if test.last > 0 {
				state.LastScale = start.Add(-test.last)
			}
			got := r.decide(spec, state)
			assert.Equal(t, test.desired, got.Desired, got.Text)
			assert.Equal(t, test.desired == test.replicas, got.Action == policy.Hold)
		})
	}
}

func TestRatesAreSeenSoonAndForgottenLate(t *testing.T) {
	r := rateAware{serviceRate: 10}
	for range 60 {
		r.counted(100)
	}
	for range 5 {
		r.counted(1000)
	}
	assert.InDelta(t, 1000, r.average(shortWindow), 1e-9)
	for range 30 {
		r.counted(0)
	}
	assert.Greater(t, r.average(longWindow), 100.0)
	for range 60 {
		r.counted(0)
	}
	assert.Zero(t, r.average(longWindow))
}

// An earlier model of the same gave p99 waits of 0, 10 and 0 s with 54.7, 19.0 and 22.0
// replica-hours.
func TestRateAwareFigures(t *testing.T) {
	for name, most := range map[string]struct{ p99, replicaHours float64 }{
		"flash": {0.5, 55.5}, "spike": {12, 19}, "steady": {0.5, 22.5},
	} {
		builtIn, _ := trace.Lookup(name)
		r := Run(DefaultConfig(builtIn.Spec), builtIn.Arrivals(1), RateAware)
		assert.LessOrEqual(t, r.P99.Seconds(), most.p99, name)
		assert.LessOrEqual(t, r.ReplicaHours, most.replicaHours, name)
	}
}

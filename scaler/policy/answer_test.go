package policy

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hpaReplicas is what the HPA computes from a value (k8s.io/kubernetes v1.36,
// pkg/controller/podautoscaler/replica_calculator.go, GetExternalPerPodMetricReplicas).
func hpaReplicas(value, target, replicas int64, tolerance float64) int64 {
	ratio := float64(value) / (float64(target) * float64(replicas))
	if ratio >= 1-tolerance && ratio <= 1+tolerance {
		return replicas
	}
	return (value + target - 1) / target
}

func TestMetricValueMakesTheHPAScale(t *testing.T) {
	spec := DefaultSpec()
	spec.MaxReplicas = 2000
	for _, target := range []int64{1, 3, 100, 1_000_000_000} {
		spec.TargetQueueDepth = target
		for n := int32(1); n <= 1000; n++ {
			for _, desired := range []int32{n - 1, n, n + 1, n + n/5, n - n/5} {
				if desired < 1 {
					continue
				}
				d := Decision{Replicas: n}
				d.to(int64(desired), AboveUpperBound)
				exact := hpaReplicas(spec.MetricValue(d, true), target, int64(n), 0)
				require.EqualValues(t, desired, exact, "tolerance 0, target %d: %d → %d", target, n, desired)

				rough := hpaReplicas(spec.MetricValue(d, false), target, int64(n), 0.1)
				tenth := int64(n) / 10
				switch d.Action {
				case Hold:
					require.EqualValues(t, n, rough)
				case ScaleUp:
					require.GreaterOrEqual(t, rough, int64(desired), "target %d: %d → %d", target, n, desired)
					require.LessOrEqual(t, rough, int64(desired)+tenth)
				case ScaleDown:
					require.LessOrEqual(t, rough, int64(desired), "target %d: %d → %d", target, n, desired)
					require.GreaterOrEqual(t, rough, int64(desired)-tenth)
				}
			}
		}
	}
}

// The HPA overshoots where it ignores small changes. It is left to do so, unless the policy
// would turn back from where it lands.
func TestMetricValueWithoutTolerance(t *testing.T) {
	bounds := func(up, down int32) func(*Spec) {
		return func(s *Spec) { s.ScaleUpThreshold, s.ScaleDownThreshold = up, down }
	}
	narrow := bounds(101, 100)
	tests := map[string]struct {
		spec              func(*Spec)
		replicas, desired int32
		value             int64
	}{
		"just beyond the tolerance, up":   {replicas: 100, desired: 101, value: 11_001},
		"just beyond the tolerance, down": {replicas: 100, desired: 99, value: 8_999},
		"a tenth that is not whole, up":   {replicas: 101, desired: 102, value: 11_111},
		"a tenth that is not whole, down": {replicas: 101, desired: 100, value: 9_089},
		"already beyond it, up":           {replicas: 100, desired: 111, value: 11_100},
		"already beyond it, down":         {replicas: 100, desired: 89, value: 8_900},
		"hold":                            {replicas: 100, desired: 100, value: 10_000},
		"from 0":                          {replicas: 0, desired: 1, value: 100},
		"would turn back, up":             {spec: narrow, replicas: 100, desired: 101, value: 10_100},
		"would turn back, down":           {spec: narrow, replicas: 100, desired: 99, value: 9_900},
		"fewer than 10 don't overshoot":   {spec: narrow, replicas: 9, desired: 10, value: 1_000},
		"maxReplicas keep it from overshooting": {replicas: 100, desired: 101, value: 11_001,
			spec: func(s *Spec) { narrow(s); s.MaxReplicas = 101 }},
		"minReplicas keep it from overshooting": {replicas: 100, desired: 99, value: 8_999,
			spec: func(s *Spec) { narrow(s); s.MinReplicas = 99 }},
		"a step keeps it from overshooting": {replicas: 20, desired: 21, value: 2_201,
			spec: func(s *Spec) { narrow(s); s.MaxScaleUpStep = Step{Value: 1} }},
		"the HPA may round a step up": {replicas: 100, desired: 101, value: 10_100,
			spec: func(s *Spec) { narrow(s); s.MaxScaleUpStep = Step{Value: 1, Percent: true} }},
		"the HPA may round a step up, down": {replicas: 100, desired: 99, value: 9_900,
			spec: func(s *Spec) { narrow(s); s.MaxScaleDownStep = Step{Value: 1, Percent: true} }},
		"bounds far enough from each other, up":   {spec: bounds(115, 100), replicas: 20, desired: 21, value: 2_201},
		"bounds too near to each other, up":       {spec: bounds(114, 100), replicas: 20, desired: 21, value: 2_100},
		"bounds far enough from each other, down": {spec: bounds(112, 100), replicas: 20, desired: 19, value: 1_799},
		"bounds too near to each other, down":     {spec: bounds(110, 100), replicas: 20, desired: 19, value: 1_900},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := DefaultSpec()
			spec.MaxReplicas, spec.MaxScaleDownStep = 1000, Step{}
			if test.spec != nil {
				test.spec(&spec)
			}
			d := Decision{Replicas: test.replicas}
			d.to(int64(test.desired), AboveUpperBound)
			assert.Equal(t, test.value, spec.MetricValue(d, false))
		})
	}
}

// With a queue that stays as it is, an HPA with a tolerance of 10 % moves the replicas in
// one direction only too, whether it takes a step as it is or rounded up.
func TestItCannotFlapWithoutTolerance(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	mostOf := func(step Step, n int64) int64 {
		if step.Percent {
			return max(step.of(n), n*int64(step.Value)/100+r.Int64N(2))
		}
		return step.of(n)
	}
	for range *cases {
		s := randomSpec(r)
		s.ScaleUpThreshold = s.ScaleDownThreshold + 1 + r.Int32N(40)
		n := r.Int64N(int64(s.MaxReplicas) + 1)
		depth := randomDepth(r, s, n)
		n = max(n, s.floor())
		direction := Hold
		for range 100 {
			d := Decide(s, State{Replicas: int32(n), Depth: depth, Now: now})
			next := hpaReplicas(s.MetricValue(d, false), s.TargetQueueDepth, n, 0.1)
			next = min(next, n+mostOf(s.MaxScaleUpStep, n), int64(s.MaxReplicas))
			next = max(next, n-mostOf(s.MaxScaleDownStep, n), s.floor())
			if next == n {
				break
			}
			require.Truef(t, direction == Hold || d.Action == direction, "%+v flaps at depth %d: %d → %d: %s", s, depth, n, next, d.Text)
			direction, n = d.Action, next
		}
	}
}

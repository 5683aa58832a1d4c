package policy

import (
	"math/rand/v2"
	"testing"

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

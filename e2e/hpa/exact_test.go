package hpa_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Where the API server keeps behavior.*.tolerance, the HPA sets exactly the replicas that
// the policy decides, at the same sync, and writes nothing while the policy holds: for any
// legal policy, any queue, calls that take time, somebody else who scales the target in
// between, and pods that are not yet, or still, there.
func TestHPADoesExactlyWhatThePolicyDecides(t *testing.T) {
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, true)
		scale := f.meddle
		f.meddle = func(s *hpaSync) {
			if scale != nil {
				scale(s)
			}
			if r.IntN(5) == 0 { // a rollout, or a quota
				s.status = r.Int32N(2*s.spec + 2)
			}
		}
		for i, s := range f.follow(t, r, 200) {
			want := s.decision.Desired
			if s.spec == 0 {
				want = 0 // the HPA is off: this step is KEDA's
			}
			require.Equalf(t, want, s.after, "sync %d of %+v every %s: %s\n%+v", i, f.spec, f.period, s.decision.Text, *s.hpaSync)
			if want == s.spec {
				require.Zerof(t, s.writes, "sync %d: %s", i, s.decision.Text)
			}
		}
	})
}

// The HPA's replica calculator makes of each answer the replicas that are wanted: from each
// number of replicas from 1 to 1,000 to its neighbours, itself and some farther ones.
func TestEveryChangeIsExact(t *testing.T) {
	for _, target := range []int64{1, 3, 7, 100, 333, 12_345, 999_999_937, policy.MaxTargetQueueDepth} {
		for n := int32(1); n <= 1000; n++ {
			for _, desired := range changes(n) {
				requireExact(t, n, desired, target)
			}
		}
	}
}

// Beyond 1,000 replicas the answer is exact as far as float64 is, in which the HPA reckons.
func TestAnyChangeIsExactUpToThePrecisionOfTheHPA(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	t.Logf("seed %d, %d cases", *seed, *cases)
	for range 200 * *cases {
		n := int32(upTo(r, policy.MaxReplicasLimit))
		desired := oneOf(r, n, n+1, max(1, n-1), int32(upTo(r, policy.MaxReplicasLimit)))
		const most = 70_000_000_000_000 // messages
		requireExact(t, n, desired, upTo(r, min(policy.MaxTargetQueueDepth, most/int64(desired))))
	}
}

func requireExact(t *testing.T, n, desired int32, target int64) {
	t.Helper()
	spec := policy.DefaultSpec()
	spec.MaxReplicas, spec.TargetQueueDepth = policy.MaxReplicasLimit, target
	if got := calculate(t, n, spec.MetricValue(decision(n, desired), true), target); got != desired {
		t.Fatalf("target %d: %d → %d: the HPA wants %d", target, n, desired, got)
	}
}

// changes are the neighbours of a number of replicas, itself, and some farther ones.
func changes(n int32) []int32 {
	all := []int32{1, n - n/5, n - n/10, n - 2, n - 1, n, n + 1, n + 2, n + n/10, n + n/5}
	return slices.DeleteFunc(all, func(desired int32) bool { return desired < 1 })
}

// calculate is what the HPA's replica calculator proposes, with a tolerance of 0.
func calculate(t *testing.T, replicas int32, value, target int64) int32 {
	t.Helper()
	client := &run{metric: func(*hpaSync) float64 { return float64(value) }, syncs: []*hpaSync{{}}}
	calculator := podautoscaler.NewReplicaCalculator(metrics.NewRESTMetricsClient(nil, nil, client.metricsClient()), nil, 0, 0)
	milli := quantity(float64(target))
	proposed, _, _, err := calculator.GetExternalPerPodMetricReplicas(replicas, milli.MilliValue(), metricName, podautoscaler.Tolerances{}, namespace, nil)
	require.NoError(t, err)
	return proposed
}

func decision(replicas, desired int32) policy.Decision {
	d := policy.Decision{Replicas: replicas, Desired: desired, Action: policy.Hold}
	switch {
	case desired > replicas:
		d.Action = policy.ScaleUp
	case desired < replicas:
		d.Action = policy.ScaleDown
	}
	return d
}

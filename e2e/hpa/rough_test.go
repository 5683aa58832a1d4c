package hpa_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Where the API server drops behavior.*.tolerance, as all before Kubernetes 1.35 do, and
// the controller has its default tolerance, the HPA
//   - leaves the replicas alone at each sync where the policy holds,
//   - never goes the other way than the policy,
//   - goes as far as the policy wants at least, at the same sync,
//   - and farther by at most a tenth of the replicas, rounded down, within the limits and
//     the policies of its behavior, which are the policy's steps, a percentage rounded up.
//
// It leaves a step of less than a tenth alone only where the bounds are so near to each
// other that the policy would turn back: scaleUpThreshold < 1.25 × scaleDownThreshold; or, of
// Utilization, target < 1.25 × scaleDown.
func TestWithoutToleranceTheHPAOvershootsByATenthAtMost(t *testing.T) {
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, false)
		for i, s := range f.follow(t, r, 200) {
			if why := f.tooRough(s); why != "" {
				t.Fatalf("sync %d: %s: %d → %d: %s\n%+v, sync every %s", i, why, s.spec, s.after, s.decision.Text, f.spec, f.period)
			}
		}
	})
}

// tooRough says what is wrong with a sync; nothing: "".
func (f follower) tooRough(s decided) string {
	n, desired, after := s.hpaSync.spec, s.decision.Desired, s.after
	if n == 0 {
		desired = 0 // the HPA is off: this step is KEDA's
	}
	if n == 0 || !s.asked || s.decision.Action == policy.Hold {
		if after != desired || s.writes > 0 && desired == n {
			return "not what the policy wants"
		}
		return ""
	}
	if after == n {
		narrow := 100*f.spec.ScaleUpThreshold < 125*f.spec.ScaleDownThreshold
		if u := f.spec.UtilizationOrDefault(); f.byWork() { // the target is less than scaleUp
			narrow = narrow || 100*u.Target < 125*u.ScaleDown
		}
		if !narrow || 10*max(desired-n, n-desired) > n {
			return "a step that does not happen"
		}
		return ""
	}
	if after > f.spec.MaxReplicas || after < max(1, f.spec.MinReplicas) {
		return "beyond the limits"
	}
	wanted, taken, tenth := desired-n, after-n, n/10
	if s.decision.Action == policy.ScaleDown {
		wanted, taken = -wanted, -taken
	}
	switch {
	case taken < 0:
		return "the wrong way"
	case taken < wanted:
		return "not far enough"
	case taken > wanted+tenth, taken > max(wanted, tenth+1):
		return "more than a tenth too far"
	case taken > f.mostStep(s):
		return "farther than the step lets it"
	}
	return ""
}

// mostStep is what the behavior allows: a step in percent, rounded up, where the HPA's
// float64 may be just above a whole number.
func (f follower) mostStep(s decided) int32 {
	step := f.spec.MaxScaleUpStep
	if s.decision.Action == policy.ScaleDown {
		step = f.spec.MaxScaleDownStep
	}
	switch {
	case step == policy.Step{}:
		return f.spec.MaxReplicas
	case step.Percent:
		return s.hpaSync.spec*step.Value/100 + 1
	default:
		return step.Value
	}
}

// The bound above is reached, and not by chance: from each number of replicas from 1 to
// 1,000 to its neighbours and some farther ones, with nothing but the tolerance between.
func TestEveryChangeHappensWithoutTolerance(t *testing.T) {
	most := int32(0)
	for _, target := range []int64{1, 7, 100} {
		for _, s := range everyChange(t, target) {
			if why := s.tooRough(s.decided); why != "" {
				t.Fatalf("target %d: %s: %d → %d, not %d", target, why, s.decision.Replicas, s.after, s.decision.Desired)
			}
			overshoot := max(s.after-s.decision.Desired, s.decision.Desired-s.after)
			require.LessOrEqual(t, 10*overshoot, s.decision.Replicas)
			most = max(most, overshoot)
		}
	}
	require.EqualValues(t, 100, most, "a tenth of 1,000 replicas")
}

type change struct {
	follower
	decided
}

// everyChange runs the HPA's own controller with a decision of its own for each sync.
func everyChange(t *testing.T, target int64) []change {
	t.Helper()
	spec := policy.DefaultSpec()
	spec.MaxReplicas, spec.TargetQueueDepth, spec.MaxScaleDownStep = 10_000, target, policy.Step{}
	f := follower{spec: spec}
	free := &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: new(int32),
		SelectPolicy:               new(autoscalingv2.MaxChangePolicySelect),
		Policies:                   []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: spec.MaxReplicas, PeriodSeconds: 1}},
	}
	var decisions []policy.Decision
	for n := int32(1); n <= 1000; n++ {
		for _, desired := range changes(n) {
			decisions = append(decisions, decision(n, desired))
		}
	}
	var result []change
	synctest.Test(t, func(t *testing.T) {
		kube := &run{
			hpa:    newHPA(1, spec.MaxReplicas, float64(target), &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: free, ScaleDown: free}),
			period: 15 * time.Second, tolerance: .1,
		}
		kube.begin = func(s *hpaSync) {
			d := decisions[len(kube.syncs)-1]
			s.spec, s.status = d.Replicas, d.Replicas
			result = append(result, change{f, decided{hpaSync: s, decision: d}})
		}
		kube.metric = func(*hpaSync) float64 {
			return float64(spec.MetricValue(decisions[len(kube.syncs)-1], false))
		}
		kube.forSyncs(t, len(decisions))
	})
	return result
}

// With a queue that stays as it is the replicas move in one direction only, and then hold
// for ever, however near the bounds are to each other.
func TestWithoutToleranceItCannotFlap(t *testing.T) {
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, r.IntN(4) == 0)
		f.spec.ScaleUpThreshold = f.spec.ScaleDownThreshold + 1 + r.Int32N(40)
		f.spec.Cooldown = min(f.spec.Cooldown, 15*time.Second)
		f.meddle = nil
		depth := randomDepth(r, f.spec, int64(f.replicas))
		f.depth = func(int32) int64 { return depth }
		if f.byWork() {
			inFlight := randomInFlight(r, f.spec, int64(f.replicas))
			inFlight.Window = inFlight.Recent
			f.inFlight = func(int32) policy.InFlight { return inFlight }
		}
		direction := policy.Hold
		for i, s := range f.follow(t, r, 200) {
			if s.writes == 0 || !s.asked {
				continue
			}
			require.Truef(t, direction == policy.Hold || direction == s.decision.Action,
				"sync %d of %+v with a queue of %d: %d → %d: %s", i, f.spec, depth, s.spec, s.after, s.decision.Text)
			direction = s.decision.Action
		}
	})
}

// What no answer can help: the HPA compares the value with status.replicas. While a rollout
// has more pods than spec.replicas, or a quota fewer, by up to a tenth, a value within the
// tolerance sets spec.replicas to them, though the policy holds.
func TestWithoutToleranceTheHPATakesPodsForReplicas(t *testing.T) {
	followed := 0
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, false)
		f.meddle = func(s *hpaSync) { s.status = max(1, s.spec+r.Int32N(5)-2) }
		for i, s := range f.follow(t, r, 100) {
			if !s.asked || s.decision.Action != policy.Hold || s.writes == 0 {
				continue
			}
			followed++
			ratio := float64(s.spec) / float64(s.status)
			require.Truef(t, ratio >= .9 && ratio <= 1.1, "sync %d: %d replicas, %d pods → %d", i, s.spec, s.status, s.after)
			require.Truef(t, min(s.spec, s.status) <= s.after && s.after <= max(s.spec, s.status), "sync %d: %d replicas, %d pods → %d", i, s.spec, s.status, s.after)
		}
	})
	require.NotZero(t, followed)
}

// The same by the work in flight alone, with an empty queue: the more replicas there are, and
// the closer the three percentages are to each other, the farther the HPA overshoots.
func TestWithoutToleranceItCannotFlapByWorkInFlight(t *testing.T) {
	moved := 0
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, r.IntN(4) == 0)
		f.meddle, f.spec.Policy = nil, policy.ByUtilization
		f.spec.MinReplicas, f.spec.MaxReplicas, f.spec.Cooldown = 1, 1000, 0
		f.spec.MaxScaleUpStep, f.spec.MaxScaleDownStep = oneOf(r, policy.Step{}, f.spec.MaxScaleUpStep), oneOf(r, policy.Step{}, f.spec.MaxScaleDownStep)
		f.spec.Utilization, f.replicas = randomUtilization(r), 10+r.Int32N(500)
		f.spec.Utilization.ScaleDown = max(f.spec.Utilization.ScaleDown, f.spec.Utilization.Target-oneOf[int32](r, 1, 5, 30))
		f.depth = func(int32) int64 { return 0 }
		inFlight := randomInFlight(r, f.spec, int64(f.replicas))
		inFlight = policy.InFlight{Known: true, Recent: inFlight.Recent, Window: inFlight.Recent, Seen: time.Hour}
		f.inFlight = func(int32) policy.InFlight { return inFlight }
		direction := policy.Hold
		for i, s := range f.follow(t, r, 100) {
			if s.writes == 0 || !s.asked {
				continue
			}
			moved++
			require.Truef(t, direction == policy.Hold || direction == s.decision.Action,
				"sync %d of %+v with %+v: %d → %d: %s", i, f.spec, inFlight, s.spec, s.after, s.decision.Text)
			direction = s.decision.Action
		}
	})
	require.Greater(t, moved, *cases/2, "too few scalings to say anything")
}

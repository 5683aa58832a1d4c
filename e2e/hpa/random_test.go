package hpa_test

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

var (
	seed  = flag.Uint64("seed", 1, "the random cases' seed")
	cases = flag.Int("cases", 60, "random cases for each test")
)

// forEachCase runs f in a bubble of fake time for each random case, and stops at the
// first that fails. A case depends on the seed and its number alone.
func forEachCase(t *testing.T, f func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	t.Logf("seed %d, %d cases", *seed, *cases)
	for i := range *cases {
		passed := t.Run(strconv.Itoa(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, rand.New(rand.NewPCG(*seed, uint64(i)))) })
		})
		if !passed {
			t.Fatalf("run it again with -seed %d -cases %d -run '%s/%d$'", *seed, i+1, t.Name(), i)
		}
	}
}

// upTo is 1 to most, evenly over the orders of magnitude.
func upTo(r *rand.Rand, most int64) int64 {
	bound := int64(1)
	for bound < most && r.IntN(4) > 0 {
		bound = min(most, bound*4)
	}
	return 1 + r.Int64N(bound)
}

// oneOf is one of the values, each as likely.
func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomSpec is any legal spec of up to maxReplicas replicas.
func randomSpec(r *rand.Rand, maxReplicas int64) policy.Spec {
	step := func() policy.Step {
		return oneOf(r,
			policy.Step{},
			policy.Step{Value: int32(upTo(r, 1000))},
			policy.Step{Value: int32(upTo(r, 100)), Percent: true},
			policy.Step{Value: 20, Percent: true},
		)
	}
	s := policy.Spec{
		MaxReplicas:        int32(max(upTo(r, maxReplicas), upTo(r, maxReplicas))),
		TargetQueueDepth:   oneOf(r, 100, upTo(r, policy.MaxTargetQueueDepth)),
		ScaleUpThreshold:   oneOf(r, 150, 101+r.Int32N(30), 2+r.Int32N(999)),
		MaxScaleUpStep:     step(),
		MaxScaleDownStep:   step(),
		ScaleDownThreshold: oneOf[int32](r, 50, 100),
		Cooldown:           time.Duration(oneOf(r, 0, 1, 15, 60, r.IntN(120), r.IntN(900))) * time.Second,
	}
	if s.ScaleDownThreshold >= s.ScaleUpThreshold || r.IntN(2) == 0 {
		s.ScaleDownThreshold = 1 + r.Int32N(min(100, s.ScaleUpThreshold-1))
	}
	if r.IntN(2) == 0 {
		s.MinReplicas = r.Int32N(s.MaxReplicas + 1)
	}
	if r.IntN(4) == 0 {
		s.ActivationQueueDepth = upTo(r, 1000) - 1
	}
	if r.IntN(2) == 0 {
		s.WorkerConcurrency = int32(upTo(r, policy.MaxWorkerConcurrency))
	}
	if r.IntN(2) == 0 {
		s.Utilization = randomUtilization(r)
	}
	return s
}

// randomUtilization is any legal configuration of Utilization; often its three percentages are
// close to each other.
func randomUtilization(r *rand.Rand) policy.UtilizationSpec {
	u := policy.UtilizationSpec{ScaleDown: 1 + r.Int32N(98), Window: oneOf(r, policy.RecentWindow, 2*time.Minute, time.Hour)}
	u.Target = u.ScaleDown + oneOf(r, 1, 1+r.Int32N(99-u.ScaleDown))
	u.ScaleUp = u.Target + oneOf(r, 1, 1+r.Int32N(100-u.Target))
	return u
}

// randomInFlight is any work in flight, as it is seen: far off, or near one of the bounds of n
// replicas.
func randomInFlight(r *rand.Rand, s policy.Spec, n int64) policy.InFlight {
	u := s.Utilization
	if u == (policy.UtilizationSpec{}) {
		u = policy.DefaultUtilization()
	}
	slots := n * int64(max(1, s.WorkerConcurrency))
	some := func() int64 {
		switch r.IntN(5) {
		case 0:
			return 0
		case 1, 2: // thousandths of messages
			return max(0, 10*slots*int64(oneOf(r, u.ScaleDown, u.Target, u.ScaleUp))+oneOf(r, r.Int64N(5)-2, 1000*(r.Int64N(5)-2)))
		default:
			return r.Int64N(3000*slots + 1)
		}
	}
	in := policy.InFlight{Known: r.IntN(10) > 0, Recent: some(), Window: some(), Seen: u.Window}
	if r.IntN(10) == 0 {
		in.Seen = time.Duration(r.Int64N(int64(u.Window)))
	}
	if r.IntN(2) == 0 {
		in.Window = in.Recent // a steady load
	}
	return in
}

// randomDepth is any depth: far off, or near one of the bounds of n replicas.
func randomDepth(r *rand.Rand, s policy.Spec, n int64) int64 {
	near := func(threshold int32) int64 {
		return max(0, s.TargetQueueDepth*n*int64(threshold)/100+oneOf(r, r.Int64N(5)-2, s.TargetQueueDepth*(r.Int64N(5)-2)))
	}
	switch r.IntN(5) {
	case 0:
		return 0
	case 1:
		return near(s.ScaleUpThreshold)
	case 2:
		return near(s.ScaleDownThreshold)
	default:
		return r.Int64N(upTo(r, 12)*s.TargetQueueDepth*int64(s.MaxReplicas) + 1)
	}
}

const longestPause = 700 * time.Millisecond

// pause lets some fake time pass, as a call over the network does.
func pause(r *rand.Rand) {
	<-time.After(time.Duration(r.Int64N(int64(longestPause))))
}

// randomPeriod is a sync period of the HPA's controller, longer than a sync with pauses.
func randomPeriod(r *rand.Rand) time.Duration {
	return oneOf(r, 15*time.Second, 15*time.Second, 5*time.Second, 3*time.Second+time.Duration(r.Int64N(int64(time.Minute))))
}

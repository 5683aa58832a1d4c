package hpa_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// follower is an HPA, made by KEDA of a ScaledObject that the translator wrote, and the
// scaler that answers it.
type follower struct {
	spec           policy.Spec
	keepsTolerance bool          // whether the API server keeps behavior.*.tolerance
	period         time.Duration // the HPA's sync period
	replicas       int32         // at the start

	// depth is the queue's at the next sync, with that many replicas.
	depth func(replicas int32) int64
	// inFlight is the work in flight at the next sync. Nil: it can't be seen.
	inFlight func(replicas int32) policy.InFlight
	// meddle is called before each sync, where somebody else may change the replicas. Nil: nobody does.
	meddle func(s *hpaSync)
	slow   bool // calls over the network take some time
}

// decided is a sync, and what the policy decided for it.
type decided struct {
	*hpaSync
	depth    int64
	inFlight policy.InFlight
	decision policy.Decision // when the HPA asked; of the start of the sync where it did not ask
}

// follow runs the HPA's own controller for so many syncs.
func (f follower) follow(t *testing.T, r *rand.Rand, count int) []decided {
	t.Helper()
	kube := &run{
		hpa:           newHPA(max(1, f.spec.MinReplicas), f.spec.MaxReplicas, float64(f.spec.TargetQueueDepth), behavior.For(f.spec)),
		period:        f.period,
		tolerance:     hpa.DefaultTolerance,
		stabilization: hpa.DefaultDownscaleStabilization,
		spec:          f.replicas,
	}
	dropTolerance(kube.hpa.Spec.Behavior, f.keepsTolerance)
	var trace []decided
	decide := func(s *hpaSync, depth int64, inFlight policy.InFlight) policy.Decision {
		spec := f.inUse(inFlight)
		return spec.Policy.Decider()(spec, policy.State{Replicas: s.spec, Depth: depth, InFlight: inFlight, LastScale: s.lastScale, Now: time.Now()})
	}
	kube.begin = func(s *hpaSync) {
		if f.slow {
			pause(r)
		}
		if f.meddle != nil {
			f.meddle(s)
		}
		depth := f.depth(s.spec)
		var inFlight policy.InFlight
		if f.inFlight != nil {
			inFlight = f.inFlight(s.spec)
		}
		f.keda(r, s, decide(s, depth, inFlight))
		trace = append(trace, decided{hpaSync: s, depth: depth, inFlight: inFlight, decision: decide(s, depth, inFlight)})
	}
	kube.metric = func(s *hpaSync) float64 {
		if f.slow {
			pause(r)
		}
		last := &trace[len(trace)-1]
		last.decision = decide(s, last.depth, last.inFlight)
		if f.slow {
			defer pause(r)
		}
		return float64(f.inUse(last.inFlight).MetricValue(last.decision, f.keepsTolerance))
	}
	kube.forSyncs(t, count)
	return trace
}

// byWork tells whether the policy is Utilization.
func (f follower) byWork() bool { return f.spec.Policy == policy.ByUtilization }

// inUse is the spec with the policy that decides: Threshold, where the work in flight can't be seen.
func (f follower) inUse(inFlight policy.InFlight) policy.Spec {
	spec := f.spec
	if !inFlight.Known {
		spec.Policy = policy.ByThreshold
	}
	return spec
}

// keda does KEDA's own part, with a minReplicas of 0: it wakes the target, and puts the
// last replica to sleep at some time after the scaler says that it is inactive
// (KEDA 2.21, pkg/scaling/executor/scale_scaledobjects.go).
func (f follower) keda(r *rand.Rand, s *hpaSync, d policy.Decision) {
	switch {
	case f.spec.MinReplicas > 0:
	case s.spec == 0 && d.Active:
		s.spec, s.status = 1, 1
	case s.spec > 0 && !d.Active && r.IntN(4) == 0:
		s.spec, s.status = 0, 0
	}
}

// randomFollower is any legal policy on any load.
func randomFollower(r *rand.Rand, keepsTolerance bool) follower {
	f := follower{
		spec:           randomSpec(r, 1000),
		keepsTolerance: keepsTolerance,
		period:         randomPeriod(r),
		slow:           r.IntN(2) == 0,
	}
	f.replicas = 1 + r.Int32N(f.spec.MaxReplicas)
	var depth int64
	f.depth = func(replicas int32) int64 {
		if r.IntN(3) > 0 {
			depth = randomDepth(r, f.spec, int64(replicas))
		}
		return depth
	}
	if r.IntN(2) == 0 {
		f.spec.Policy = policy.ByUtilization
		var last policy.InFlight
		f.inFlight = func(replicas int32) policy.InFlight {
			if r.IntN(3) > 0 {
				last = randomInFlight(r, f.spec, int64(replicas))
			}
			return last
		}
	}
	if r.IntN(3) == 0 {
		f.meddle = func(s *hpaSync) {
			if r.IntN(20) == 0 {
				s.spec = r.Int32N(2 * f.spec.MaxReplicas)
				s.status = s.spec
			}
		}
	}
	return f
}

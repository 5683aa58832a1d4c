package simulation

import (
	"math"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

const (
	// rateHeadroom is how much faster than the arrivals the workers should be.
	rateHeadroom = 1.15
	// drainTime is the time, in seconds, in which waiting messages should be processed.
	drainTime = 15
	// The rate of arrivals is the higher of its averages over two windows, in seconds. The short
	// one sees a wave soon; the long one is not misled by a lull.
	shortWindow = 5
	longWindow  = 60
)

// rateAware is an experiment that no real scaler has. It shows what the policy could do if it
// knew the rate of arrivals, which a scaler can count in a stream, and the rate of one worker,
// which is given here. It scales up before a queue forms, and down no further than arrivals
// allow. Limits, steps and the cooldown come from the policy's own code.
type rateAware struct {
	serviceRate float64
	arrivals    []float64 // of the last seconds
}

// counted adds the arrivals of another second.
func (r *rateAware) counted(arrivals float64) {
	if len(r.arrivals) == longWindow {
		r.arrivals = r.arrivals[1:]
	}
	r.arrivals = append(r.arrivals, arrivals)
}

func (r *rateAware) decide(spec policy.Spec, state policy.State) policy.Decision {
	rate := max(r.average(shortWindow), r.average(longWindow))
	need := r.workers(rateHeadroom * rate)
	byDepth := policy.Decide(spec, state)
	if state.Replicas == 0 {
		return byDepth
	}
	if state.Depth > byDepth.UpperBound {
		need = max(need, r.workers(rate+float64(state.Depth)/drainTime))
	}
	switch {
	case need > int64(state.Replicas):
		state.Depth = spec.TargetQueueDepth * need * int64(spec.ScaleUpThreshold) / 100 // that asks for as many
		return policy.Decide(spec, state)
	case state.Depth > byDepth.UpperBound:
		byDepth.Desired, byDepth.Action = state.Replicas, policy.Hold // they are fast enough
	case byDepth.Action == policy.ScaleDown && int64(byDepth.Desired) < need:
		byDepth.Desired = int32(need)
		if byDepth.Desired == state.Replicas {
			byDepth.Action = policy.Hold
		}
	}
	return byDepth
}

// average is the arrivals per second over the last seconds, or as many as there were.
func (r *rateAware) average(seconds int) float64 {
	last := r.arrivals[max(0, len(r.arrivals)-seconds):]
	var sum float64
	for _, arrivals := range last {
		sum += arrivals
	}
	return sum / max(1, float64(len(last)))
}

// workers returns how many workers finish that many messages per second.
func (r *rateAware) workers(rate float64) int64 {
	return int64(math.Ceil(rate / r.serviceRate))
}

package simulation

import (
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Autoscaler names what moves the replicas of a fleet.
type Autoscaler string

// The autoscalers.
const (
	// Threshold is this project's policy, through KEDA and the HPA.
	Threshold Autoscaler = "threshold"
	// KEDA is KEDA's built-in redis scaler, with no behavior set on its HPA.
	KEDA Autoscaler = "keda"
	// KEDABehavior is the same with an empty behavior on its HPA: the API server then
	// fills in rules that let it grow faster.
	KEDABehavior Autoscaler = "keda-behavior"
	// Step has the same thresholds and cooldown as Threshold, but adds or removes one
	// replica at a time.
	Step Autoscaler = "step"
	// Fixed never scales.
	Fixed Autoscaler = "fixed"
	// RateAware is an experiment that no scaler has: it knows how fast messages arrive and
	// how fast a worker is.
	RateAware Autoscaler = "rate-aware"
)

// Autoscalers are all of them, in the order in which they are shown.
func Autoscalers() []Autoscaler {
	return []Autoscaler{Threshold, KEDA, KEDABehavior, Step, Fixed, RateAware}
}

// label is what a table or picture calls the autoscaler.
func (a Autoscaler) label(c Config) string {
	switch a {
	case Threshold:
		return "this project"
	case KEDA:
		return "KEDA redis scaler"
	case KEDABehavior:
		return "KEDA redis scaler, behavior: {}"
	case Step:
		return "±1 per cooldown"
	case Fixed:
		return fmt.Sprintf("fixed %d", c.Fixed)
	case RateAware:
		return "rate-aware (experiment)"
	}
	return string(a)
}

// scaler moves the replicas of a fleet.
type scaler interface {
	// replicas is what spec.replicas of the target is set to. It is asked once a second.
	replicas(o observation) int32
}

// observation is what a scaler can see.
type observation struct {
	second   int // from the start
	now      time.Time
	replicas int32
	waiting  int64   // messages in the queue
	inWork   int64   // messages that workers hold
	arrivals float64 // messages that arrived in the second before
}

func (a Autoscaler) new(c Config) scaler {
	switch a {
	case KEDA:
		return newRedisList(c, nil)
	case KEDABehavior:
		return newRedisList(c, &autoscalingv2.HorizontalPodAutoscalerBehavior{})
	case Step:
		c.Spec.MaxScaleUpStep, c.Spec.MaxScaleDownStep = policy.Step{Value: 1}, policy.Step{Value: 1}
		return newExternal(c)
	case Fixed:
		return fixed{}
	case RateAware:
		scaler := newExternal(c)
		scaler.rate = &rateAware{serviceRate: c.ServiceRate}
		return scaler
	case Threshold:
		return newExternal(c)
	}
	panic(fmt.Sprintf("simulation: no autoscaler %q: it must be one of Autoscalers", string(a)))
}

// fixed never scales.
type fixed struct{}

func (fixed) replicas(o observation) int32 { return o.replicas }

// timer comes round once in each period, both in seconds.
type timer struct {
	period, first int
}

// newTimer makes the first time some part, from 0 to 1, of a period after the start.
func newTimer(period time.Duration, phase float64) timer {
	seconds := int(period / time.Second)
	return timer{period: seconds, first: int(float64(seconds) * phase)}
}

func (t timer) due(second int) bool { return second%t.period == t.first }

package simulation

import (
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// Autoscaler changes the replicas of a fleet. Each autoscaler below is one value, compared by its
// address.
type Autoscaler struct {
	name  string                                  // the name in --compare and in JSON
	label func(Config) string                     // the name in tables and pictures
	start func(c Config, arrivals []int64) scaler // a new one, with its own state; arrivals are for Clairvoyant alone
}

// The autoscalers.
var (
	// Threshold is this project's policy by depth, through KEDA and the HPA.
	Threshold = &Autoscaler{"threshold", called("this project"), func(c Config, _ []int64) scaler {
		c.Spec.Policy = policy.ByThreshold
		return newExternal(c, policy.Decide)
	}}
	// KEDA is KEDA's built-in redis scaler, with no behavior set on its HPA.
	KEDA = &Autoscaler{"keda", called("KEDA redis scaler"), func(c Config, _ []int64) scaler { return newRedisList(c, nil) }}
	// KEDABehavior is KEDA with an empty behavior on its HPA. The API server then fills in rules
	// by which it grows faster.
	KEDABehavior = &Autoscaler{"keda-behavior", called("KEDA redis scaler, behavior: {}"), func(c Config, _ []int64) scaler {
		return newRedisList(c, &autoscalingv2.HorizontalPodAutoscalerBehavior{})
	}}
	// Step has the same thresholds and cooldown as Threshold, but adds or removes one
	// replica at a time.
	Step = &Autoscaler{"step", called("±1 per cooldown"), func(c Config, _ []int64) scaler {
		c.Spec.MaxScaleUpStep, c.Spec.MaxScaleDownStep = policy.Step{Value: 1}, policy.Step{Value: 1}
		return newExternal(c, policy.Decide)
	}}
	// Fixed never scales.
	Fixed = &Autoscaler{"fixed", func(c Config) string { return fmt.Sprintf("fixed %d", c.Fixed) }, func(Config, []int64) scaler { return fixed{} }}
	// Utilization is this project's policy by how busy the workers are.
	Utilization = &Autoscaler{"utilization", called("this project, Utilization"), func(c Config, _ []int64) scaler {
		c.Spec.Policy = policy.ByUtilization
		return newExternal(c, policy.Utilization)
	}}
	// Clairvoyant is what no real scaler can be: it knows what will arrive.
	Clairvoyant = &Autoscaler{"clairvoyant", called("clairvoyant (knows what comes)"), func(c Config, arrivals []int64) scaler {
		return newClairvoyant(c, arrivals)
	}}
)

// Autoscalers are all of them, in the order in which they are shown.
func Autoscalers() []*Autoscaler {
	return []*Autoscaler{Threshold, KEDA, KEDABehavior, Step, Fixed, Utilization, Clairvoyant}
}

// ByName finds the autoscaler of that name.
func ByName(name string) (*Autoscaler, bool) {
	for _, a := range Autoscalers() {
		if a.name == name {
			return a, true
		}
	}
	return nil, false
}

// String returns the autoscaler's name.
func (a *Autoscaler) String() string { return a.name }

// MarshalText writes the autoscaler's name to JSON.
func (a *Autoscaler) MarshalText() ([]byte, error) { return []byte(a.name), nil }

// called is a label that does not depend on the configuration.
func called(label string) func(Config) string { return func(Config) string { return label } }

// scaler changes the replicas of a fleet.
type scaler interface {
	// replicas returns the target's new spec.replicas. It is called once a second.
	replicas(o observation) int32
}

// observation is what a scaler can observe.
type observation struct {
	second   int // from the start
	now      time.Time
	replicas int32
	waiting  int64 // messages in the queue
	inWork   int64 // messages in flight
}

// fixed never scales.
type fixed struct{}

func (fixed) replicas(o observation) int32 { return o.replicas }

// timer fires once in each period. Times are in seconds.
type timer struct {
	period, first int
}

// newTimer returns a timer that first fires a part, from 0 to 1, of a period after the start.
func newTimer(period time.Duration, phase float64) timer {
	seconds := int(period / time.Second)
	return timer{period: seconds, first: int(float64(seconds) * phase)}
}

func (t timer) due(second int) bool { return second%t.period == t.first }

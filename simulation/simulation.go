// Package simulation replays arrivals against a fleet of workers that an autoscaler scales. The
// autoscalers are this project's policy, with a model of KEDA and the HPA, and those that it is
// compared with. The package has no clock and no I/O: the same configuration and arrivals always
// give the same result.
package simulation

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// Config is a fleet and its surroundings.
type Config struct {
	Spec        policy.Spec
	ServiceRate float64 // messages per second that one worker finishes, more than 0
	// Work is how long messages take and how many a worker has at once. With its zero value, messages
	// are modelled as a flow, else one by one.
	Work     work.Work
	Seed     uint64        // of the messages' moments and times, if they are modelled one by one
	PodStart time.Duration // time from a scaling until the new workers take messages, 0 or more
	// HPASync is kube-controller-manager's --horizontal-pod-autoscaler-sync-period, in
	// whole seconds, at least 1.
	HPASync time.Duration
	// Phase says when the HPA's first sync and KEDA's first poll are, as a part of their
	// period after the start, from 0 to less than 1.
	Phase float64
	// KeepsTolerance says whether the API server keeps an HPA's tolerance (on by default
	// from Kubernetes 1.35).
	KeepsTolerance bool
	Fixed          int32 // replicas of the fixed fleet, 1 or more; 0: the mean of Threshold's, rounded up
	// Start is the number of replicas at the start, 0 or more; nil: as many as the arrivals of the
	// first minute need.
	Start *int32
	// SinceScale is how long before the start the HPA last scaled, 0 or more: this project's policies
	// begin in the cooldown that is left of it. Nil: it never did.
	SinceScale *time.Duration
}

// DefaultConfig is the surroundings that published results are made with.
func DefaultConfig(spec policy.Spec) Config {
	return Config{
		Spec:           spec,
		ServiceRate:    57,
		PodStart:       5 * time.Second,
		HPASync:        hpa.DefaultSyncPeriod,
		Phase:          0.5,
		KeepsTolerance: true,
	}
}

// Validate returns one error for each field that is out of its range, joined; each names
// the field, its value and the remedy.
func (c Config) Validate() error {
	errs := []error{c.Spec.Validate()}
	if !(c.ServiceRate > 0) || c.ServiceRate > 1e6 {
		errs = append(errs, fmt.Errorf("serviceRate is %v: it must be more than 0 and at most 1000000 messages per second and worker", c.ServiceRate))
	}
	errs = append(errs, c.Work.Validate())
	if c.PodStart < 0 || c.PodStart > time.Hour {
		errs = append(errs, fmt.Errorf("podStart is %s: it must be from 0s to 1h", c.PodStart))
	}
	if c.HPASync < time.Second || c.HPASync > time.Hour || c.HPASync%time.Second != 0 {
		errs = append(errs, fmt.Errorf("hpaSync is %s: it must be whole seconds from 1s to 1h", c.HPASync))
	}
	if c.Phase < 0 || c.Phase >= 1 {
		errs = append(errs, fmt.Errorf("phase is %v: it must be from 0 to less than 1", c.Phase))
	}
	if c.Fixed < 0 || c.Fixed > policy.MaxReplicasLimit {
		errs = append(errs, fmt.Errorf("fixed is %d: it must be from 1 to %d, or 0 for as many as the policy needs on average", c.Fixed, policy.MaxReplicasLimit))
	}
	if c.Start != nil && (*c.Start < 0 || *c.Start > policy.MaxReplicasLimit) {
		errs = append(errs, fmt.Errorf("start is %d: it must be from 0 to %d, or left out for as many as the first arrivals need", *c.Start, policy.MaxReplicasLimit))
	}
	if c.SinceScale != nil && *c.SinceScale < 0 {
		errs = append(errs, fmt.Errorf("sinceScale is %s: it must be 0s or more, or left out if there was no scaling", *c.SinceScale))
	}
	return errors.Join(errs...)
}

// Result is the result of a replay.
type Result struct {
	Autoscaler *Autoscaler
	Label      string

	Arrived, Finished float64 // messages
	Left              float64 // messages that no worker had taken when the replay ended

	// The waits are from a message's arrival until a worker takes it.
	P50, P99, Max, Mean time.Duration

	ReplicaHours float64
	Scalings     int       // changes of spec.replicas
	Depth        []float64 // messages, waiting and in flight, at the end of each second
	Replicas     []int32   // spec.replicas in each second
}

// MeanReplicas is the average of the replicas over time.
func (r Result) MeanReplicas() float64 {
	return r.ReplicaHours * 3600 / float64(len(r.Replicas))
}

// Own is this project's autoscaler with the policy that the configuration names.
func Own(config Config) *Autoscaler {
	if config.Spec.Policy == policy.ByUtilization {
		return Utilization
	}
	return Threshold
}

// Compare replays the arrivals of each second with each autoscaler, and with Own
// first. The configuration must be valid.
func Compare(config Config, arrivals []int64, others ...*Autoscaler) []Result {
	own := Own(config)
	results := []Result{Run(config, arrivals, own)}
	if config.Fixed == 0 {
		config.Fixed = max(1, int32(math.Ceil(results[0].MeanReplicas())))
	}
	for _, other := range others {
		if other != own {
			results = append(results, Run(config, arrivals, other))
		}
	}
	return results
}

// Run replays the arrivals of each second with one autoscaler. It goes on until the queue is
// empty, but at most for the length of the arrivals again. The configuration must be valid, and
// Fixed must be more than 0 for the fixed fleet.
func Run(config Config, arrivals []int64, autoscaler *Autoscaler) Result {
	result, _ := RunWhile(always, config, arrivals, autoscaler)
	return result
}

func always() bool { return true }

// RunWhile is Run as long as it is to go on, which it asks again and again. If it is not, it did not finish, and there is no result.
func RunWhile(goOn func() bool, config Config, arrivals []int64, autoscaler *Autoscaler) (result Result, finished bool) {
	replicas := initialReplicas(config, arrivals)
	if autoscaler == Fixed {
		replicas = config.Fixed
	}
	r := replay{
		line:   newLine(config, goOn),
		fleet:  newFleet(replicas, config.PodStart.Seconds()),
		scaler: autoscaler.start(config, arrivals),
		result: Result{Autoscaler: autoscaler, Label: autoscaler.label(config)},
	}
	second := 0
	for ; second < len(arrivals) || r.line.left() > 0 && second < 2*len(arrivals); second++ {
		arrived := int64(0)
		if second < len(arrivals) {
			arrived = arrivals[second]
		}
		if r.step(second, arrived); !goOn() {
			return Result{}, false
		}
	}
	return r.finish(second), true
}

// initialReplicas is the number that the arrivals of the first minute need, within the limits, so
// that no autoscaler is judged by a fleet that is too small at the start.
func initialReplicas(config Config, arrivals []int64) int32 {
	if config.Start != nil {
		return *config.Start
	}
	var sum float64
	first := arrivals[:min(60, len(arrivals))]
	for _, count := range first {
		sum += float64(count)
	}
	need := math.Ceil(sum / float64(len(first)) / config.ServiceRate)
	return int32(min(max(need, float64(config.Spec.MinReplicas)), float64(config.Spec.MaxReplicas)))
}

// replay is the state of one replay.
type replay struct {
	line           line
	fleet          *fleet
	scaler         scaler
	result         Result
	replicaSeconds int64
}

// start is when a replay begins: the models of the HPA and of KEDA need a clock time.
var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func (r *replay) step(second int, arrivals int64) {
	now := float64(second)
	replicas := r.scaler.replicas(observation{
		second:   second,
		now:      start.Add(time.Duration(second) * time.Second),
		replicas: r.fleet.replicas(),
		waiting:  int64(r.line.waiting() + negligible),
		inWork:   int64(math.Round(r.line.inWork())),
	})
	if replicas != r.fleet.replicas() {
		r.fleet.scale(now, replicas)
		r.result.Scalings++
	}
	r.line.second(now, arrivals, r.fleet)
	r.result.Depth = append(r.result.Depth, max(0, r.line.waiting()+r.line.inWork()))
	r.result.Replicas = append(r.result.Replicas, replicas)
	r.replicaSeconds += int64(replicas)
}

func (r *replay) finish(seconds int) Result {
	result := r.result
	result.Arrived, result.Finished, result.Left = r.line.entered(), r.line.finished(), r.line.left()
	waits := r.line.giveUp(float64(seconds))
	result.P50, result.P99 = duration(waits.quantile(0.5)), duration(waits.quantile(0.99))
	result.ReplicaHours = float64(r.replicaSeconds) / 3600
	result.Max, result.Mean = duration(waits.max), duration(waits.mean())
	return result
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

// Package policy decides how many replicas a queue's depth asks for: an upper and a
// lower threshold, steps, limits and a cooldown, in integers. It has no I/O, no clock
// and no memory: the same spec and state always give the same decision.
package policy

import (
	"errors"
	"fmt"
	"time"
)

// The greatest values that a spec may hold. They keep every product below in an int64:
// 10⁹ messages × 10⁶ replicas × 1,000 % = 10¹⁸.
const (
	MaxTargetQueueDepth = 1_000_000_000
	MaxReplicasLimit    = 1_000_000
	// maxDepth is the greatest depth, in messages; greater ones count as this. 100 × maxDepth
	// still fits in an int64.
	maxDepth = 90_000_000_000_000_000
)

// MaxMaxAge is the greatest MaxAge, 30 days.
const MaxMaxAge = 720 * time.Hour

// Name is the name of a policy.
type Name string

// The policies. The empty name means ByThreshold.
const (
	ByThreshold   Name = "Threshold"
	ByUtilization Name = "Utilization"
)

// Decider is the policy of that name.
func (n Name) Decider() Decider {
	if n == ByUtilization {
		return Utilization
	}
	return Decide
}

// Spec is the policy's configuration. Field names, units and defaults are those of
// PubSubChannel's spec.autoScaling.
type Spec struct {
	Policy               Name          // which policy decides
	MinReplicas          int32         // 0 to MaxReplicas; 0 means scale to zero
	MaxReplicas          int32         // 1 to MaxReplicasLimit
	TargetQueueDepth     int64         // messages for each replica, 1 to MaxTargetQueueDepth
	ScaleUpThreshold     int32         // percent of target × replicas, 1 to 1000
	ScaleDownThreshold   int32         // percent of target × replicas, 1 to 100, less than ScaleUpThreshold
	Cooldown             time.Duration // least time between two scalings, 0 or more
	ActivationQueueDepth int64         // depth that must be exceeded to wake a target of 0 replicas
	MaxScaleUpStep       Step          // the zero Step means no limit
	MaxScaleDownStep     Step          // the zero Step means no limit
	// MaxAge is how long a message may wait, 1 s to 720 h; 0 means no limit. It is the one
	// field that comes from spec.queue, where the source of the ages is configured.
	MaxAge time.Duration
	// WorkerConcurrency is how many messages one worker works on at once, 1 to
	// MaxWorkerConcurrency; 0 means 1. Only Utilization uses it and the next field.
	WorkerConcurrency int32
	Utilization       UtilizationSpec // the zero value means DefaultUtilization
}

// DefaultSpec holds the defaults of PubSubChannel's spec.autoScaling.
func DefaultSpec() Spec {
	return Spec{
		Policy:             ByThreshold,
		MinReplicas:        1,
		MaxReplicas:        10,
		TargetQueueDepth:   100,
		ScaleUpThreshold:   150,
		ScaleDownThreshold: 50,
		Cooldown:           60 * time.Second,
		MaxScaleDownStep:   Step{Value: 20, Percent: true},
	}
}

// Validate returns one error for each field that is out of its range, joined; each
// names the field, its value and the remedy.
func (s Spec) Validate() error {
	inRange := func(field string, value, least, most int64) error {
		if value < least || value > most {
			return fmt.Errorf("%s is %d: it must be from %d to %d", field, value, least, most)
		}
		return nil
	}
	errs := []error{
		inRange("minReplicas", int64(s.MinReplicas), 0, MaxReplicasLimit),
		inRange("maxReplicas", int64(s.MaxReplicas), 1, MaxReplicasLimit),
		inRange("targetQueueDepth", s.TargetQueueDepth, 1, MaxTargetQueueDepth),
		inRange("scaleUpThreshold", int64(s.ScaleUpThreshold), 1, 1000),
		inRange("scaleDownThreshold", int64(s.ScaleDownThreshold), 1, 100),
		inRange("activationQueueDepth", s.ActivationQueueDepth, 0, MaxTargetQueueDepth),
		inRange("cooldownPeriod", int64(s.Cooldown/time.Second), 0, 86400),
	}
	if s.MaxAge != 0 && (s.MaxAge < time.Second || s.MaxAge > MaxMaxAge) {
		errs = append(errs, fmt.Errorf("maxAge is %s: it must be from 1s to %s", s.MaxAge, MaxMaxAge))
	}
	if s.MinReplicas > s.MaxReplicas {
		errs = append(errs, fmt.Errorf("minReplicas is %d, greater than maxReplicas %d: lower minReplicas or raise maxReplicas", s.MinReplicas, s.MaxReplicas))
	}
	if s.ScaleDownThreshold >= s.ScaleUpThreshold {
		errs = append(errs, fmt.Errorf("scaleDownThreshold is %d, not less than scaleUpThreshold %d: lower scaleDownThreshold or raise scaleUpThreshold", s.ScaleDownThreshold, s.ScaleUpThreshold))
	}
	errs = append(errs, inRange("workerConcurrency", int64(s.WorkerConcurrency), 0, MaxWorkerConcurrency))
	if s.Utilization != (UtilizationSpec{}) {
		errs = append(errs, s.Utilization.validate())
	}
	if s.Policy != "" && s.Policy != ByThreshold && s.Policy != ByUtilization {
		errs = append(errs, fmt.Errorf("policy is %q: it must be %s or %s", s.Policy, ByThreshold, ByUtilization))
	}
	return errors.Join(errs...)
}

// floor is the least number of replicas that the HPA scales to: only KEDA takes the last
// step to 0.
func (s Spec) floor() int64 { return max(1, int64(s.MinReplicas)) }

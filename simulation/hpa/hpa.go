// Package hpa models kube-controller-manager's HorizontalPodAutoscaler for one external
// metric with a target of type AverageValue: what it sets spec.replicas to at each sync,
// and what it remembers in between. It is pure: time is an argument. The rules are those
// of k8s.io/kubernetes v1.36.3, pkg/controller/podautoscaler; the module e2e/hpa runs
// that controller beside this model and compares every sync.
//
// One sync happens at one instant here. In the controller a sync takes as long as its
// calls to the API server, so a scale event may be some milliseconds younger than the
// decision.
package hpa

import (
	"math"
	"strconv"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The defaults of kube-controller-manager (k8s.io/kubernetes v1.36.3,
// pkg/controller/podautoscaler/config/v1alpha1/defaults.go).
const (
	// DefaultTolerance is --horizontal-pod-autoscaler-tolerance, as a fraction.
	DefaultTolerance = 0.1
	// DefaultDownscaleStabilization is --horizontal-pod-autoscaler-downscale-stabilization.
	DefaultDownscaleStabilization = 5 * time.Minute
	// DefaultSyncPeriod is --horizontal-pod-autoscaler-sync-period.
	DefaultSyncPeriod = 15 * time.Second
)

// Config is what an HPA object and its controller are configured with.
type Config struct {
	MinReplicas int32 // 1 or more
	MaxReplicas int32 // MinReplicas or more
	// Target is the metric's AverageValue for each replica, more than 0. Like the values
	// it keeps three decimals.
	Target float64
	// Behavior is spec.behavior as it is applied. Rules that it leaves out are those that
	// the API server sets. Nil stays nil there: the controller then adds at most as many
	// replicas as there are, or up to 4, at each sync, and takes away as many as it likes
	// after DownscaleStabilization.
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
	// Tolerance is the controller's, a fraction; it rules where Behavior has none.
	Tolerance float64
	// KeepsTolerance is whether the API server keeps behavior.*.tolerance: from Kubernetes
	// 1.35 on, unless the feature gate HPAConfigurableTolerance is off.
	KeepsTolerance bool
	// DownscaleStabilization is the controller's window, 0 or more; it rules where
	// behavior.scaleDown has none.
	DownscaleStabilization time.Duration
}

// Autoscaler is one HPA and what the controller remembers of it, which a restart of the
// controller forgets. It is not safe for concurrent use.
type Autoscaler struct {
	minReplicas, maxReplicas int32
	target                   int64 // in thousandths
	up, down                 *autoscalingv2.HPAScalingRules
	hasBehavior              bool
	upTolerance              float64
	downTolerance            float64
	upWindow, downWindow     time.Duration

	recommendations []recommendation
	ups, downs      events
	lastScale       time.Time
}

// New returns the autoscaler of an HPA that the controller has not seen before.
func New(config Config) *Autoscaler {
	a := &Autoscaler{
		minReplicas:   config.MinReplicas,
		maxReplicas:   config.MaxReplicas,
		target:        milli(config.Target),
		upTolerance:   config.Tolerance,
		downTolerance: config.Tolerance,
		downWindow:    config.DownscaleStabilization,
	}
	if config.Behavior == nil {
		return a
	}
	a.hasBehavior = true
	a.up = withDefaults(config.Behavior.ScaleUp, defaultUp())
	a.down = withDefaults(config.Behavior.ScaleDown, defaultDown())
	a.upWindow = seconds(*a.up.StabilizationWindowSeconds)
	// The controller converts its own window to whole seconds.
	a.downWindow = a.downWindow.Truncate(time.Second)
	if window := a.down.StabilizationWindowSeconds; window != nil {
		a.downWindow = seconds(*window)
	}
	if config.KeepsTolerance {
		a.upTolerance = tolerance(a.up, config.Tolerance)
		a.downTolerance = tolerance(a.down, config.Tolerance)
	}
	return a
}

// Sync is one sync of the HPA: from the time, the scale target's spec.replicas and
// status.replicas and the metric's value it returns what spec.replicas is set to, which
// is specReplicas where nothing changes. Time must not go backwards between syncs.
//
// The value is that of KEDA's metrics adapter: NaN, infinite and negative count as 0, and
// it is rounded to three decimals (KEDA 2.21, pkg/scalers/scaler.go, quantityFromFloat64).
func (a *Autoscaler) Sync(now time.Time, specReplicas, statusReplicas int32, value float64) int32 {
	if a.recommendations == nil {
		a.recommendations = []recommendation{{specReplicas, now}}
	}
	var desired int32
	switch {
	case specReplicas == 0: // ScalingActive is false: somebody else must wake the target
		return 0
	case specReplicas > a.maxReplicas:
		desired = a.maxReplicas
	case specReplicas < a.minReplicas:
		desired = a.minReplicas
	default:
		desired = a.limit(now, specReplicas, a.propose(statusReplicas, value))
	}
	if desired != specReplicas {
		a.remember(now, desired-specReplicas)
	}
	return desired
}

// LastScaleTime is status.lastScaleTime: whole seconds; zero: never.
func (a *Autoscaler) LastScaleTime() time.Time { return a.lastScale }

// propose is what the metric alone asks for (replica_calculator.go,
// GetExternalPerPodMetricReplicas): status.replicas where the value is within the
// tolerance of them. In float64 as in the controller, so that rounding is the same.
func (a *Autoscaler) propose(statusReplicas int32, value float64) int32 {
	usage, target := float64(milli(value)), float64(a.target)
	ratio := usage / (target * float64(statusReplicas))
	if 1-a.downTolerance <= ratio && ratio <= 1+a.upTolerance {
		return statusReplicas
	}
	return int32(min(math.Ceil(usage/target), math.MaxInt32))
}

// limit bounds a proposal by the recent recommendations, the rates and the limits.
func (a *Autoscaler) limit(now time.Time, replicas, proposed int32) int32 {
	if !a.hasBehavior {
		stabilized := a.highestRecent(now, proposed)
		most := min(a.maxReplicas, int32(max(2*float64(replicas), 4)))
		return min(max(stabilized, a.minReplicas), most)
	}
	stabilized := a.stabilize(now, replicas, proposed)
	switch {
	case stabilized > replicas:
		return min(stabilized, a.maxReplicas, a.mostUp(now, replicas))
	case stabilized < replicas:
		return max(stabilized, a.minReplicas, a.fewestDown(now, replicas))
	default:
		return replicas
	}
}

// milli is a float as the HPA reads it, in thousandths: KEDA prints it with three
// decimals, and the controller takes the Quantity's MilliValue.
func milli(value float64) int64 {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return 0
	}
	quantity := resource.MustParse(strconv.FormatFloat(value, 'f', 3, 64))
	if thousandths := quantity.MilliValue(); thousandths >= 0 {
		return thousandths
	}
	return math.MaxInt64
}

func seconds(s int32) time.Duration { return time.Duration(s) * time.Second }

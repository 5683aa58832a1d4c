package simulation

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
)

// KEDA's defaults (KEDA 2.21, pkg/scaling/executor/scale_executor.go and
// apis/keda/v1alpha1/withtriggers_types.go).
const (
	kedaPolling  = 30 * time.Second // pollingInterval
	kedaCooldown = 5 * time.Minute  // cooldownPeriod
)

// redisList is KEDA with its built-in redis scaler (KEDA 2.21,
// pkg/scalers/redis_scaler.go): the value is the list's length, without messages in flight, and
// listLength is the target.
type redisList struct {
	mayIdle bool
	sync    timer
	hpa     *hpa.Autoscaler
	keda    activation
}

func newRedisList(c Config, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) *redisList {
	return &redisList{
		mayIdle: c.Spec.MinReplicas == 0,
		sync:    newTimer(c.HPASync, c.Phase),
		hpa: hpa.New(hpa.Config{
			MinReplicas:            max(1, c.Spec.MinReplicas),
			MaxReplicas:            c.Spec.MaxReplicas,
			Target:                 float64(c.Spec.TargetQueueDepth),
			Behavior:               behavior,
			Tolerance:              hpa.DefaultTolerance,
			DownscaleStabilization: hpa.DefaultDownscaleStabilization,
		}),
		keda: activation{poll: newTimer(kedaPolling, c.Phase), cooldown: kedaCooldown, lastActive: start},
	}
}

func (r *redisList) replicas(o observation) int32 {
	replicas := o.replicas
	if r.mayIdle && r.keda.poll.due(o.second) {
		replicas = r.keda.polled(o.now, replicas, o.waiting > 0)
	}
	if replicas == o.replicas && r.sync.due(o.second) {
		replicas = r.hpa.Sync(o.now, replicas, replicas, float64(o.waiting))
	}
	return replicas
}

// activation is KEDA's own scaling between 0 and 1 (KEDA 2.21,
// pkg/scaling/executor/scale_scaledobjects.go).
type activation struct {
	poll       timer
	cooldown   time.Duration
	lastActive time.Time // at the start, as if the queue had just been active
}

// wake is the effect of an active scaler: a target at zero replicas gets one.
func (a *activation) wake(now time.Time, replicas int32) int32 {
	a.lastActive = now
	return max(1, replicas)
}

// polled is one round of KEDA's scale loop: it wakes the target, or scales it from any number to
// zero when it has been inactive for longer than the cooldown.
func (a *activation) polled(now time.Time, replicas int32, active bool) int32 {
	switch {
	case active:
		return a.wake(now, replicas)
	case replicas > 0 && a.lastActive.Add(a.cooldown).Before(now):
		return 0
	}
	return replicas
}

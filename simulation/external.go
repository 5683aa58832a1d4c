package simulation

import (
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// pushRepeat is how often the scaler pushes again that a queue is active.
const pushRepeat = 15

// external is KEDA and the HPA with this project's scaler. They are configured by the
// ScaledObject that the controller writes.
type external struct {
	spec           policy.Spec
	keepsTolerance bool
	sync           timer
	hpa            *hpa.Autoscaler
	keda           activation
	decide         policy.Decider
	work           []int64   // messages in flight of each sample, as far back as the policy looks
	scaledBefore   time.Time // the last scaling before the start; zero: there was none

	sample observation // the sampler's last sample, one tick old when the HPA asks
	pushed bool        // whether the queue was active at the last tick
}

func newExternal(c Config, decide policy.Decider) *external {
	var scaledBefore time.Time
	if c.SinceScale != nil {
		scaledBefore = start.Add(-*c.SinceScale)
	}
	return &external{
		scaledBefore:   scaledBefore,
		spec:           withWindow(c),
		decide:         decide,
		keepsTolerance: c.KeepsTolerance,
		sync:           newTimer(c.HPASync, c.Phase),
		hpa: hpa.New(hpa.Config{
			MinReplicas:            max(1, c.Spec.MinReplicas),
			MaxReplicas:            c.Spec.MaxReplicas,
			Target:                 float64(c.Spec.TargetQueueDepth),
			Behavior:               behavior.For(c.Spec),
			Tolerance:              hpa.DefaultTolerance,
			KeepsTolerance:         c.KeepsTolerance,
			DownscaleStabilization: hpa.DefaultDownscaleStabilization,
		}),
		keda: activation{poll: newTimer(behavior.PollingIdle, c.Phase), cooldown: behavior.CooldownPeriod(c.Spec), lastActive: start},
	}
}

// withWindow is the policy with the window that the scaler takes for messages that take as long as
// these.
func withWindow(c Config) policy.Spec {
	took := time.Duration(float64(time.Second) * float64(c.Work.Slots()) / c.ServiceRate)
	if window := c.Spec.WindowFor(took, 0); window != c.Spec.UtilizationWindow() {
		return c.Spec.WithWindow(window)
	}
	return c.Spec
}

func (e *external) replicas(o observation) int32 {
	sample := e.sample
	e.sample = o
	if o.second > 0 {
		e.remember(sample.inWork)
	}
	syncs := e.sync.due(o.second)
	if !syncs && e.spec.MinReplicas > 0 {
		return o.replicas
	}
	d := e.decide(e.spec, policy.State{
		Replicas:  o.replicas,
		Depth:     sample.waiting + sample.inWork,
		InFlight:  e.inFlight(),
		LastScale: e.lastScale(),
		Now:       o.now,
	})
	replicas := o.replicas
	if e.spec.MinReplicas == 0 {
		replicas = e.activate(o, d.Active)
	}
	if replicas == o.replicas && syncs {
		replicas = e.hpa.Sync(o.now, replicas, replicas, float64(e.spec.MetricValue(d, e.keepsTolerance)))
	}
	return replicas
}

// lastScale is when the HPA last scaled, also before the start.
func (e *external) lastScale() time.Time {
	if last := e.hpa.LastScaleTime(); !last.IsZero() {
		return last
	}
	return e.scaledBefore
}

// remember adds a sample of the work in flight, and forgets those that are older than the window.
func (e *external) remember(inWork int64) {
	if window := int(e.spec.UtilizationWindow() / time.Second); len(e.work) >= window {
		e.work = e.work[len(e.work)-window+1:]
	}
	e.work = append(e.work, inWork)
}

// inFlight is what the scaler's samples of each second show.
func (e *external) inFlight() policy.InFlight {
	recent := e.work[max(0, len(e.work)-int(policy.RecentWindow/time.Second)):]
	return policy.InFlight{
		Known:  len(e.work) > 0,
		Recent: meanThousandths(recent),
		Window: meanThousandths(e.work),
		Seen:   time.Duration(len(e.work)) * time.Second,
	}
}

func meanThousandths(samples []int64) int64 {
	var sum int64
	for _, sample := range samples {
		sum += sample
	}
	return 1000 * sum / max(1, int64(len(samples)))
}

// activate applies KEDA's reaction to the scaler's pushes and to its own polls.
func (e *external) activate(o observation, active bool) int32 {
	replicas := o.replicas
	if active && (!e.pushed || o.second%pushRepeat == 0) {
		replicas = e.keda.wake(o.now, replicas)
	}
	e.pushed = active
	if e.keda.poll.due(o.second) {
		replicas = e.keda.polled(o.now, replicas, active)
	}
	return replicas
}

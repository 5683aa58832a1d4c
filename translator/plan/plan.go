// Package plan reads a PubSubChannel once: a Plan has what it asks for, with the CRD's defaults,
// and what is wrong in it. It is pure: of the channel alone, without a look at the cluster.
package plan

import (
	"cmp"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
	"github.com/jawaracloud/pubsub-operator/translator/hours"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// Plan is what a channel asks for, read once for all that is made of it, and told of it. The
// CRD's defaults are in it: the API server sets them, but not in what was stored before a
// field had one. Nobody changes it.
type Plan struct {
	// Channel is what was read, with the status that it had, and with the image that it gets
	// (WorkerDefaults.Plan).
	Channel *v1.PubSubChannel
	// Image is the workers'.
	Image string
	// PullPolicy and PullSecrets are those of the installation's image (WorkerDefaults); empty if the
	// channel names an image.
	PullPolicy  corev1.PullPolicy
	PullSecrets []string
	// MessageTimeout is how long a worker may take for one message, in seconds.
	MessageTimeout int32
	// Replicas is spec.replicas.
	Replicas int32
	// AutoScaled is whether autoscaling is on.
	AutoScaled bool
	// AutoScaling is spec.autoScaling without defaults, which Trigger.Policy has; the zero
	// value where there is none.
	AutoScaling v1.AutoScalingSpec
	// Trigger is what the scaler is asked: of the one value the ScaledObject's trigger and the
	// question to Explain are made, so that they can't differ.
	Trigger trigger.Trigger
	// Metadata is Trigger as a ScaledObject has it.
	Metadata map[string]string
	// WorkerConcurrency is the number of messages that one worker works on at once; 0 where the
	// policy does not need it, or it can't be read.
	WorkerConcurrency int32
	// Schedules are those that can be read, where autoscaling is on.
	Schedules []Schedule
	// Pause is how the scaling is held.
	Pause Pause

	// Unreadable is the problem of a channel of which only the metadata could be decoded. All
	// else in its plan says nothing.
	Unreadable *Problem
	// Invalid is what the scaler would refuse: nothing is made of such a channel.
	Invalid *Problem
	// Unscalable is what KEDA would refuse of the pause and the schedules, or would only fail
	// over later, and what the policy needs and can't be read. The workers are made all the same.
	Unscalable error
}

// Schedule is one of spec.autoScaling.schedules with its hours.
type Schedule struct {
	v1.Schedule
	Hours hours.Hours
}

// Of reads a channel by itself. Without an image it gets our subscriber without a version: what an
// installation gives, WorkerDefaults.Plan knows.
func Of(channel *v1.PubSubChannel) *Plan { return WorkerDefaults{}.Plan(channel) }

func of(channel *v1.PubSubChannel) *Plan {
	p := &Plan{
		Channel:        channel,
		Image:          cmp.Or(channel.Spec.Image, v1.SubscriberImage),
		MessageTimeout: cmp.Or(channel.Spec.MessageTimeout, 30),
		Replicas:       ptr.Deref(channel.Spec.Replicas, DefaultReplicas),
		AutoScaling:    ptr.Deref(channel.Spec.AutoScaling, v1.AutoScalingSpec{}),
		Trigger:        triggerFor(channel),
		Pause:          pauseOf(channel),
		Unreadable:     unreadable(channel),
	}
	if p.Unreadable != nil {
		return p
	}
	p.AutoScaled = p.AutoScaling.Enabled
	p.Metadata = p.Trigger.Metadata()
	p.Invalid = checkTrigger(p.Metadata)
	if p.AutoScaled {
		p.readSchedules()
		p.Unscalable = errors.Join(p.Pause.check(), p.Unscalable, p.readWorkers())
	}
	return p
}

func (p *Plan) readSchedules() {
	for _, schedule := range p.AutoScaling.Schedules {
		read, err := hours.Read(schedule)
		if err != nil {
			p.Unscalable = errors.Join(p.Unscalable, err)
			continue
		}
		p.Schedules = append(p.Schedules, Schedule{Schedule: schedule, Hours: read})
	}
}

// readWorkers reads how many messages one worker works on at once, if the policy needs it.
func (p *Plan) readWorkers() error {
	if p.AutoScaling.Policy != v1.PolicyUtilization {
		return nil
	}
	concurrency, err := autoscaling.WorkerConcurrency(&p.Channel.Spec)
	if err == nil {
		p.WorkerConcurrency = concurrency
	}
	return err
}

// FirstReplicas is what a Deployment starts with where there is none.
//
// One that somebody deleted comes back with as many as were wanted last, which the status
// knows: its queue is still there. A new one starts with spec.replicas. Both keep to the
// limits of autoscaling, but for a number that is held. Where 0 is one of them, a new fleet
// sleeps until KEDA finds something to do, unless spec.replicas asks for more than its
// default: that can't be told from nothing.
func (p *Plan) FirstReplicas() int32 {
	replicas, known := p.Replicas, p.Channel.Status.Selector != ""
	if known && (p.AutoScaled || p.Channel.Spec.Paused) {
		replicas = p.Channel.Status.DesiredReplicas
	}
	if !p.AutoScaled || known && p.Pause.Holds(inspectv1.Action_ACTION_HOLD) {
		return replicas
	}
	limits := p.Trigger.Policy
	if !known && limits.MinReplicas == 0 && replicas == DefaultReplicas {
		return 0
	}
	return min(max(replicas, limits.MinReplicas), limits.MaxReplicas)
}

// unreadable is the problem of a channel that can't be decoded; nil for others.
func unreadable(channel *v1.PubSubChannel) *Problem {
	cause := reading.Unreadable(channel)
	if cause == "" {
		return nil
	}
	return &Problem{
		Phase:  v1.PhaseFailed,
		Reason: v1.ReasonInvalidSpec,
		Message: fmt.Sprintf("the channel can't be read: %s: correct it, and the channel continues by itself; "+
			"until then its Deployment and its ScaledObject stay as they are", cause),
	}
}

// DefaultReplicas is what the API server fills in.
const DefaultReplicas = 1

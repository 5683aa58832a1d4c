package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Phase is a channel's state in one word.
type Phase string

// The phases of a channel. (original)
const (
	// PhasePending means that workers are not up yet, or that something outside the
	// channel is awaited.
	PhasePending Phase = "Pending"
	// PhaseRunning means that the workers are up.
	PhaseRunning Phase = "Running"
	// PhaseScaling means that the number of workers is on its way to another.
	PhaseScaling Phase = "Scaling"
	// PhaseFailed means that the channel can't work until somebody changes something; a
	// crash loop is that where no worker of the template as it is is well.
	PhaseFailed Phase = "Failed"
	// PhaseDeleting means that the channel is being deleted.
	PhaseDeleting Phase = "Deleting"
)

// PubSubChannelStatus is what was last observed of a channel.
type PubSubChannelStatus struct {
	// phase is the channel's state in one word. (original)
	//
	// Example: phase: Running
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// replicas is the number of workers that exist. (original)
	//
	// Example: replicas: 3
	// +optional
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of workers that are ready. (original)
	//
	// Example: readyReplicas: 3
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// desiredReplicas is the number of workers that the Deployment was last told to have.
	//
	// Example: desiredReplicas: 4
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`

	// queueDepth is the number of messages that wait or are in work; absent while it is
	// unknown. (original)
	//
	// Example: queueDepth: 500
	// +optional
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// messageRate is the number of messages that arrive per second; absent while it is
	// unknown. (original)
	//
	// Example: messageRate: 40
	// +optional
	MessageRate *int64 `json:"messageRate,omitempty"`

	// lastScaleTime is when the number of workers was last changed. (original)
	//
	// Example: lastScaleTime: "2026-01-31T12:00:00Z"
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// conditions tell what works and what doesn't, and why. (original)
	//
	// Example: conditions: [{type: Ready, status: "True", reason: Available, message: 3 of 3 workers are ready, lastTransitionTime: "2026-01-31T12:00:00Z"}]
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status is about.
	// (original)
	//
	// Example: observedGeneration: 2
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// selector selects the workers' pods, for the scale subresource.
	//
	// Example: selector: app=pubsub-subscriber,pubsubchannel=orders
	// +optional
	Selector string `json:"selector,omitempty"`

	// observedTime is when the operator last wrote this status, by its own clock. It is written
	// only together with something else, so that an idle channel costs no write, unless the
	// operator's --status-heartbeat asks for more.
	//
	// Example: observedTime: "2026-01-31T12:00:00Z"
	// +optional
	ObservedTime *metav1.Time `json:"observedTime,omitempty"`
}

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
	// PhaseFailed means that the channel can't work until somebody changes something.
	PhaseFailed Phase = "Failed"
	// PhaseDeleting means that the channel is being deleted.
	PhaseDeleting Phase = "Deleting"
)

// PubSubChannelStatus is what was last observed of a channel.
type PubSubChannelStatus struct {
	// phase is the channel's state in one word. (original)
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// replicas is the number of workers that exist. (original)
	// +optional
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of workers that are ready. (original)
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// desiredReplicas is the number of workers that the Deployment was last told to have.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`

	// queueDepth is the number of messages that wait or are in work; absent while it is
	// unknown. (original)
	// +optional
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// messageRate is the number of messages that arrive per second; absent while it is
	// unknown. (original)
	// +optional
	MessageRate *int64 `json:"messageRate,omitempty"`

	// lastScaleTime is when the number of workers was last changed. (original)
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// conditions tell what works and what doesn't, and why. (original)
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status is about.
	// (original)
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// selector selects the workers' pods, for the scale subresource.
	// +optional
	Selector string `json:"selector,omitempty"`
}

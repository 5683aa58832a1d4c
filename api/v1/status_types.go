package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Phase is a channel's state in one word.
type Phase string

// The phases of a channel.
const (
	// PhasePending means that workers are not ready yet, or that the channel waits for something
	// outside of it.
	PhasePending Phase = "Pending"
	// PhaseRunning means that the workers are ready.
	PhaseRunning Phase = "Running"
	// PhaseScaling means that the number of workers is changing.
	PhaseScaling Phase = "Scaling"
	// PhaseFailed means that the channel can't work until somebody changes something. A crash
	// loop counts as that if it affects all workers of the current template.
	PhaseFailed Phase = "Failed"
	// PhaseDeleting means that the channel is being deleted.
	PhaseDeleting Phase = "Deleting"
)

// PubSubChannelStatus is the state of a channel that the operator last observed.
type PubSubChannelStatus struct {
	// phase is the channel's state in one word.
	//
	// Example: phase: Running
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// replicas is the number of workers that exist.
	//
	// Example: replicas: 3
	// +optional
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of workers that are ready.
	//
	// Example: readyReplicas: 3
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// desiredReplicas is the number of workers last set on the Deployment.
	//
	// Example: desiredReplicas: 4
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`

	// workerImage is the container image of the workers, as their Deployment has it: that of
	// spec.template, of spec.image, or the operator's own default.
	//
	// Example: workerImage: jawaracloud/subscriber:0.1.0
	// +optional
	WorkerImage string `json:"workerImage,omitempty"`

	// queueDepth is the number of messages, waiting and in flight. It is absent while it is
	// unknown.
	//
	// Example: queueDepth: 500
	// +optional
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// messageRate is the number of messages that arrive per second. It is absent while it is
	// unknown.
	//
	// Example: messageRate: 40
	// +optional
	MessageRate *int64 `json:"messageRate,omitempty"`

	// policyInUse is the policy by which the scaler last decided: Threshold or Utilization. With
	// autoScaling.policy Utilization it is Threshold while the work in flight can't be seen. It is
	// absent while it is unknown, and while autoScaling is off.
	//
	// Example: policyInUse: Utilization
	// +optional
	PolicyInUse ScalingPolicy `json:"policyInUse,omitempty"`

	// workerConcurrency is the number of messages that one worker works on at once, as it counts
	// for autoScaling.policy Utilization. It is absent with other policies.
	//
	// Example: workerConcurrency: 4
	// +optional
	WorkerConcurrency *int32 `json:"workerConcurrency,omitempty"`

	// decision is what the scaler last decided, and from what. It is absent while it is unknown:
	// the condition Connected says why.
	//
	// Example: decision: {action: Hold, reason: WithinBand, queueDepth: 300, replicas: 3, desiredReplicas: 3, lowerBound: 150, upperBound: 450}
	// +optional
	Decision *ScalingDecision `json:"decision,omitempty"`

	// lastScaleTime is when the number of workers last changed.
	//
	// Example: lastScaleTime: "2026-01-31T12:00:00Z"
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// conditions say what works and what does not, and why.
	//
	// Example: conditions: [{type: Ready, status: "True", reason: Available, message: 3 of 3 workers are ready, lastTransitionTime: "2026-01-31T12:00:00Z"}]
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes.
	//
	// Example: observedGeneration: 2
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// selector selects the workers' pods, for the scale subresource.
	//
	// Example: selector: app=pubsub-subscriber,pubsubchannel=orders
	// +optional
	Selector string `json:"selector,omitempty"`

	// observedTime is when the operator last wrote this status, by its own clock. The operator
	// writes it only when something else in the status changes, so an idle channel costs no
	// writes, unless --status-heartbeat of the operator is set.
	//
	// Example: observedTime: "2026-01-31T12:00:00Z"
	// +optional
	ObservedTime *metav1.Time `json:"observedTime,omitempty"`
}

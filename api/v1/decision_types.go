package v1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ScalingAction is what a decision does with the number of workers.
type ScalingAction string

// The actions.
const (
	ScalingHold ScalingAction = "Hold"
	ScalingUp   ScalingAction = "ScaleUp"
	ScalingDown ScalingAction = "ScaleDown"
)

// ScalingDecision is what the scaler decided, and all that it decided from. The policy's code
// makes the same decision from it and the spec, so whoever may read a channel can ask why, and
// what if.
type ScalingDecision struct {
	// observedTime is when the scaler read the queue. A decision that stays the same is not
	// written again, so it still holds as long as the condition Connected is True.
	//
	// Example: observedTime: "2026-01-31T12:00:00Z"
	ObservedTime metav1.Time `json:"observedTime"`

	// action is what the decision does with the number of workers.
	//
	// Example: action: ScaleUp
	// +kubebuilder:validation:Enum=Hold;ScaleUp;ScaleDown
	Action ScalingAction `json:"action"`

	// reason says why in one word.
	//
	// Example: reason: AboveUpperBound
	Reason string `json:"reason"`

	// message says why, with the numbers.
	//
	// Example: message: "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"
	// +optional
	Message string `json:"message,omitempty"`

	// remarks is what else there is to know of the queue: the end of message, from the "; " on.
	//
	// Example: remarks: "; the consumer group is gone"
	// +optional
	Remarks string `json:"remarks,omitempty"`

	// arithmetic is how desiredReplicas is computed, and what limits it. It is absent if
	// desiredReplicas comes from neither the depth nor the work in flight.
	//
	// Example: arithmetic: "ceil(100 × 500 ÷ (100 × 150)) = 4"
	// +optional
	Arithmetic string `json:"arithmetic,omitempty"`

	// replicas is the number of workers that the decision was made for.
	//
	// Example: replicas: 3
	Replicas int32 `json:"replicas"`

	// desiredReplicas is the number of workers that the decision asks for.
	//
	// Example: desiredReplicas: 4
	DesiredReplicas int32 `json:"desiredReplicas"`

	// queueDepth is the number of messages, waiting and in flight.
	//
	// Example: queueDepth: 500
	QueueDepth int64 `json:"queueDepth"`

	// depthIsLowerBound is true if the exact depth is not known, and queueDepth is the least
	// that it may be.
	//
	// Example: depthIsLowerBound: true
	// +optional
	DepthIsLowerBound bool `json:"depthIsLowerBound,omitempty"`

	// ready is the number of messages that wait for a worker.
	//
	// Example: ready: 480
	Ready int64 `json:"ready"`

	// inFlight is the number of messages that workers hold and have not acknowledged. It is
	// absent if the server does not show them.
	//
	// Example: inFlight: 20
	// +optional
	InFlight *int64 `json:"inFlight,omitempty"`

	// queueType is the type of the queue as it was read.
	//
	// Example: queueType: stream
	// +optional
	QueueType string `json:"queueType,omitempty"`

	// lowerBound is the depth below which the fleet shrinks.
	//
	// Example: lowerBound: 150
	LowerBound int64 `json:"lowerBound"`

	// upperBound is the depth above which the fleet grows.
	//
	// Example: upperBound: 450
	UpperBound int64 `json:"upperBound"`

	// active is what KEDA is told: false lets it scale to zero.
	//
	// Example: active: true
	// +optional
	Active bool `json:"active"`

	// lastScaleTime is when the HPA last scaled the workers, from which the cooldown counts. It is
	// absent if it never did.
	//
	// Example: lastScaleTime: "2026-01-31T11:58:30Z"
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// oldestMessageTime is since when the oldest message waits. It is absent if none waits, and
	// without spec.queue.maxAge.
	//
	// Example: oldestMessageTime: "2026-01-31T11:59:12Z"
	// +optional
	OldestMessageTime *metav1.Time `json:"oldestMessageTime,omitempty"`

	// messageRateIsLowerBound is true if status.messageRate is only the growth of the depth,
	// because nothing counts arrivals.
	//
	// Example: messageRateIsLowerBound: true
	// +optional
	MessageRateIsLowerBound bool `json:"messageRateIsLowerBound,omitempty"`

	// busy is the mean number of messages in work over the last 15 s, to thousandths. This and
	// the next two are of policy Utilization, and absent while they are unknown.
	//
	// Example: busy: 6400m
	// +optional
	Busy *resource.Quantity `json:"busy,omitempty"`

	// busyOverWindow is the same over autoScaling.utilization.window, or what was seen of it.
	//
	// Example: busyOverWindow: 6100m
	// +optional
	BusyOverWindow *resource.Quantity `json:"busyOverWindow,omitempty"`

	// windowSeen is how much of autoScaling.utilization.window was seen without a gap.
	//
	// Example: windowSeen: 2m0s
	// +optional
	WindowSeen *metav1.Duration `json:"windowSeen,omitempty"`

	// fallbackReason says why policy Threshold decided instead of Utilization, with the remedy.
	//
	// Example: fallbackReason: "no worker shows what it holds of the list \"orders\""
	// +optional
	FallbackReason string `json:"fallbackReason,omitempty"`

	// toleranceIgnored is true if the cluster's HPA ignores changes of up to 10 %, because it
	// does not know behavior.*.tolerance.
	//
	// Example: toleranceIgnored: true
	// +optional
	ToleranceIgnored bool `json:"toleranceIgnored,omitempty"`
}

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
//
// It is absent while the queue can't be read or the scaler does not answer, as the condition
// Connected then says. While autoscaling is off its reason is AutoScalingDisabled, and it tells
// what was read and the bounds that there would be.
type ScalingDecision struct {
	// observedTime is when the scaler read the queue. A decision that says nothing new is not
	// written again, so it still holds as long as the condition Connected is True and the
	// controller runs. What only counts on is nothing new: see busy, windowSeen and
	// oldestMessageTime.
	//
	// Example: observedTime: "2026-01-31T12:00:00Z"
	// +required
	ObservedTime metav1.Time `json:"observedTime"`

	// action is what the decision does with the number of workers.
	//
	// Example: action: ScaleUp
	// +kubebuilder:validation:Enum=Hold;ScaleUp;ScaleDown
	// +required
	Action ScalingAction `json:"action"`

	// reason says why in one word.
	//
	// Example: reason: AboveUpperBound
	// +required
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
	// +required
	Replicas int32 `json:"replicas"`

	// desiredReplicas is the number of workers that the decision asks for.
	//
	// Example: desiredReplicas: 4
	// +required
	DesiredReplicas int32 `json:"desiredReplicas"`

	// queueDepth is the number of messages, waiting and in flight.
	//
	// Example: queueDepth: 500
	// +required
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
	// +required
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
	// +required
	LowerBound int64 `json:"lowerBound"`

	// upperBound is the depth above which the fleet grows.
	//
	// Example: upperBound: 450
	// +required
	UpperBound int64 `json:"upperBound"`

	// active is what KEDA is told: false lets it scale to zero.
	//
	// Example: active: true
	// +optional
	Active bool `json:"active"`

	// lastScaleTime is when the HPA last scaled the workers, from which the cooldown counts. It is
	// absent if it never did, and while KEDA does not scale them.
	//
	// Example: lastScaleTime: "2026-01-31T11:58:30Z"
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`

	// oldestMessageTime is since when the oldest message waits, to within 2 s. It is absent if none
	// waits, and without spec.queue.maxAge.
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

	// busy is the mean number of messages in work over the last 15 s, to thousandths. It is written
	// anew once it has changed by more than 10 % and half a message. This and the next four are of
	// policy Utilization, and absent while they are unknown.
	//
	// Example: busy: 6400m
	// +optional
	Busy *resource.Quantity `json:"busy,omitempty"`

	// busyOverWindow is the same over window, or what was seen of it.
	//
	// Example: busyOverWindow: 6100m
	// +optional
	BusyOverWindow *resource.Quantity `json:"busyOverWindow,omitempty"`

	// window is how far back the work in flight counts: autoScaling.utilization.window, or longer for
	// messages that take long.
	//
	// Example: window: 3m0s
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,6}m)?[0-9]{1,6}([.][0-9]{1,9})?s$`
	Window *metav1.Duration `json:"window,omitempty"`

	// windowSeen is how much of window was seen without a gap, at
	// observedTime. It grows with the time since, and is written anew once it is the whole window,
	// and after a gap.
	//
	// Example: windowSeen: 2m0s
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,6}m)?[0-9]{1,6}([.][0-9]{1,9})?s$`
	WindowSeen *metav1.Duration `json:"windowSeen,omitempty"`

	// meanTimeInFlight is how long a message was in flight on average, for policy Utilization. A
	// message that takes more than a fifth of autoScaling.utilization.window makes the window longer: at
	// least 5 times as long, up to 1h. It becomes shorter only once messages take less than half of what
	// it is for. It is absent where nothing counts messages, and is written anew once it makes another window.
	//
	// Example: meanTimeInFlight: 1m58.3s
	// +optional
	MeanTimeInFlight *metav1.Duration `json:"meanTimeInFlight,omitempty"`

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

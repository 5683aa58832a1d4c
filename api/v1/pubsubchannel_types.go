package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PubSubChannelSpec describes a queue and the fleet of workers that consumes it.
type PubSubChannelSpec struct {
	// channelName is the queue: the key of a list or a stream on the server. (original)
	// Workers get it as CHANNEL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ChannelName string `json:"channelName"`

	// redisAddress is the DragonFly or Redis server as host:port. (original)
	// A host without a dot is a Service in the channel's own namespace, for the workers
	// and for the scaler alike. Workers get the address as REDIS_ADDR.
	// +optional
	// +kubebuilder:default="dragonfly:6379"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^:\\\\s/]+|\\\\[[0-9A-Fa-f:.]+\\\\]):[0-9]{1,5}$')",message="redisAddress must be host:port, without a scheme: for example dragonfly:6379 or redis.data.svc:6379"
	RedisAddress string `json:"redisAddress,omitempty"`

	// replicas is the number of workers while autoScaling is off; with autoScaling on it
	// is the number that a new Deployment starts with, within minReplicas and maxReplicas.
	// (original)
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// image is the workers' container image. (original)
	// +optional
	// +kubebuilder:default="jawaracloud/subscriber:latest"
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image,omitempty"`

	// messageTimeout is how long a worker may take over one message, in seconds.
	// (original) Workers get it as MESSAGE_TIMEOUT, and a worker that is stopped has this
	// long, and 5 s more, to finish what it holds.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	MessageTimeout int32 `json:"messageTimeout,omitempty"`

	// resources are the limits and requests of the workers' container. (original)
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// env is added to the workers' container, and wins over what the operator sets.
	// (original)
	// +optional
	// +listType=map
	// +listMapKey=name
	Env []corev1.EnvVar `json:"env,omitempty"`

	// autoScaling lets the fleet follow the depth of the queue. (original)
	// +optional
	AutoScaling *AutoScalingSpec `json:"autoScaling,omitempty"`

	// queue says what kind of queue channelName is.
	// +optional
	Queue *QueueSpec `json:"queue,omitempty"`
}

// AutoScalingSpec holds the limits, the two thresholds and the cooldown.
//
// With n replicas the fleet holds while the queue depth is between
// targetQueueDepth × n × scaleDownThreshold % and targetQueueDepth × n × scaleUpThreshold %,
// and otherwise takes the shortest way back into that band, one step per cooldownPeriod.
//
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",fieldPath=".minReplicas",message="minReplicas must not be greater than maxReplicas (default 10): lower minReplicas or raise maxReplicas"
// +kubebuilder:validation:XValidation:rule="self.scaleDownThreshold < self.scaleUpThreshold",fieldPath=".scaleDownThreshold",message="scaleDownThreshold must be less than scaleUpThreshold (default 150), or the fleet could never hold: lower scaleDownThreshold or raise scaleUpThreshold"
type AutoScalingSpec struct {
	// enabled switches autoscaling on. (original)
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`

	// minReplicas is the least number of workers; 0 means scale to zero. (original)
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the greatest number of workers. (original)
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetQueueDepth is how many messages, waiting and in work, one worker is expected
	// to have on its hands. (original)
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	TargetQueueDepth int32 `json:"targetQueueDepth,omitempty"`

	// scaleUpThreshold is the upper bound of the band, in percent of
	// targetQueueDepth × replicas: above it the fleet grows. (original)
	// +optional
	// +kubebuilder:default=150
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	ScaleUpThreshold int32 `json:"scaleUpThreshold,omitempty"`

	// scaleDownThreshold is the lower bound of the band, in percent of
	// targetQueueDepth × replicas: below it the fleet shrinks. (original)
	// +optional
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ScaleDownThreshold int32 `json:"scaleDownThreshold,omitempty"`

	// cooldownPeriod is the least time between two scalings, in seconds, and how long at
	// least (up to 20 s longer, because KEDA polls) a queue must be idle before the last
	// worker of a fleet with minReplicas 0 goes. (original)
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	CooldownPeriod *int32 `json:"cooldownPeriod,omitempty"`

	// activationQueueDepth is the depth that a queue must exceed to wake a fleet of zero
	// workers.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	ActivationQueueDepth int32 `json:"activationQueueDepth,omitempty"`

	// maxScaleUpStep limits how many workers one scaling may add: a number, or a
	// percentage of the current ones (rounded down, at least 1). Unset: no limit.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^[1-9][0-9]{0,3}%$')",message="maxScaleUpStep must be a number of at least 1 or a percentage such as 50%: leave it out for no limit"
	MaxScaleUpStep *intstr.IntOrString `json:"maxScaleUpStep,omitempty"`

	// maxScaleDownStep limits how many workers one scaling may remove: a number, or a
	// percentage of the current ones (rounded down, at least 1). Workers that keep up
	// leave no queue, so an empty queue does not mean idle workers: a large step down
	// costs long waits when load returns.
	// +optional
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",message="maxScaleDownStep must be a number of at least 1 or a percentage from 1% to 100%: leave it out for 20%"
	MaxScaleDownStep *intstr.IntOrString `json:"maxScaleDownStep,omitempty"`
}

// QueueType is a kind of queue.
// +kubebuilder:validation:Enum=Auto;List;Stream
type QueueType string

// The kinds of queue.
const (
	// QueueTypeAuto asks the server for the key's type (TYPE).
	QueueTypeAuto QueueType = "Auto"
	// QueueTypeList is a list: depth is LLEN and what subscribers hold.
	QueueTypeList QueueType = "List"
	// QueueTypeStream is a stream read by a consumer group: depth is its lag and its
	// pending entries.
	QueueTypeStream QueueType = "Stream"
)

// QueueSpec says how depth is read.
// +kubebuilder:validation:XValidation:rule="!has(self.consumerGroup) || !has(self.type) || self.type != 'List'",fieldPath=".consumerGroup",message="consumerGroup belongs to a stream, but type is List: leave consumerGroup out or set type to Stream"
type QueueSpec struct {
	// type is the kind of queue.
	// +optional
	// +kubebuilder:default=Auto
	Type QueueType `json:"type,omitempty"`

	// consumerGroup is the stream's consumer group. Unset: the stream's only group; with
	// several groups it must be set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ConsumerGroup string `json:"consumerGroup,omitempty"`
}

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

// PubSubChannel is a queue on DragonFly or Redis with a fleet of workers that scales by
// itself.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:path=pubsubchannels,singular=pubsubchannel,shortName=psc,categories=all,scope=Namespaced
// +kubebuilder:printcolumn:name="Channel",type=string,JSONPath=`.spec.channelName`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Queue",type=integer,JSONPath=`.status.queueDepth`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`,priority=1
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1
// +kubebuilder:printcolumn:name="Rate",type=integer,JSONPath=`.status.messageRate`,priority=1
// +kubebuilder:printcolumn:name="Last Scaled",type=date,JSONPath=`.status.lastScaleTime`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Scaled")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must have at most 63 characters, because the workers carry it as a label: choose a shorter name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.autoScaling) || !self.spec.autoScaling.enabled || self.metadata.name.size() <= 54",message="metadata.name must have at most 54 characters while autoScaling is enabled, because KEDA's HPA keda-hpa-<name> must fit in 63: choose a shorter name or switch autoScaling off"
type PubSubChannel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is wanted.
	// +required
	Spec PubSubChannelSpec `json:"spec"`

	// status is what was last observed.
	// +optional
	Status PubSubChannelStatus `json:"status,omitempty,omitzero"`
}

// PubSubChannelList is a list of PubSubChannels.
//
// +kubebuilder:object:root=true
type PubSubChannelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PubSubChannel `json:"items"`
}

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PubSubChannelSpec describes a queue and the fleet of workers that consumes it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.queue) || !has(self.queue.type) || self.queue.type != 'PubSub' || !has(self.autoScaling) || !self.autoScaling.enabled || self.autoScaling.minReplicas >= 1",fieldPath=".autoScaling.minReplicas",message="minReplicas must be at least 1 for a queue of type PubSub, because what is published while nobody listens is gone: raise minReplicas, or use a Stream"
// +kubebuilder:validation:XValidation:rule="!has(self.redis) || !has(self.redis.mode) || self.redis.mode != 'Cluster' || !has(self.queue) || !has(self.queue.preset) || self.queue.preset in ['Celery', 'BullMQ', 'Asynq', 'RQ', 'Laravel', 'Bull']",fieldPath=".queue.preset",message="no cluster for Sidekiq, BeeQueue and Arq: their keys are on several nodes there, so use mode Standalone or Sentinel"
// +kubebuilder:validation:XValidation:rule="!self.redisAddress.contains(',') || (has(self.redis) && has(self.redis.mode) && self.redis.mode != 'Standalone')",fieldPath=".redisAddress",message="redisAddress names several servers, which are for redis.mode Sentinel or Cluster only: name one, or set redis.mode"
// +kubebuilder:validation:XValidation:rule="!self.image.matches('(^|/)jawaracloud/subscriber([:@].*)?$') || !has(self.queue) || (!has(self.queue.preset) && (!has(self.queue.type) || self.queue.type != 'SortedSet'))",fieldPath=".image",message="the image jawaracloud/subscriber can't work on a preset's queues or on sorted sets: set image to your own workers'"
// +kubebuilder:validation:XValidation:rule="!has(self.autoScaling) || self.autoScaling.policy != 'Utilization' || !has(self.queue) || ((!has(self.queue.type) || !(self.queue.type in ['SortedSet', 'PubSub'])) && (!has(self.queue.preset) || self.queue.preset != 'Arq') && (!has(self.queue.inFlight) || self.queue.inFlight != 'None'))",fieldPath=".autoScaling.policy",message="the policy Utilization needs work in flight, which a SortedSet, PubSub, Arq, and Celery with inFlight None never show: set policy to Threshold, or use another queue (for Celery: inFlight Database or Queue, with task_acks_late)"
type PubSubChannelSpec struct {
	// channelName is the queue: the key of a list, a stream or a sorted set on the server,
	// a Pub/Sub channel, or the name of a preset's queue. Workers get it as
	// CHANNEL.
	//
	// Example: channelName: orders
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ChannelName string `json:"channelName"`

	// redisAddress is the DragonFly or Redis server as host:port, or several of them separated
	// by commas: sentinels, or nodes of a cluster (see redis.mode). A host without a dot is a
	// Service in the channel's own namespace, both for the workers and for the scaler. Workers
	// get the address as REDIS_ADDR.
	//
	// Example: redisAddress: redis.data.svc:6379
	// +optional
	// +kubebuilder:default="dragonfly:6379"
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^ *([^:\\\\s/,@]+|\\\\[[0-9A-Fa-f:.]+\\\\]):[0-9]{1,5} *(, *([^:\\\\s/,@]+|\\\\[[0-9A-Fa-f:.]+\\\\]):[0-9]{1,5} *)*$')",message="redisAddress must be host:port, without a scheme: for example dragonfly:6379 or redis.data.svc:6379; several are separated by commas"
	RedisAddress string `json:"redisAddress,omitempty"`

	// replicas is the number of workers while autoScaling is off. With autoScaling on, it is
	// the number that a new Deployment starts with, within minReplicas and maxReplicas. With
	// minReplicas 0 the default counts as 0: there are no workers until there are messages. A
	// Deployment that was deleted and is created again starts with the number that was last
	// desired.
	//
	// Example: replicas: 3
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Replicas *int32 `json:"replicas,omitempty"`

	// image is the container image of the workers. Without one they run our subscriber in the
	// version of the operator (its --worker-image), and follow its upgrades.
	// jawaracloud/subscriber:latest, the default before, counts as none. status.workerImage has
	// the one in use.
	//
	// Example: image: registry.example.com/orders-worker:1.4.2
	// +optional
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image,omitempty"`

	// messageTimeout is how long a worker may take for one message, in seconds. Workers get it
	// as MESSAGE_TIMEOUT. A worker that is stopped has this time and 5 s more to finish its
	// messages in flight.
	//
	// Example: messageTimeout: 60
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	MessageTimeout int32 `json:"messageTimeout,omitempty"`

	// resources are the limits and requests of the workers' container.
	//
	// Example: resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// env is added to the workers' container. It overrides variables of the same name that the
	// operator sets.
	//
	// Example: env: [{name: HANDLER_URL, value: "http://orders/handle"}]
	// +optional
	// +listType=map
	// +listMapKey=name
	Env []corev1.EnvVar `json:"env,omitempty"`

	// template is a partial pod template. It is merged over the one that the operator makes.
	//
	// Example: template: {spec: {priorityClassName: batch, nodeSelector: {disk: ssd}}}
	// +optional
	Template *PodTemplate `json:"template,omitempty"`

	// podDisruptionBudget says whether the operator makes a PodDisruptionBudget for the
	// workers. By default it does.
	//
	// Example: podDisruptionBudget: {enabled: false}
	// +optional
	PodDisruptionBudget *PodDisruptionBudget `json:"podDisruptionBudget,omitempty"`

	// autoScaling makes the number of workers follow the queue depth.
	//
	// Example: autoScaling: {enabled: true, minReplicas: 0, maxReplicas: 50}
	// +optional
	AutoScaling *AutoScalingSpec `json:"autoScaling,omitempty"`

	// paused keeps the number of workers as it is now, until it is false again. With
	// autoScaling on, KEDA stops scaling. With autoScaling off, the operator does not reset the
	// number to replicas. All other edits still take effect. KEDA's own annotations
	// (autoscaling.keda.sh/paused-replicas, paused, paused-scale-in, paused-scale-out) may be
	// set on the channel instead; paused has priority over them.
	//
	// Example: paused: true
	// +optional
	Paused bool `json:"paused,omitempty"`

	// queue says what kind of queue channelName is, and which keys belong to it.
	//
	// Example: queue: {type: Stream, consumerGroup: workers}
	// +optional
	Queue *QueueSpec `json:"queue,omitempty"`

	// redis says how to connect to redisAddress: topology, credentials, TLS.
	//
	// Example: redis: {passwordSecret: {name: redis-auth}}
	// +optional
	Redis *RedisSpec `json:"redis,omitempty"`
}

// PubSubChannel is a queue on DragonFly or Redis with a fleet of workers that is scaled
// automatically.
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
// +kubebuilder:printcolumn:name="Paused",type=string,JSONPath=`.status.conditions[?(@.type=="Paused")].status`,priority=1
// +kubebuilder:printcolumn:name="Rate",type=integer,JSONPath=`.status.messageRate`,priority=1
// +kubebuilder:printcolumn:name="Last Scaled",type=date,JSONPath=`.status.lastScaleTime`,priority=1
// +kubebuilder:printcolumn:name="Observed",type=date,JSONPath=`.status.observedTime`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Scaled")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must have at most 63 characters, because the workers carry it as a label: choose a shorter name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.autoScaling) || !self.spec.autoScaling.enabled || self.metadata.name.size() <= 54",message="metadata.name must have at most 54 characters while autoScaling is enabled, because KEDA's HPA keda-hpa-<name> must fit in 63: choose a shorter name or switch autoScaling off"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.template) || !has(self.spec.template.metadata) || !has(self.spec.template.metadata.labels) || !('pubsubchannel' in self.spec.template.metadata.labels) || self.spec.template.metadata.labels['pubsubchannel'] == self.metadata.name",fieldPath=".spec.template.metadata.labels",message="the label pubsubchannel selects the workers and can't be changed: leave it out"
type PubSubChannel struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec PubSubChannelSpec `json:"spec"`

	// status is the state that the operator last observed. Until then it has an
	// observedGeneration of -1, which no spec has.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
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

package v1

import (
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ScalingPolicy is how the number of workers is decided.
// +kubebuilder:validation:Enum=Threshold;Utilization
type ScalingPolicy string

// The policies.
const (
	// PolicyThreshold decides by the queue depth alone.
	PolicyThreshold ScalingPolicy = "Threshold"
	// PolicyUtilization decides by how busy the workers are, and by the queue depth.
	PolicyUtilization ScalingPolicy = "Utilization"
)

// UtilizationSpec configures the policy Utilization. Percentages are of the fleet's slots:
// workers × workerConcurrency. The mean number of messages in flight is the number of slots that
// are busy.
//
// +kubebuilder:validation:XValidation:rule="self.scaleDown < self.target && self.target < self.scaleUp",fieldPath=".target",message="target must be more than scaleDown (default 70) and less than scaleUp (default 90), or the fleet could never hold: change target (default 80) or the other two"
type UtilizationSpec struct {
	// target is how busy the workers are to be after workers were added, in percent of their
	// slots.
	//
	// Example: target: 80
	// +optional
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=99
	Target int32 `json:"target,omitempty"`

	// scaleUp is the percentage of busy slots, on average over the last 15 s, above which workers
	// are added.
	//
	// Example: scaleUp: 90
	// +optional
	// +kubebuilder:default=90
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=100
	ScaleUp int32 `json:"scaleUp,omitempty"`

	// scaleDown is how busy the workers that stay may be, in percent of their slots, for others to
	// be removed.
	//
	// Example: scaleDown: 70
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=98
	ScaleDown int32 `json:"scaleDown,omitempty"`

	// window is the time over which the work in flight is averaged before workers are removed, from
	// 15s to 1h, for example 2m. Where the server counts messages, the scaler takes a longer one for
	// messages that are in work for more than a fifth of it: 5 times as long, up to 1h. No worker is
	// removed until the scaler has seen the whole window.
	//
	// Example: window: 10m
	// +optional
	// +kubebuilder:default="120s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('15s') && duration(self) <= duration('1h')",message="window must be a duration from 15s to 1h: for example 2m or 10m"
	Window *metav1.Duration `json:"window,omitempty"`
}

// AutoScalingSpec holds the limits, the two thresholds and the cooldown.
//
// With n replicas, the band is from targetQueueDepth × n × scaleDownThreshold % to
// targetQueueDepth × n × scaleUpThreshold %. While the queue depth is in the band, the number
// of replicas stays. Otherwise it changes by no more than is needed to bring the depth back into
// the band, at most once per cooldownPeriod.
//
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",fieldPath=".minReplicas",message="minReplicas must not be greater than maxReplicas (default 10): lower minReplicas or raise maxReplicas"
// +kubebuilder:validation:XValidation:rule="self.scaleDownThreshold < self.scaleUpThreshold",fieldPath=".scaleDownThreshold",message="scaleDownThreshold must be less than scaleUpThreshold (default 150), or the fleet could never hold: lower scaleDownThreshold or raise scaleUpThreshold"
// +kubebuilder:validation:XValidation:rule="!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",fieldPath=".schedules",message="minReplicas of a schedule must not be greater than maxReplicas (default 10): lower it or raise maxReplicas"
// +kubebuilder:validation:XValidation:rule="!has(self.utilization) || self.policy == 'Utilization'",fieldPath=".utilization",message="utilization configures the policy Utilization: set policy to Utilization, or leave utilization out"
type AutoScalingSpec struct {
	// enabled switches autoscaling on.
	//
	// Example: enabled: true
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`

	// minReplicas is the minimum number of workers; 0 means scale to zero.
	//
	// Example: minReplicas: 0
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the maximum number of workers.
	//
	// Example: maxReplicas: 50
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetQueueDepth is the target number of messages (waiting and in flight) per worker.
	//
	// Example: targetQueueDepth: 100
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	TargetQueueDepth int32 `json:"targetQueueDepth,omitempty"`

	// scaleUpThreshold is the upper bound of the band, in percent of
	// targetQueueDepth × replicas. When the queue depth is above it, workers are added.
	//
	// Example: scaleUpThreshold: 150
	// +optional
	// +kubebuilder:default=150
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	ScaleUpThreshold int32 `json:"scaleUpThreshold,omitempty"`

	// scaleDownThreshold is the lower bound of the band, in percent of
	// targetQueueDepth × replicas. When the queue depth is below it, workers are removed.
	//
	// Example: scaleDownThreshold: 50
	// +optional
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ScaleDownThreshold int32 `json:"scaleDownThreshold,omitempty"`

	// cooldownPeriod is the minimum time between two scalings, in seconds. With minReplicas 0
	// it is also how long the queue must be idle before the last worker is removed; that can
	// take up to 20 s longer, because KEDA polls.
	//
	// Example: cooldownPeriod: 120
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	CooldownPeriod *int32 `json:"cooldownPeriod,omitempty"`

	// activationQueueDepth is the queue depth that must be exceeded to scale from zero workers
	// to one.
	//
	// Example: activationQueueDepth: 5
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	ActivationQueueDepth int32 `json:"activationQueueDepth,omitempty"`

	// maxScaleUpStep is the maximum number of workers that one scaling adds: a number, or a
	// percentage of the current number (rounded down, at least 1). If unset, there is no limit.
	//
	// Example: maxScaleUpStep: 50%
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 && self <= 1000000 : self.matches('^[1-9][0-9]{0,3}%$')",message="maxScaleUpStep must be a number from 1 to 1000000 or a percentage such as 50%: leave it out for no limit"
	MaxScaleUpStep *intstr.IntOrString `json:"maxScaleUpStep,omitempty"`

	// maxScaleDownStep is the maximum number of workers that one scaling removes: a number, or
	// a percentage of the current number (rounded down, at least 1). Workers that keep up with
	// the load leave no queue, so an empty queue does not mean that they are idle. After a
	// large step down, messages wait long when load returns.
	//
	// Example: maxScaleDownStep: 2
	// +optional
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 && self <= 1000000 : self.matches('^([1-9][0-9]?|100)%$')",message="maxScaleDownStep must be a number from 1 to 1000000 or a percentage from 1% to 100%: leave it out for 20%"
	MaxScaleDownStep *intstr.IntOrString `json:"maxScaleDownStep,omitempty"`

	// policy is how the number of workers is decided. Threshold decides by the queue depth alone.
	// Utilization also adds workers before a queue forms, and removes none that are busy: it
	// compares the work in flight with what the workers can work on at once (workerConcurrency). It
	// is refused for queues that never show what is in flight. While a queue does not show it, the
	// scaler decides by Threshold, and the condition Utilization says so.
	//
	// Example: policy: Utilization
	// +optional
	// +kubebuilder:default=Threshold
	Policy ScalingPolicy `json:"policy,omitempty"`

	// utilization configures the policy Utilization.
	//
	// Example: utilization: {target: 70, scaleUp: 85, scaleDown: 60, window: 10m}
	// +optional
	Utilization *UtilizationSpec `json:"utilization,omitempty"`

	// workerConcurrency is the number of messages that one worker works on at once, for the policy
	// Utilization. If unset, it is the value of CONCURRENCY in env for jawaracloud/subscriber, of any
	// version, and 1 for all other images. status.workerConcurrency says which number counts.
	//
	// Example: workerConcurrency: 4
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	WorkerConcurrency int32 `json:"workerConcurrency,omitempty"`

	// schedules set a higher minimum number of workers for certain hours.
	//
	// Example: schedules: [{name: office-hours, timezone: Europe/Berlin, start: 0 8 * * 1-5, end: 0 18 * * 1-5, minReplicas: 5}]
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Schedules []Schedule `json:"schedules,omitempty"`

	// triggers are additional KEDA triggers, such as prometheus or cpu, with their
	// TriggerAuthentications. They are passed to KEDA unchanged. The trigger that asks for the
	// most workers wins, within minReplicas and maxReplicas. A ClusterTriggerAuthentication
	// and KEDA's own identity are refused (NotPermitted) unless the operator's settings permit
	// them.
	//
	// Example: triggers: [{type: cpu, name: busy, metricType: Utilization, metadata: {value: "70"}}]
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Triggers []kedav1alpha1.ScaleTriggers `json:"triggers,omitempty"`

	// hpaName is the name of the HorizontalPodAutoscaler that KEDA creates. If unset, it is
	// keda-hpa-<name>. With the annotation scaledobject.keda.sh/transfer-hpa-ownership:
	// "true" on the channel, it may name an existing HorizontalPodAutoscaler of the Deployment,
	// which KEDA then takes over. One that scales something else is refused (HPAConflict).
	//
	// Example: hpaName: orders
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="hpaName must be the name of a HorizontalPodAutoscaler: lower-case letters, digits, - and ."
	HPAName string `json:"hpaName,omitempty"`

	// fallback is KEDA's fallback, passed to KEDA unchanged: the number of workers after the
	// queue or another trigger could not be read failureThreshold times in a row. If unset, the
	// number stays as it is.
	//
	// Example: fallback: {failureThreshold: 3, replicas: 6}
	// +optional
	Fallback *kedav1alpha1.Fallback `json:"fallback,omitempty"`
}

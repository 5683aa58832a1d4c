package v1

import "k8s.io/apimachinery/pkg/runtime"

// PodTemplate is a part of a pod template. It is merged over the one that the operator
// makes, as kubectl patch --type=strategic would: lists by their merge keys, so that
// containers are found by name, and the worker's own is subscriber.
type PodTemplate struct {
	// metadata is added to the pods' labels and annotations.
	//
	// Example: metadata: {labels: {team: shop}}
	// +optional
	Metadata *PodMetadata `json:"metadata,omitempty"`

	// spec is a part of a PodSpec, with any of its fields: nodeSelector, affinity,
	// tolerations, volumes, initContainers, imagePullSecrets, priorityClassName, and
	// containers with volumeMounts, probes, lifecycle or sidecars, for example. What it sets
	// wins over what the operator sets, and over spec.image, spec.env and spec.resources. A
	// field that a PodSpec has not is refused by the operator (InvalidSpec), and so is what
	// its settings do not permit (NotPermitted): privileges, the host's files and namespaces,
	// nodeName, and a service account or its token, unless they say otherwise.
	//
	// Example: spec: {containers: [{name: subscriber, livenessProbe: {httpGet: {path: /healthz, port: 9090}}}]}
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec *runtime.RawExtension `json:"spec,omitempty"`
}

// PodMetadata are labels and annotations.
type PodMetadata struct {
	// labels are added to the pods'. Those that the Deployment selects its pods by, app and
	// pubsubchannel, can't be changed.
	//
	// Example: labels: {team: shop}
	// +optional
	// +kubebuilder:validation:XValidation:rule="!('app' in self) || self['app'] == 'pubsub-subscriber'",message="the label app selects the workers and can't be changed: leave it out"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the pods'.
	//
	// Example: annotations: {prometheus.io/scrape: "true"}
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

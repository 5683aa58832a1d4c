package v1

import "k8s.io/apimachinery/pkg/runtime"

// PodTemplate is a partial pod template. It is merged over the one that the operator makes, as
// kubectl patch --type=strategic would do it: lists are merged by their merge keys, so
// containers are matched by name. The worker's container is named subscriber.
type PodTemplate struct {
	// metadata is added to the pods' labels and annotations.
	//
	// Example: metadata: {labels: {team: shop}}
	// +optional
	Metadata *PodMetadata `json:"metadata,omitempty"`

	// spec is a partial PodSpec with any of its fields, for example nodeSelector, affinity,
	// tolerations, volumes, initContainers, imagePullSecrets, priorityClassName, and
	// containers with volumeMounts, probes, lifecycle or sidecars. It overrides what the
	// operator sets, and spec.image, spec.env and spec.resources. The operator refuses fields
	// that a PodSpec does not have (InvalidSpec). It also refuses what its settings do not
	// permit (NotPermitted). By default these are privileges, the host's files and namespaces,
	// nodeName, and a service account or its token.
	//
	// Example: spec: {containers: [{name: subscriber, livenessProbe: {httpGet: {path: /healthz, port: 9091}}}]}
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec *runtime.RawExtension `json:"spec,omitempty"`
}

// PodMetadata are labels and annotations.
type PodMetadata struct {
	// labels are added to the labels of the pods. The labels app and pubsubchannel can't be
	// changed, because the Deployment selects its pods by them.
	//
	// Example: labels: {team: shop}
	// +optional
	// +kubebuilder:validation:XValidation:rule="!('app' in self) || self['app'] == 'pubsub-subscriber'",message="the label app selects the workers and can't be changed: leave it out"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the annotations of the pods.
	//
	// Example: annotations: {prometheus.io/scrape: "true"}
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

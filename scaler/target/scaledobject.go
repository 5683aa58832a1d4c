package target

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ScaledObject is what the scaler reads of KEDA's (KEDA 2.21, apis/keda/v1alpha1), by the
// same names, and no more. So its cache holds no more; and nothing else in a ScaledObject can
// keep it from having them all: an informer decodes a list as a whole, and KEDA's CRD lets
// quantities through that Go can't read, such as a tolerance of 1e1.5.
type ScaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ScaledObjectSpec   `json:"spec"`
	Status ScaledObjectStatus `json:"status,omitempty"`
}

// ScaledObjectSpec has the target and the triggers.
type ScaledObjectSpec struct {
	ScaleTargetRef *ScaleTarget    `json:"scaleTargetRef"`
	Advanced       *AdvancedConfig `json:"advanced,omitempty"`
	Triggers       []ScaleTriggers `json:"triggers"`
}

// ScaleTarget names the object that is scaled. Kind is Deployment where it is empty.
type ScaleTarget struct {
	Name       string `json:"name"`
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
}

// AdvancedConfig has the HPA's configuration.
type AdvancedConfig struct {
	HorizontalPodAutoscalerConfig *HorizontalPodAutoscalerConfig `json:"horizontalPodAutoscalerConfig,omitempty"`
}

// HorizontalPodAutoscalerConfig has the HPA's name, where it is not KEDA's own.
type HorizontalPodAutoscalerConfig struct {
	Name string `json:"name,omitempty"`
}

// ScaleTriggers is one trigger.
type ScaleTriggers struct {
	Type       string            `json:"type"`
	Metadata   map[string]string `json:"metadata"`
	MetricType string            `json:"metricType,omitempty"`
}

// ScaledObjectStatus has the name of the HPA that KEDA made.
type ScaledObjectStatus struct {
	HpaName string `json:"hpaName,omitempty"`
}

// ScaledObjectList is a list of ScaledObjects.
type ScaledObjectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ScaledObject `json:"items"`
}

// AddToScheme adds the ScaledObject.
func AddToScheme(scheme *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "keda.sh", Version: "v1alpha1"}
	scheme.AddKnownTypes(version, &ScaledObject{}, &ScaledObjectList{})
	metav1.AddToGroupVersion(scheme, version)
	return nil
}

// DeepCopyObject implements runtime.Object.
func (o *ScaledObject) DeepCopyObject() runtime.Object { return o.DeepCopy() }

// DeepCopy is a copy that shares nothing.
func (o *ScaledObject) DeepCopy() *ScaledObject {
	out := *o
	out.ObjectMeta = *o.ObjectMeta.DeepCopy()
	if o.Spec.ScaleTargetRef != nil {
		target := *o.Spec.ScaleTargetRef
		out.Spec.ScaleTargetRef = &target
	}
	if o.Spec.Advanced != nil {
		advanced := *o.Spec.Advanced
		if advanced.HorizontalPodAutoscalerConfig != nil {
			config := *advanced.HorizontalPodAutoscalerConfig
			advanced.HorizontalPodAutoscalerConfig = &config
		}
		out.Spec.Advanced = &advanced
	}
	out.Spec.Triggers = slices.Clone(o.Spec.Triggers)
	for i := range out.Spec.Triggers {
		out.Spec.Triggers[i].Metadata = maps.Clone(out.Spec.Triggers[i].Metadata)
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *ScaledObjectList) DeepCopyObject() runtime.Object {
	out := *l
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = slices.Clone(l.Items)
	for i := range out.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

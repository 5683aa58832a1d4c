package target

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/types"
)

// Version tells a ScaledObject's spec from any other: the API server counts a generation
// for each change of it.
type Version struct {
	UID        types.UID
	Generation int64
}

// Object is a ScaledObject as it stands in the cluster.
type Object struct {
	version  Version
	triggers []ScaleTriggers
}

// NewObject is for who plays the cluster.
func NewObject(version Version, triggers ...ScaleTriggers) Object {
	return Object{version: version, triggers: triggers}
}

// Version is that of the triggers.
func (o Object) Version() Version { return o.version }

// Trigger is one that asks an external scaler.
type Trigger struct {
	// Metadata is what the trigger says. It is shared: nobody may change it.
	Metadata map[string]string
	// MetricType is how the HPA takes the answer; empty is AverageValue (KEDA 2.21,
	// pkg/scalers/scaler.go, GetMetricTargetType).
	MetricType string
}

// AverageValue is the MetricType by which the HPA divides the answer by the target.
const AverageValue = string(autoscalingv2.AverageValueMetricType)

// Triggers are those of type external-push or external, in their order.
func (o Object) Triggers() []Trigger {
	var external []Trigger
	for _, t := range o.triggers {
		if t.Type == "external-push" || t.Type == "external" {
			external = append(external, Trigger{Metadata: t.Metadata, MetricType: t.MetricType})
		}
	}
	return external
}

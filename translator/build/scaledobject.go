package build

import (
	"errors"
	"fmt"
	"maps"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// scaledObjectAnnotations are all that a ScaledObject carries.
func scaledObjectAnnotations(p *plan.Plan) map[string]string {
	pause := p.Pause.Annotations()
	if !p.TransfersHPA() {
		return pause
	}
	annotations := map[string]string{plan.TransferAnnotation: "true"}
	maps.Copy(annotations, pause)
	return annotations
}

// Keys of KEDA's own in an external trigger's metadata (KEDA 2.21,
// pkg/scalers/external_scaler.go, externalScalerMetadata).
const (
	keyScalerAddress = "scalerAddress"
	keyEnableTLS     = "enableTLS"
)

// ScalerRef says how KEDA reaches the scaler.
type ScalerRef struct {
	// Address is host:port, as seen from KEDA's pods.
	Address string
	// TLS makes KEDA use TLS.
	TLS bool
	// AuthenticationRef names the ClusterTriggerAuthentication with the CA and the client
	// certificate; empty: none.
	AuthenticationRef string
	// Certificates is a hash of what AuthenticationRef refers to; empty: unknown.
	Certificates string
}

// ScaledObject is the ScaledObject of a channel with autoscaling on. It carries no
// annotation but that of a pause and of the HPA's transfer: KEDA copies all of them to the
// HPA.
func ScaledObject(p *plan.Plan, scaler ScalerRef) *kedav1alpha1.ScaledObject {
	labels := plan.RecommendedLabels(p.Channel)
	labels[v1.LabelChannel] = p.Channel.Name
	spec := p.Trigger.Policy
	cooldown := int32(spec.Cooldown / time.Second)
	scaledObject := &kedav1alpha1.ScaledObject{
		TypeMeta: metav1.TypeMeta{APIVersion: kedav1alpha1.SchemeGroupVersion.String(), Kind: "ScaledObject"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      p.Channel.Name,
			Namespace: p.Channel.Namespace,
			Labels:    labels,
			// Nothing else of the channel's annotations and labels.
			Annotations: scaledObjectAnnotations(p),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(p.Channel, v1.GroupVersion.WithKind("PubSubChannel")),
			},
		},
		Spec: kedav1alpha1.ScaledObjectSpec{
			ScaleTargetRef:  &kedav1alpha1.ScaleTarget{Name: plan.DeploymentName(p.Channel)},
			MinReplicaCount: &spec.MinReplicas,
			MaxReplicaCount: &spec.MaxReplicas,
			CooldownPeriod:  ptr.To(int32(behavior.CooldownPeriod(spec) / time.Second)),
			// A fresh target has no lastActiveTime, so cooldownPeriod alone would let it
			// go to zero at once (KEDA 2.21, pkg/scaling/executor).
			InitialCooldownPeriod: &cooldown,
			Advanced: &kedav1alpha1.AdvancedConfig{
				HorizontalPodAutoscalerConfig: &kedav1alpha1.HorizontalPodAutoscalerConfig{
					Name: p.AutoScaling.HPAName, Behavior: behavior.For(spec),
				},
			},
			Triggers: buildTriggers(p, scaler),
			Fallback: p.AutoScaling.Fallback,
		},
	}
	if spec.MinReplicas == 0 {
		scaledObject.Spec.PollingInterval = ptr.To(int32(behavior.PollingIdle / time.Second))
	}
	return scaledObject
}

// buildTriggers are our own, which the scaler looks for first, the schedules', and the
// channel's further ones as they are.
func buildTriggers(p *plan.Plan, scaler ScalerRef) []kedav1alpha1.ScaleTriggers {
	auto := p.AutoScaling
	triggers := []kedav1alpha1.ScaleTriggers{buildTrigger(p, scaler)}
	triggers = append(triggers, buildSchedules(auto.Schedules)...)
	return append(triggers, auto.Triggers...)
}

func buildTrigger(p *plan.Plan, scaler ScalerRef) kedav1alpha1.ScaleTriggers {
	metadata := maps.Clone(p.Metadata)
	metadata[keyScalerAddress] = scaler.Address
	if scaler.TLS {
		metadata[keyEnableTLS] = "true"
	}
	if scaler.Certificates != "" {
		metadata[trigger.KeyCertificatesHash] = scaler.Certificates
	}
	external := kedav1alpha1.ScaleTriggers{
		Type:       "external-push",
		Metadata:   metadata,
		MetricType: autoscalingv2.AverageValueMetricType,
	}
	if scaler.AuthenticationRef != "" {
		external.AuthenticationRef = &kedav1alpha1.AuthenticationRef{
			Name: scaler.AuthenticationRef,
			Kind: "ClusterTriggerAuthentication",
		}
	}
	return external
}

// CertificatesOf is the hash that a ScaledObject's trigger carries; empty: none.
func CertificatesOf(scaledObject *kedav1alpha1.ScaledObject) string {
	if len(scaledObject.Spec.Triggers) == 0 {
		return ""
	}
	return scaledObject.Spec.Triggers[0].Metadata[trigger.KeyCertificatesHash] // ours is the first
}

// ApplyForm is what is sent of a ScaledObject by server-side apply. KEDA ships no apply
// configurations, and its struct writes out empty fields that nobody set: those are taken
// out, lest they be owned.
func ApplyForm(scaledObject *kedav1alpha1.ScaledObject) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(scaledObject)
	if err != nil {
		return nil, fmt.Errorf("converting ScaledObject %s: %w", scaledObject.Name, err)
	}
	delete(fields, "status")
	return &unstructured.Unstructured{Object: withoutEmpty(fields)}, nil
}

// withoutEmpty drops nulls and empty objects, at every depth outside lists.
func withoutEmpty(fields map[string]any) map[string]any {
	for key, value := range fields {
		switch value := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			if len(withoutEmpty(value)) == 0 {
				delete(fields, key)
			}
		}
	}
	return fields
}

// CheckScaledObject finds what KEDA would refuse of a channel's ScaledObject, or would only fail
// over later. The workers are made all the same.
func CheckScaledObject(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) error {
	if err := errors.Join(p.Unscalable, keda.Check(scaledObject)); err != nil {
		return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: err.Error()}
	}
	return nil
}

package apply

import (
	"context"
	"fmt"
	"strings"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// KEDA makes whatever HorizontalPodAutoscaler has the name that a ScaledObject gives its own:
// it changes one that is there, and deletes it while there is a pause (KEDA 2.21,
// controllers/keda/scaledobject_controller.go). Its admission webhook looks only at those of
// the same target. So an author of channels could have anybody's replaced, and the
// controller looks at it first.
//
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get

// checkHPA finds out whether KEDA may have the HPA that the channel names: one that is not
// there yet, one that is the ScaledObject's, or with the channel's word the one that scales
// its Deployment. live is the ScaledObject as it is, nil where there is none: what it names
// already is KEDA's.
func (a *Applier) checkHPA(ctx context.Context, p *plan.Plan, live *kedav1alpha1.ScaledObject) error {
	name := p.AutoScaling.HPAName
	if name == "" || live != nil && metav1.IsControlledBy(live, p.Channel) && keda.HPAName(live) == name {
		return nil // or keda-hpa-<name>, which is KEDA's own
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	found, err := Find(ctx, a.Live, client.ObjectKey{Namespace: p.Channel.Namespace, Name: name}, hpa)
	if !found || err != nil {
		return err
	}
	if owner := metav1.GetControllerOf(hpa); owner != nil {
		if owner.Kind == "ScaledObject" && owner.Name == p.Channel.Name {
			return nil
		}
		return hpaConflict("HorizontalPodAutoscaler %s, which spec.autoScaling.hpaName names, is controlled by %s %s: name another, or leave hpaName out",
			name, owner.Kind, owner.Name)
	}
	target := hpa.Spec.ScaleTargetRef
	group, _ := schema.ParseGroupVersion(target.APIVersion)
	switch {
	case target.Kind != "Deployment" || group.Group != "apps" || target.Name != plan.DeploymentName(p.Channel):
		return hpaConflict("HorizontalPodAutoscaler %s, which spec.autoScaling.hpaName names, scales %s %s, and KEDA would have it scale Deployment %s: "+
			"name another, or leave hpaName out", name, target.Kind, target.Name, plan.DeploymentName(p.Channel))
	case !p.TransfersHPA():
		return hpaConflict("HorizontalPodAutoscaler %s scales Deployment %s already: delete it, or let KEDA take it over: kubectl annotate psc %s -n %s %s=true",
			name, target.Name, p.Channel.Name, p.Channel.Namespace, plan.TransferAnnotation)
	}
	return nil
}

func hpaConflict(format string, values ...any) *plan.Problem {
	return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonHPAConflict, Message: fmt.Sprintf(format, values...)}
}

// alreadyScaled reads what KEDA's admission webhook refuses because something else scales
// the Deployment (KEDA 2.21, apis/keda/v1alpha1/scaledobject_webhook.go, verifyHpas and
// verifyScaledObjects); nil where it refuses something else.
func alreadyScaled(err error) error {
	message := err.Error()
	if _, after, found := strings.Cut(message, "denied the request: "); found {
		message = after
	}
	switch {
	case strings.Contains(message, "is already managed by the hpa '"), strings.Contains(message, "must be specified by name in advanced settings"):
		return hpaConflict("KEDA refuses the ScaledObject: %s: delete that HorizontalPodAutoscaler, or let KEDA take it over: "+
			"set spec.autoScaling.hpaName to its name, and the channel's annotation %s to \"true\"", message, plan.TransferAnnotation)
	case strings.Contains(message, "is already managed by the ScaledObject '"):
		return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonScaledObjectConflict, Message: fmt.Sprintf(
			"KEDA refuses the ScaledObject: %s: delete that one, or switch autoScaling off", message)}
	default:
		return nil
	}
}

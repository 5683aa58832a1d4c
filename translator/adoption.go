package translator

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// checkOwner finds out whether a Deployment of the channel's name is the channel's, or may
// become it. Taking over somebody else's would change what they run, so they must have
// agreed on the Deployment itself; and a Deployment's selector can't be changed.
func checkOwner(live *appsv1.Deployment, channel *v1.PubSubChannel) error {
	if metav1.IsControlledBy(live, channel) {
		return nil
	}
	if metav1.GetControllerOf(live) != nil {
		return conflictWith("Deployment", live, channel)
	}
	switch consent := live.Annotations[v1.AnnotationAdoptedBy]; consent {
	case channel.Name:
	case "":
		conflict := conflictWith("Deployment", live, channel)
		conflict.message += fmt.Sprintf("; or let the channel adopt it, as it runs: kubectl annotate deployment %s -n %s %s=%s",
			live.Name, live.Namespace, v1.AnnotationAdoptedBy, channel.Name)
		return conflict
	default:
		return deploymentConflict("Deployment %s may be adopted by a channel %q, as its annotation %s says, not by this one: correct the annotation, or delete or rename the Deployment",
			live.Name, consent, v1.AnnotationAdoptedBy)
	}
	wanted := metav1.LabelSelector{MatchLabels: selectorLabels(channel)}
	if live.Spec.Selector == nil || !apiequality.Semantic.DeepEqual(*live.Spec.Selector, wanted) {
		return deploymentConflict("Deployment %s may be adopted, but its selector is %s, which can't be changed, and a channel's is %s: "+
			"delete it, and the channel makes its own, or give the channel another name",
			live.Name, metav1.FormatLabelSelector(live.Spec.Selector), metav1.FormatLabelSelector(&wanted))
	}
	return nil
}

func deploymentConflict(format string, values ...any) *problem {
	return &problem{phase: v1.PhaseFailed, reason: v1.ReasonDeploymentConflict, taken: true, message: fmt.Sprintf(format, values...)}
}

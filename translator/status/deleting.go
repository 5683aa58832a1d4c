package status

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// deletingCondition tells what a channel that is being deleted waits for.
func deletingCondition(p *plan.Plan, seen Observed) metav1.Condition {
	var waits []string
	if goes(p.Channel, seen.ScaledObject) {
		waits = append(waits, fmt.Sprintf("ScaledObject %s to go%s", p.Channel.Name, keda.KeptBy("ScaledObject", seen.ScaledObject)))
	}
	if goes(p.Channel, seen.Deployment) {
		waits = append(waits, fmt.Sprintf("Deployment %s to go%s", seen.Deployment.Name, keda.KeptBy("Deployment", seen.Deployment)))
	}
	if others := keda.Finalizers(p.Channel); len(others) > 0 {
		waits = append(waits, "whoever put the finalizers on it to remove them: "+strings.Join(others, ", "))
	}
	message := "the channel is being deleted"
	if len(waits) > 0 {
		message += "; it waits for " + strings.Join(waits, "; for ")
	}
	return condition(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonDeleting, message)
}

// goes reports whether a channel that is being deleted waits for a child: where the deletion
// is in the foreground. Else Kubernetes deletes the children once the channel is gone, which
// somebody's finalizer keeps.
func goes[T interface {
	comparable
	metav1.Object
}](channel *v1.PubSubChannel, child T) bool {
	var none T
	return child != none && (slices.Contains(channel.Finalizers, metav1.FinalizerDeleteDependents) || child.GetDeletionTimestamp() != nil)
}

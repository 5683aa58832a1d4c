package translator

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// foreignValues are the values of IndexForeign.
func foreignValues(object client.Object) []string {
	if budget, ok := object.(*policyv1.PodDisruptionBudget); ok && apply.ForeignBudget(budget) {
		return []string{"true"}
	}
	return nil
}

// channelsSelected are the channels whose workers a budget selects that is none of theirs;
// of any other, none.
func (r *Reconciler) channelsSelected(ctx context.Context, object client.Object) []reconcile.Request {
	budget, ok := object.(*policyv1.PodDisruptionBudget)
	if !ok || !apply.ForeignBudget(budget) {
		return nil
	}
	var channels v1.PubSubChannelList
	if err := r.client.List(ctx, &channels, client.InNamespace(budget.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		r.log.Error(err, "finding the channels of a PodDisruptionBudget", "namespace", budget.Namespace, "name", budget.Name)
		return nil
	}
	var requests []reconcile.Request
	for i := range channels.Items {
		channel := &channels.Items[i]
		// An adopted Deployment's pods may have labels that its channel does not know of.
		if apply.Selects(budget, apply.WorkerLabels(channel, nil)) || budget.Name == plan.DeploymentName(channel) || r.selectsLive(ctx, budget, channel) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(channel)})
		}
	}
	return requests
}

// selectsLive reports whether a budget selects the workers of a channel's Deployment.
func (r *Reconciler) selectsLive(ctx context.Context, budget *policyv1.PodDisruptionBudget, channel *v1.PubSubChannel) bool {
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: channel.Namespace, Name: plan.DeploymentName(channel)}
	return r.client.Get(ctx, key, deployment, client.UnsafeDisableDeepCopy) == nil && apply.Selects(budget, deployment.Spec.Template.Labels)
}

// budgetChanged lets those updates through that may change whom a budget selects or whose it
// is: its status changes with every pod.
func budgetChanged() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld != nil && e.ObjectNew != nil &&
			(e.ObjectOld.GetAnnotations()[v1.AnnotationAdoptedBy] != e.ObjectNew.GetAnnotations()[v1.AnnotationAdoptedBy] ||
				len(e.ObjectOld.GetOwnerReferences()) != len(e.ObjectNew.GetOwnerReferences()))
	}})
}

// annotationsChanged lets those updates of a channel through that touch an annotation of which
// its plan is made: they do not change its generation.
func annotationsChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld != nil && e.ObjectNew != nil &&
			!maps.Equal(plan.Annotations(e.ObjectOld.GetAnnotations()), plan.Annotations(e.ObjectNew.GetAnnotations()))
	}}
}

package translator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// A pod that two PodDisruptionBudgets select can't be evicted at all (Kubernetes 1.36,
// pkg/registry/core/pod/storage/eviction.go), so a drain of its node would never end.

// indexForeign finds in the cache the budgets that are no channel's: there are few, and of
// a channel's own there is one for each.
const indexForeign = "foreign"

// foreignValues are the values of indexForeign.
func foreignValues(object client.Object) []string {
	if budget, ok := object.(*policyv1.PodDisruptionBudget); ok && foreignBudget(budget) {
		return []string{"true"}
	}
	return nil
}

// foreignBudget reports whether a budget is no channel's.
func foreignBudget(budget *policyv1.PodDisruptionBudget) bool {
	owner := metav1.GetControllerOfNoCopy(budget)
	if owner == nil || owner.Kind != "PubSubChannel" {
		return true
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err != nil || version.Group != v1.GroupVersion.Group
}

// slimForeignBudget keeps what tells which pods a budget selects, and whether it may be
// adopted.
func slimForeignBudget(budget *policyv1.PodDisruptionBudget) *policyv1.PodDisruptionBudget {
	slim := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{
		Namespace: budget.Namespace, Name: budget.Name, UID: budget.UID,
		ResourceVersion: budget.ResourceVersion, Generation: budget.Generation,
		DeletionTimestamp: budget.DeletionTimestamp, OwnerReferences: budget.OwnerReferences,
	}}
	for _, label := range []string{v1.LabelChannel, labelManagedBy} {
		if value, ok := budget.Labels[label]; ok {
			metav1.SetMetaDataLabel(&slim.ObjectMeta, label, value)
		}
	}
	if consent, ok := budget.Annotations[v1.AnnotationAdoptedBy]; ok {
		metav1.SetMetaDataAnnotation(&slim.ObjectMeta, v1.AnnotationAdoptedBy, consent)
	}
	slim.Spec.Selector = budget.Spec.Selector.DeepCopy()
	return slim
}

// selects reports whether a budget selects pods with these labels: all with {}, none
// without a selector (policy/v1).
func selects(budget *policyv1.PodDisruptionBudget, pod labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	return err == nil && selector.Matches(pod) // the API server takes none that can't be read
}

// workerLabels are those of a channel's pods: as they are, and before there are any, as they
// will be.
func workerLabels(channel *v1.PubSubChannel, deployment *appsv1.Deployment) labels.Set {
	if deployment != nil {
		return deployment.Spec.Template.Labels
	}
	pod := labels.Set{}
	maps.Copy(pod, selectorLabels(channel))
	maps.Copy(pod, recommendedLabels(channel))
	if template := channel.Spec.Template; template != nil && template.Metadata != nil {
		maps.Copy(pod, template.Metadata.Labels)
	}
	return pod
}

// foreignBudgets are the names of those that select a channel's workers and are no
// channel's, sorted.
func (a *Applier) foreignBudgets(ctx context.Context, channel *v1.PubSubChannel, deployment *appsv1.Deployment) ([]string, error) {
	var list policyv1.PodDisruptionBudgetList
	err := a.Client.List(ctx, &list, client.InNamespace(channel.Namespace), client.MatchingFields{indexForeign: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing PodDisruptionBudgets in %s: %w", channel.Namespace, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	pod := workerLabels(channel, deployment)
	var found []string
	for i := range list.Items {
		if selects(&list.Items[i], pod) {
			found = append(found, list.Items[i].Name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// toldOfBudgets says why a channel has no budget of its own.
func toldOfBudgets(foreign []string) string {
	if len(foreign) == 1 {
		return fmt.Sprintf("PodDisruptionBudget %s selects them, so the channel makes none", foreign[0])
	}
	return fmt.Sprintf("PodDisruptionBudgets %s all select them, so that none can be evicted, and no drain ends: leave one", strings.Join(foreign, ", "))
}

// toldOfOwner makes words of why the budget under the channel's name is not the channel's:
// that is nothing that has to be put right, unless its owner wants it to be the channel's.
func toldOfOwner(foreign []string, err error) (string, error) {
	var known *problem
	switch {
	case !errors.As(err, &known) || known.reason == v1.ReasonAdoptionRefused:
		return "", err
	case known.reason == v1.ReasonProgressing: // of a deleted channel, and on its way out
		return "", nil
	case len(foreign) > 0:
		return toldOfBudgets(foreign), nil
	default:
		return "no PodDisruptionBudget selects them, because " + known.message, nil
	}
}

// channelsSelected are the channels whose workers a budget selects that is none of theirs;
// of any other, none.
func (r *Reconciler) channelsSelected(ctx context.Context, object client.Object) []reconcile.Request {
	budget, ok := object.(*policyv1.PodDisruptionBudget)
	if !ok || !foreignBudget(budget) {
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
		if selects(budget, workerLabels(channel, nil)) || budget.Name == deploymentName(channel) || r.selectsLive(ctx, budget, channel) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(channel)})
		}
	}
	return requests
}

// selectsLive reports whether a budget selects the workers of a channel's Deployment.
func (r *Reconciler) selectsLive(ctx context.Context, budget *policyv1.PodDisruptionBudget, channel *v1.PubSubChannel) bool {
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: channel.Namespace, Name: deploymentName(channel)}
	return r.client.Get(ctx, key, deployment, client.UnsafeDisableDeepCopy) == nil && selects(budget, deployment.Spec.Template.Labels)
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

package apply

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

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// A pod that two PodDisruptionBudgets select can't be evicted at all (Kubernetes 1.36,
// pkg/registry/core/pod/storage/eviction.go), so a drain of its node would never end.

// IndexForeign finds in the cache the budgets that are no channel's: there are few, and of
// a channel's own there is one for each.
const IndexForeign = "foreign"

// ForeignBudget reports whether a budget is no channel's.
func ForeignBudget(budget *policyv1.PodDisruptionBudget) bool {
	owner := metav1.GetControllerOfNoCopy(budget)
	if owner == nil || owner.Kind != "PubSubChannel" {
		return true
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err != nil || version.Group != v1.GroupVersion.Group
}

// Selects reports whether a budget selects pods with these labels: all with {}, none
// without a selector (policy/v1).
func Selects(budget *policyv1.PodDisruptionBudget, pod labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	return err == nil && selector.Matches(pod) // the API server takes none that can't be read
}

// WorkerLabels are those of a channel's pods: as they are, and before there are any, as they
// will be.
func WorkerLabels(channel *v1.PubSubChannel, deployment *appsv1.Deployment) labels.Set {
	if deployment != nil {
		return deployment.Spec.Template.Labels
	}
	pod := labels.Set{}
	maps.Copy(pod, plan.SelectorLabels(channel))
	maps.Copy(pod, plan.RecommendedLabels(channel))
	if template := channel.Spec.Template; template != nil && template.Metadata != nil {
		maps.Copy(pod, template.Metadata.Labels)
	}
	return pod
}

// foreignBudgets are the names of those that select a channel's workers and are no
// channel's, sorted.
func (a *Applier) foreignBudgets(ctx context.Context, channel *v1.PubSubChannel, deployment *appsv1.Deployment) ([]string, error) {
	var list policyv1.PodDisruptionBudgetList
	err := a.Client.List(ctx, &list, client.InNamespace(channel.Namespace), client.MatchingFields{IndexForeign: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing PodDisruptionBudgets in %s: %w", channel.Namespace, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	pod := WorkerLabels(channel, deployment)
	var found []string
	for i := range list.Items {
		if Selects(&list.Items[i], pod) {
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

// toldOfOwner is a message of why the budget under the channel's name is not the channel's:
// that is nothing that has to be put right, unless its owner wants it to be the channel's.
func toldOfOwner(foreign []string, err error) (string, error) {
	var known *plan.Problem
	switch {
	case !errors.As(err, &known) || known.Reason == v1.ReasonAdoptionRefused:
		return "", err
	case known.Reason == v1.ReasonProgressing: // of a deleted channel, and on its way out
		return "", nil
	case len(foreign) > 0:
		return toldOfBudgets(foreign), nil
	default:
		return "no PodDisruptionBudget selects them, because " + known.Message, nil
	}
}

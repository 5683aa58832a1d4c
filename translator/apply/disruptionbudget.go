package apply

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete

// DisruptionBudget makes, corrects or removes the channel's PodDisruptionBudget. Where
// another selects the workers, that one counts, and there is none of the channel's. It
// returns what is to be told of that; empty: nothing.
func (a *Applier) DisruptionBudget(ctx context.Context, p *plan.Plan, deployment *appsv1.Deployment) (told string, err error) {
	live := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: p.Channel.Namespace, Name: plan.DeploymentName(p.Channel)}}
	key := client.ObjectKeyFromObject(live)
	if !build.WantsDisruptionBudget(p, deployment) {
		return "", a.removeDisruptionBudget(ctx, p.Channel, key)
	}
	foreign, err := a.foreignBudgets(ctx, p.Channel, deployment)
	if err != nil {
		return "", err
	}
	if others := slices.DeleteFunc(slices.Clone(foreign), func(name string) bool { return name == live.Name }); len(others) > 0 {
		return toldOfBudgets(foreign), a.removeDisruptionBudget(ctx, p.Channel, key)
	}
	found, err := a.findOrCreate(ctx, p.Channel, a.Client, live, func(version *string) error {
		desired := build.DisruptionBudget(p)
		desired.ResourceVersion = version
		return a.applyDisruptionBudget(ctx, desired)
	})
	if !found || err != nil {
		return "", err
	}
	if err := a.checkOwner(ctx, "PodDisruptionBudget", live, p.Channel); err != nil {
		return toldOfOwner(foreign, err)
	}
	if live.DeletionTimestamp != nil {
		return "", nil
	}
	desired := build.DisruptionBudget(p)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return "", fmt.Errorf("converting PodDisruptionBudget %s: %w", key, err)
	}
	if needed, err := a.futile.needed(a.Owned, fields, live, a.Now()); !needed || err != nil {
		return "", err
	}
	if err := a.applyDisruptionBudget(ctx, desired.WithUID(live.UID), client.ForceOwnership); err != nil {
		return "", adopting("PodDisruptionBudget", live, p.Channel, err)
	}
	return "", a.noteApply(ctx, p.Channel, fields, live, ptr.Deref(desired.ResourceVersion, ""))
}

func (a *Applier) applyDisruptionBudget(ctx context.Context, desired *policyv1ac.PodDisruptionBudgetApplyConfiguration, options ...client.ApplyOption) error {
	if err := a.Client.Apply(ctx, desired, append(options, client.FieldOwner(ownership.Main))...); err != nil {
		return fmt.Errorf("applying PodDisruptionBudget %s/%s: %w", *desired.Namespace, *desired.Name, err)
	}
	return nil
}

func (a *Applier) removeDisruptionBudget(ctx context.Context, channel *v1.PubSubChannel, key types.NamespacedName) error {
	live := &policyv1.PodDisruptionBudget{}
	err := a.Client.Get(ctx, key, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading PodDisruptionBudget %s: %w", key, err)
	case !metav1.IsControlledBy(live, channel), live.DeletionTimestamp != nil:
		return nil
	}
	if err := a.Client.Delete(ctx, live, client.Preconditions{UID: &live.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting PodDisruptionBudget %s: %w", key, err)
	}
	return nil
}

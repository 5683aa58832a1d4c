package translator

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete

// disruptionShare is how many of a channel's workers a drain may take away at once; rounded
// up (Kubernetes 1.36, pkg/controller/disruption), so that it is never none.
const disruptionShare = "25%"

// buildDisruptionBudget keeps most workers up while nodes are drained.
func buildDisruptionBudget(channel *v1.PubSubChannel) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(deploymentName(channel), channel.Namespace).
		WithLabels(selectorLabels(channel)).
		WithLabels(recommendedLabels(channel)).
		WithOwnerReferences(ownerReference(channel)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromString(disruptionShare)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(channel))).
			// A worker that is not ready anyway must not hold up a drain.
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

// mayBeMany reports whether there can be more than one worker. A budget for a single one
// would be of no use.
func mayBeMany(channel *v1.PubSubChannel, deployment *appsv1.Deployment) bool {
	if autoScalingEnabled(channel) {
		return policySpec(channel.Spec.AutoScaling).MaxReplicas > 1
	}
	held := channel.Spec.Paused && deployment != nil && ptr.Deref(deployment.Spec.Replicas, 1) > 1
	return held || specReplicas(channel) > 1
}

// syncDisruptionBudget makes, corrects or removes the channel's PodDisruptionBudget. One of
// somebody else's under its name stays, and counts instead: two budgets for one pod would
// stop every drain.
func (r *Reconciler) syncDisruptionBudget(ctx context.Context, channel *v1.PubSubChannel, deployment *appsv1.Deployment) error {
	live := &policyv1.PodDisruptionBudget{}
	key := types.NamespacedName{Namespace: channel.Namespace, Name: deploymentName(channel)}
	if !mayBeMany(channel, deployment) {
		return r.removeDisruptionBudget(ctx, channel, key)
	}
	found, err := find(ctx, r.client, r.live, key, live)
	switch {
	case err != nil:
		return err
	case found && (!metav1.IsControlledBy(live, channel) || live.DeletionTimestamp != nil):
		return nil
	}
	desired := buildDisruptionBudget(channel)
	options := []client.ApplyOption{client.FieldOwner(ownerMain)}
	if found {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
		if err != nil {
			return fmt.Errorf("converting PodDisruptionBudget %s: %w", key, err)
		}
		if same, err := applied(fields, live); same || err != nil {
			return err
		}
		desired.WithUID(live.UID)
		options = append(options, client.ForceOwnership)
	}
	if err := r.client.Apply(ctx, desired, options...); err != nil {
		return fmt.Errorf("applying PodDisruptionBudget %s: %w", key, err)
	}
	return nil
}

func (r *Reconciler) removeDisruptionBudget(ctx context.Context, channel *v1.PubSubChannel, key types.NamespacedName) error {
	live := &policyv1.PodDisruptionBudget{}
	err := r.client.Get(ctx, key, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading PodDisruptionBudget %s: %w", key, err)
	case !metav1.IsControlledBy(live, channel), live.DeletionTimestamp != nil:
		return nil
	}
	if err := r.client.Delete(ctx, live, client.Preconditions{UID: &live.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting PodDisruptionBudget %s: %w", key, err)
	}
	return nil
}

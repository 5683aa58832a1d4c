//go:build integration

package translator

import (
	"context"
	"fmt"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// childrenOf are a channel's three objects.
func childrenOf(channel *v1.PubSubChannel) []client.Object {
	return []client.Object{deploymentOf(channel), scaledObjectOf(channel), budgetOf(channel)}
}

// orphan has a channel go with --cascade=orphan: the API server marks it, the garbage
// collector takes the owner off each of the children, and then the mark. between runs while
// the channel still goes.
func (s *server) orphan(t *testing.T, channel *v1.PubSubChannel, between func(child client.Object)) {
	t.Helper()
	require.NoError(t, s.Delete(t.Context(), channel, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	s.get(t, channel)
	require.Contains(t, channel.Finalizers, metav1.FinalizerOrphanDependents)
	for _, child := range childrenOf(channel) {
		s.get(t, child)
		patch := []byte(`{"metadata":{"uid":"` + string(child.GetUID()) + `","ownerReferences":[{"$patch":"delete","uid":"` + string(channel.UID) + `"}]}}`)
		kind := types.StrategicMergePatchType
		if _, custom := child.(*kedav1alpha1.ScaledObject); custom {
			patch, kind = []byte(`{"metadata":{"ownerReferences":null}}`), types.MergePatchType
		}
		require.NoError(t, s.Patch(t.Context(), child, client.RawPatch(kind, patch), client.FieldOwner("kube-controller-manager")))
		require.Empty(t, child.GetOwnerReferences())
		if between != nil {
			between(child)
		}
	}
	require.NoError(t, s.Patch(t.Context(), channel, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
}

// everything is a channel with all three children, once they are there.
func (s *server) everything(t *testing.T) *v1.PubSubChannel {
	t.Helper()
	channel := s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](2) }))
	s.deploymentReady(t, channel)
	for _, child := range childrenOf(channel) {
		eventually(t, s, child, func(client.Object) bool { return true }, "it is made")
	}
	return channel
}

// Again creates a channel of the same name, of another image.
func (s *server) again(t *testing.T, gone *v1.PubSubChannel) *v1.PubSubChannel {
	t.Helper()
	return s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](2), 30 }),
		func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Image = gone.Namespace, "again:1" })
}

// asOthersDo leaves the traces on the children that they have in a cluster: a restart's time,
// the HPA's replicas, KEDA's finalizer, label and empty struct.
func (s *server) asOthersDo(t *testing.T, channel *v1.PubSubChannel) {
	t.Helper()
	deployment := deploymentOf(channel)
	s.get(t, deployment)
	s.scale(t, deployment, 7)
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}}}}}`
	require.NoError(t, s.Patch(t.Context(), deployment, client.RawPatch(types.StrategicMergePatchType, []byte(restart)), client.FieldOwner("kubectl-rollout")))
	so := scaledObjectOf(channel)
	keda := `{"metadata":{"labels":{"scaledobject.keda.sh/name":"orders"}},"spec":{"advanced":{"scalingModifiers":{}}}}`
	require.NoError(t, s.Patch(t.Context(), so, client.RawPatch(types.MergePatchType, []byte(keda)), client.FieldOwner("keda")))
}

// What a channel leaves behind with --cascade=orphan, the next of its name takes up again,
// all three, as they run: the operator made them for a channel of that name, and nobody else
// had a hand in them.
func TestOrphansAreTakenUpAgain(t *testing.T) {
	s := sharedServer(t)
	channel := s.everything(t)
	s.asOthersDo(t, channel)
	seen := watchReplicas(t, s, channel.Namespace)
	s.orphan(t, channel, nil)
	var before []types.UID
	for _, child := range childrenOf(channel) {
		s.get(t, child)
		require.Empty(t, child.GetOwnerReferences())
		before = append(before, child.GetUID())
	}

	channel = s.again(t, channel)
	for i, child := range childrenOf(channel) {
		eventually(t, s, child, func(o client.Object) bool { return metav1.IsControlledBy(o, channel) }, "it is the new channel's")
		assert.Equal(t, before[i], child.GetUID())
	}
	deployment, so := deploymentOf(channel), scaledObjectOf(channel)
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "again:1" }, "as the new one wants it")
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return *so.Spec.MaxReplicaCount == 30 }, "as the new one wants it")
	seen.went(t, s, deployment, 7) // they stay
	eventually(t, s, channel, readyReason(v1.ReasonProgressing), "nothing is in the way")
}

// With a field of somebody else's in it, each waits for its owner's consent on the object
// itself: that field would stay, and a channel's author is not the one to have it.
func TestChangedOrphansNeedConsent(t *testing.T) {
	s := sharedServer(t)
	for name, test := range map[string]struct {
		child  int // of childrenOf
		patch  string
		reason string
	}{
		"Deployment":   {0, `{"spec":{"template":{"spec":{"serviceAccountName":"theirs"}}}}`, v1.ReasonDeploymentConflict},
		"ScaledObject": {1, `{"spec":{"idleReplicaCount":0}}`, v1.ReasonScaledObjectConflict},
	} {
		t.Run(name, func(t *testing.T) {
			channel := s.everything(t)
			s.orphan(t, channel, nil)
			child := childrenOf(channel)[test.child]
			require.NoError(t, s.Patch(t.Context(), child, client.RawPatch(types.MergePatchType, []byte(test.patch)), client.FieldOwner("kubectl-patch")))
			version := child.GetResourceVersion()

			channel = s.again(t, channel)
			eventually(t, s, channel, readyReason(test.reason), "it is refused")
			words := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message
			assert.Contains(t, words, "adopted-by=orders")
			s.get(t, child)
			assert.Equal(t, version, child.GetResourceVersion())

			consent := `{"metadata":{"annotations":{"` + v1.AnnotationAdoptedBy + `":"orders"}}}`
			require.NoError(t, s.Patch(t.Context(), child, client.RawPatch(types.MergePatchType, []byte(consent)), client.FieldOwner("kubectl-annotate")))
			eventually(t, s, child, func(o client.Object) bool { return metav1.IsControlledBy(o, channel) }, "it is adopted")
			eventually(t, s, channel, readyReason(v1.ReasonProgressing), "nothing is in the way")
		})
	}
}

// What was never the operator's is adopted with consent alone: a ScaledObject and a budget
// too.
func TestForeignChildrenAreAdoptedByConsent(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	named := &v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)}
	so := scaledObjectOf(named)
	so.Annotations = map[string]string{v1.AnnotationAdoptedBy: "orders"}
	so.Spec = kedav1alpha1.ScaledObjectSpec{
		ScaleTargetRef: &kedav1alpha1.ScaleTarget{Name: "orders-subscriber", Kind: "Deployment", APIVersion: "apps/v1"},
		Triggers:       []kedav1alpha1.ScaleTriggers{{Type: "redis", Metadata: map[string]string{"listName": "orders"}}},
	}
	require.NoError(t, s.Create(t.Context(), so))
	budget := budgetOf(named)
	budget.Annotations = so.Annotations
	budget.Spec = policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: selector(plan.SelectorLabels(named))}
	require.NoError(t, s.Create(t.Context(), budget))

	channel := s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) { c.Namespace = namespace })
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool {
		return metav1.IsControlledBy(so, channel) && so.Spec.Triggers[0].Type == "external-push"
	}, "the ScaledObject is adopted")
	eventually(t, s, budget, func(b *policyv1.PodDisruptionBudget) bool {
		return metav1.IsControlledBy(b, channel) && b.Spec.MaxUnavailable.String() == "25%"
	}, "the budget is adopted")

	// And the consent may come later: without it nothing is in the way.
	second := metaNamed("second", namespace)
	budget = budgetOf(&v1.PubSubChannel{ObjectMeta: second})
	budget.Spec.MaxUnavailable = ptr.To(intstr.FromInt32(1))
	require.NoError(t, s.Create(t.Context(), budget))
	channel = s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) { c.ObjectMeta = second })
	eventually(t, s, channel, readyReason(v1.ReasonProgressing), "nothing is in the way")
	before := budget.DeepCopy()
	budget.Annotations = map[string]string{v1.AnnotationAdoptedBy: "second"}
	require.NoError(t, s.Patch(t.Context(), budget, client.MergeFrom(before)))
	eventually(t, s, budget, func(b *policyv1.PodDisruptionBudget) bool { return metav1.IsControlledBy(b, channel) }, "the budget is adopted")
}

// What consents and yet can't become the channel's has a reason of its own, and words.
func TestWhatCannotBeAdoptedSaysWhy(t *testing.T) {
	s := sharedServer(t)
	consent := map[string]string{v1.AnnotationAdoptedBy: "orders"}
	for name, test := range map[string]struct {
		object func(channel *v1.PubSubChannel) client.Object
		words  []string
	}{
		"a ScaledObject of a StatefulSet": {func(channel *v1.PubSubChannel) client.Object {
			so := scaledObjectOf(channel)
			so.Spec = kedav1alpha1.ScaledObjectSpec{
				ScaleTargetRef: &kedav1alpha1.ScaleTarget{Name: "theirs", Kind: "StatefulSet"}, Triggers: []kedav1alpha1.ScaleTriggers{channeltest.CPU("busy")},
			}
			return so
		}, []string{"ScaledObject orders may be adopted", `kind "StatefulSet"`, "Deployment of apps/v1", "delete it"}},
		"a budget that counts otherwise": {func(channel *v1.PubSubChannel) client.Object {
			budget := budgetOf(channel)
			budget.Spec = policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: selector(plan.SelectorLabels(channel))}
			return budget
		}, []string{"PodDisruptionBudget orders-subscriber may be adopted", "minAvailable", "delete it"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			theirs := test.object(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)})
			theirs.SetAnnotations(consent)
			require.NoError(t, s.Create(t.Context(), theirs))
			version := theirs.GetResourceVersion()
			channel := s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) { c.Namespace = namespace })
			eventually(t, s, channel, readyReason(v1.ReasonAdoptionRefused), "it is told")
			for _, words := range test.words {
				assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, words)
			}
			s.get(t, theirs)
			assert.Equal(t, version, theirs.GetResourceVersion())
			require.NoError(t, s.Delete(t.Context(), theirs))
			eventually(t, s, channel, readyReason(v1.ReasonProgressing), "without it the channel makes its own")
		})
	}
}

// While a channel goes with --cascade=orphan, its children are let go one after the other,
// and a controller whose copy of the channel is older takes none of them back: they would be
// deleted with it.
func TestOrphansAreNotTakenBackByAChannelThatGoes(t *testing.T) {
	s := sharedServer(t)
	channel := s.everything(t)
	s.get(t, channel)
	stale := channel.DeepCopy()
	stale.Status.ObservedGeneration = stale.Generation
	direct := interceptor.NewClient(s.WithWatch, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return nil // of budgets, by an index that the cache alone has: there are no others
		},
	})
	a := &apply.Applier{
		Now: time.Now, Client: direct, Live: s.WithWatch, ScaledObjects: s.WithWatch, Scaler: testScaler, Limits: limits.Limits{ServiceAccounts: []string{"worker"}},
		Certificates: func(context.Context, bool, string) string { return "" },
	}
	takeBack := func(child client.Object) (err error) {
		switch child.(type) {
		case *appsv1.Deployment:
			_, err = a.Deployment(t.Context(), testWorkers.Plan(stale))
		case *policyv1.PodDisruptionBudget:
			_, err = a.DisruptionBudget(t.Context(), testWorkers.Plan(stale), nil)
		case *kedav1alpha1.ScaledObject:
			_, err = a.ScaledObject(t.Context(), testWorkers.Plan(stale))
		default:
			err = fmt.Errorf("a channel has no child %T", child)
		}
		return err
	}
	s.orphan(t, channel, func(child client.Object) {
		err := takeBack(child)
		assert.True(t, apply.Raced(err), "%T: %v", child, err)
		assert.False(t, apply.MayBeScaled(err), "and nothing is made beside it")
	})
	for _, child := range childrenOf(channel) {
		s.get(t, child)
		assert.Empty(t, child.GetOwnerReferences())
		assert.ErrorContains(t, takeBack(child), "it is being deleted", "nor does one that has gone")
	}
}

// Only what the operator made as a whole is an orphan of its own.
func TestOnlyOperatorMade(t *testing.T) {
	s := sharedServer(t)
	channel := s.everything(t)
	s.asOthersDo(t, channel)
	child := deploymentOf(channel)
	made := func() bool {
		s.get(t, child)
		only, err := ownership.OnlyOperatorMade(child)
		require.NoError(t, err)
		return only
	}
	assert.True(t, made())
	for _, change := range []func(*appsv1.Deployment){
		func(d *appsv1.Deployment) { d.Spec.Template.Annotations["role"] = "admin" },
		func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 3 },
		func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "more", Image: "m"})
		},
	} {
		before := child.DeepCopy()
		change(child)
		require.NoError(t, s.Patch(t.Context(), child, client.StrategicMergeFrom(before), client.FieldOwner("kubectl-edit")))
		assert.False(t, made())
		undo := child.DeepCopy()
		child.Spec = before.Spec
		require.NoError(t, s.Patch(t.Context(), child, client.StrategicMergeFrom(undo), client.FieldOwner("kubectl-edit")))
		require.True(t, made(), "undone")
	}
	_, err := controllerutil.CreateOrPatch(t.Context(), s, child, func() error {
		child.Labels["theirs"] = "1"
		return nil
	})
	require.NoError(t, err)
	assert.True(t, made(), "a label of the Deployment runs nothing")
}

package translator

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// fieldsOfOwner are managedFields of a Deployment as the API server writes them.
const fieldsOfOwner = `{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"%s\"}":{}}},"f:spec":{"f:replicas":{},"f:selector":{}}}`

// cachedDeployment is a Deployment that the main owner applied, as it stands in the cache.
func cachedDeployment(t *testing.T, caches *Caches, uid string, others ...metav1.ManagedFieldsEntry) (desired map[string]any, live *appsv1.Deployment) {
	t.Helper()
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: types.UID(uid)}}
	live = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "orders-subscriber",
			Annotations:     map[string]string{"deployment.kubernetes.io/revision": "3", corev1.LastAppliedConfigAnnotation: "{}"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(channel, v1.GroupVersion.WithKind("PubSubChannel"))},
			ManagedFields: append([]metav1.ManagedFieldsEntry{{
				Manager: ownership.Main, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(fmt.Sprintf(fieldsOfOwner, uid)),
			}}, others...),
		},
		Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}, {Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue},
		}},
		Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: plan.SelectorLabels(channel)}},
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	require.NoError(t, err)
	desired = map[string]any{
		"metadata": map[string]any{"ownerReferences": fields["metadata"].(map[string]any)["ownerReferences"]},
		"spec":     map[string]any{"replicas": int64(2), "selector": fields["spec"].(map[string]any)["selector"]},
	}
	cached, err := caches.slimDeployment(live)
	require.NoError(t, err)
	return desired, cached.(*appsv1.Deployment)
}

func TestCachedObjectsKeepWhatIsCompared(t *testing.T) {
	replicas := metav1.ManagedFieldsEntry{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate,
		Subresource: "scale", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)}
	status := metav1.ManagedFieldsEntry{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate,
		Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{}}}`)}
	caches := NewCaches(nil, nil)
	desired, one := cachedDeployment(t, caches, "5e2f7c1a-0000-4000-8000-000000000001", status)
	_, two := cachedDeployment(t, caches, "5e2f7c1a-0000-4000-8000-000000000002", status, replicas)

	same, err := caches.owned.Applied(desired, one)
	require.NoError(t, err)
	assert.True(t, same, "what was applied")
	same, err = caches.owned.Applied(desired, two)
	require.NoError(t, err)
	assert.False(t, same, "another channel's reference")
	assert.Empty(t, one.Annotations)
	require.Len(t, one.Status.Conditions, 1, "what is wrong, and nothing else")
	assert.Equal(t, appsv1.DeploymentReplicaFailure, one.Status.Conditions[0].Type)
	assert.Len(t, one.ManagedFields, 1)
	assert.Same(t, one.ManagedFields[0].FieldsV1, two.ManagedFields[0].FieldsV1, "all channels share one set of fields")

	for deployment, want := range map[*appsv1.Deployment]bool{one: true, two: false} {
		alone, err := ownership.OnlyMainOwnsReplicas(deployment)
		require.NoError(t, err)
		assert.Equal(t, want, alone)
	}
}

func TestSharedPartsAreReplacedWhereTheyDiffer(t *testing.T) {
	var l latest[corev1.SecurityContext]
	strict, again, loose := &corev1.SecurityContext{Privileged: new(bool)}, &corev1.SecurityContext{Privileged: new(bool)}, &corev1.SecurityContext{}
	assert.Nil(t, l.share(nil))
	assert.Same(t, strict, l.share(strict))
	assert.Same(t, strict, l.share(again))
	assert.Same(t, loose, l.share(loose))
	assert.Nil(t, l.share(nil))
}

// Two controllers in one process, as tests have, share nothing.
func TestCachesAreApart(t *testing.T) {
	_, one := cachedDeployment(t, NewCaches(nil, nil), "5e2f7c1a-0000-4000-8000-000000000001")
	_, two := cachedDeployment(t, NewCaches(nil, nil), "5e2f7c1a-0000-4000-8000-000000000001")
	assert.Equal(t, one.ManagedFields[0].FieldsV1, two.ManagedFields[0].FieldsV1)
	assert.NotSame(t, one.ManagedFields[0].FieldsV1, two.ManagedFields[0].FieldsV1)
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// What is dropped of the cached objects is nothing that a target's state is read from.
func TestSlimKeepsWhatDecisionsNeed(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "orders", Annotations: map[string]string{"large": "text"}}
	zero := &autoscalingv2.HPAScalingRules{Tolerance: ptr.To(resource.MustParse("0"))}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta,
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: zero, ScaleDown: zero}},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{
			CurrentReplicas: 3, DesiredReplicas: 4, LastScaleTime: ptr.To(metav1.Unix(1_800_000_000, 0)),
			Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
				{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue},
				{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue},
			},
		},
	}
	object := &target.ScaledObject{ObjectMeta: meta}
	object.Spec.ScaleTargetRef = &target.ScaleTarget{APIVersion: "example.com/v1", Kind: "Rollout", Name: "orders"}
	object.Status.HpaName = "orders"
	state := func(objects ...client.Object) target.State {
		scheme, err := newScheme()
		require.NoError(t, err)
		got, err := target.NewCluster(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()).State(t.Context(), "shop", "orders")
		require.NoError(t, err)
		got.LastScale = got.LastScale.UTC()
		return got
	}
	want := target.State{Replicas: 4, LastScale: time.Unix(1_800_000_000, 0).UTC(), ToleranceHonoured: true}
	assert.Equal(t, want, state(object.DeepCopy(), hpa.DeepCopy()))
	for _, whole := range []client.Object{object, hpa} {
		_, err := slim(whole)
		require.NoError(t, err)
		assert.Empty(t, whole.GetAnnotations())
	}
	assert.Equal(t, want, state(object, hpa))
}

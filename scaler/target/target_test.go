package target

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

var last = metav1.NewTime(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC))

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name}
}

func scaledObject(mutate ...func(*ScaledObject)) *ScaledObject {
	o := &ScaledObject{ObjectMeta: meta("orders")}
	o.Spec.ScaleTargetRef = &ScaleTarget{Name: "worker"}
	o.Spec.Triggers = []ScaleTriggers{{Type: "external-push", Metadata: map[string]string{"channelName": "q"}}}
	for _, m := range mutate {
		m(o)
	}
	return o
}

func hpa(name string, up, down string) *autoscalingv2.HorizontalPodAutoscaler {
	rules := func(tolerance string) *autoscalingv2.HPAScalingRules {
		if tolerance == "" {
			return &autoscalingv2.HPAScalingRules{}
		}
		return &autoscalingv2.HPAScalingRules{Tolerance: ptr.To(resource.MustParse(tolerance))}
	}
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta(name),
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(up), ScaleDown: rules(down)}},
		Status:     autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: 9, LastScaleTime: &last},
	}
}

func deployment(replicas *int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: meta("worker"), Spec: appsv1.DeploymentSpec{Replicas: replicas}}
}

func cluster(t *testing.T, objects ...client.Object) *Cluster {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	return NewCluster(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build())
}

// another is a ScaledObject over a kind that is only named like one of ours.
var another = scaledObject(func(o *ScaledObject) {
	o.Spec.ScaleTargetRef.APIVersion, o.Spec.ScaleTargetRef.Kind = "example.com/v1", "Deployment"
})

// synced is an HPA whose last sync saw 9 replicas, and has decided for 10 at some time.
func synced(active corev1.ConditionStatus) *autoscalingv2.HorizontalPodAutoscaler {
	o := hpa("keda-hpa-orders", "0", "0")
	o.Status.DesiredReplicas = 10
	o.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{
		{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue}, {Type: autoscalingv2.ScalingActive, Status: active},
	}
	return o
}

func TestState(t *testing.T) {
	tests := map[string]struct {
		objects []client.Object
		want    State
	}{
		"a Deployment": {[]client.Object{scaledObject(), deployment(ptr.To[int32](3)), hpa("keda-hpa-orders", "0", "0")},
			State{Replicas: 3, LastScale: last.Time, ToleranceHonoured: true}},
		"at zero": {[]client.Object{scaledObject(), deployment(ptr.To[int32](0)), hpa("keda-hpa-orders", "0", "0")},
			State{Replicas: 0, LastScale: last.Time, ToleranceHonoured: true}},
		"a Deployment that does not say": {[]client.Object{scaledObject(), deployment(nil)}, State{Replicas: 1}},
		"no HPA yet":                     {[]client.Object{scaledObject(), deployment(ptr.To[int32](3))}, State{Replicas: 3}},
		"the server dropped the tolerance": {[]client.Object{scaledObject(), deployment(ptr.To[int32](3)), hpa("keda-hpa-orders", "", "")},
			State{Replicas: 3, LastScale: last.Time}},
		"another tolerance, one way": {[]client.Object{scaledObject(), deployment(ptr.To[int32](3)), hpa("keda-hpa-orders", "0", "0.05")},
			State{Replicas: 3, LastScale: last.Time}},
		"the HPA's name from the spec": {[]client.Object{
			scaledObject(func(o *ScaledObject) {
				o.Spec.Advanced = &AdvancedConfig{HorizontalPodAutoscalerConfig: &HorizontalPodAutoscalerConfig{Name: "mine"}}
			}), deployment(ptr.To[int32](3)), hpa("mine", "0", "0")},
			State{Replicas: 3, LastScale: last.Time, ToleranceHonoured: true}},
		"the HPA's name from the status": {[]client.Object{
			scaledObject(func(o *ScaledObject) { o.Status.HpaName = "old" }), deployment(ptr.To[int32](3)), hpa("old", "0", "0")},
			State{Replicas: 3, LastScale: last.Time, ToleranceHonoured: true}},
		"a StatefulSet": {[]client.Object{
			scaledObject(func(o *ScaledObject) { o.Spec.ScaleTargetRef.Kind = "StatefulSet" }),
			&appsv1.StatefulSet{ObjectMeta: meta("worker"), Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](5)}}},
			State{Replicas: 5}},
		"the HPA's status is not of these replicas yet": {[]client.Object{scaledObject(), deployment(ptr.To[int32](4)), synced(corev1.ConditionTrue)},
			State{Replicas: 4, LastScale: last.Time, ToleranceHonoured: true, Unsettled: true}},
		"the HPA's status is of these replicas": {[]client.Object{scaledObject(), deployment(ptr.To[int32](10)), synced(corev1.ConditionTrue)},
			State{Replicas: 10, LastScale: last.Time, ToleranceHonoured: true}},
		"the HPA could not decide": {[]client.Object{scaledObject(), deployment(ptr.To[int32](4)), synced(corev1.ConditionFalse)},
			State{Replicas: 4, LastScale: last.Time, ToleranceHonoured: true}},
		"KEDA has just scaled to zero": {[]client.Object{scaledObject(), deployment(ptr.To[int32](0)), synced(corev1.ConditionTrue)},
			State{Replicas: 0, LastScale: last.Time, ToleranceHonoured: true}},
		"another kind, as the HPA left it": {[]client.Object{another, synced(corev1.ConditionTrue)},
			State{Replicas: 10, LastScale: last.Time, ToleranceHonoured: true}},
		"another kind, as the HPA saw it when it could not decide": {[]client.Object{another, synced(corev1.ConditionFalse)},
			State{Replicas: 9, LastScale: last.Time, ToleranceHonoured: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := cluster(t, test.objects...).State(t.Context(), "shop", "orders")
			require.NoError(t, err)
			assert.True(t, test.want.LastScale.Equal(got.LastScale), got.LastScale)
			got.LastScale, test.want.LastScale = time.Time{}, time.Time{}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestWhatIsMissingIsAnErrorWithItsName(t *testing.T) {
	tests := map[string]struct {
		objects []client.Object
		want    string
	}{
		"no ScaledObject": {nil, "there is no ScaledObject shop/orders"},
		"no Deployment":   {[]client.Object{scaledObject()}, "there is no Deployment shop/worker, the target of the ScaledObject"},
		"another kind without an HPA": {[]client.Object{scaledObject(func(o *ScaledObject) {
			o.Spec.ScaleTargetRef.APIVersion, o.Spec.ScaleTargetRef.Kind = "example.com/v1", "Rollout"
		})}, "replicas of Rollout shop/worker come from its HPA, which KEDA has not created yet"},
		"another kind whose HPA has not synced yet": {[]client.Object{another, hpa("keda-hpa-orders", "0", "0")},
			"HorizontalPodAutoscaler shop/keda-hpa-orders has not looked at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := cluster(t, test.objects...).State(t.Context(), "shop", "orders")
			require.ErrorIs(t, err, ErrNotFound)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestFind(t *testing.T) {
	c := cluster(t, scaledObject(func(o *ScaledObject) {
		o.UID, o.Generation = "abc", 7
		o.Spec.Triggers = append([]ScaleTriggers{
			{Type: "cpu", Metadata: map[string]string{"channelName": "not external"}},
			{Type: "external", Metadata: map[string]string{"topic": "somebody else's"}, MetricType: "Value"},
		}, o.Spec.Triggers...)
	}))
	got, err := c.Find(t.Context(), "shop", "orders")
	require.NoError(t, err)
	assert.Equal(t, Version{UID: "abc", Generation: 7}, got.Version())
	assert.Equal(t, []Trigger{
		{Metadata: map[string]string{"topic": "somebody else's"}, MetricType: "Value"},
		{Metadata: map[string]string{"channelName": "q"}},
	}, got.Triggers())

	_, err = c.Find(t.Context(), "shop", "parcels")
	require.ErrorIs(t, err, ErrNotFound)
	assert.ErrorContains(t, err, "there is no ScaledObject shop/parcels (ScaledJobs are not supported")
}

// The scaler of some namespaces says so of a ScaledObject in another one, and reads nothing there.
func TestOtherNamespacesAreNotRead(t *testing.T) {
	all := cluster(t, scaledObject(), deployment(ptr.To[int32](3)))
	some := NewCluster(all.client, "billing", "stock")
	_, err := some.Find(t.Context(), "shop", "orders")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "add shop to --watch-namespaces")
	_, err = some.State(t.Context(), "shop", "orders")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = NewCluster(all.client, "shop").State(t.Context(), "shop", "orders")
	require.NoError(t, err)
}

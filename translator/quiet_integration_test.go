//go:build integration

package translator

import (
	"fmt"
	"sync/atomic"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

func metaNamed(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace}
}

func selector(labels map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: labels}
}

// A channel that does not change causes no write at all, though the scaler is asked again
// and again, its cooldown counts down, and the channel is reconciled.
func TestUnchangedChannelsCauseNoWrites(t *testing.T) {
	s := sharedServer(t)
	var asked atomic.Int64
	namespace := s.namespace(t)
	s.explainer.set(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)}, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return &inspectv1.ExplainResponse{
			QueueDepth: 500, Reason: inspectv1.Reason_REASON_COOLDOWN, Action: inspectv1.Action_ACTION_HOLD,
			Explanation:        fmt.Sprintf("holding at 3: %d s of the 60 s cooldown left", 1000-asked.Add(1)),
			LastingExplanation: "holding at 3: the 60 s cooldown lasts until 15:04:05 UTC",
		}, nil
	})
	channel := s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
		a.Schedules, a.Triggers = []v1.Schedule{channeltest.Office()}, []kedav1alpha1.ScaleTriggers{channeltest.CPU("busy")}
		a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6}
	}), channeltest.Templated(t, channeltest.RichTemplate), channeltest.Paused, func(c *v1.PubSubChannel) {
		c.Namespace = namespace
		// Whatever the API server writes otherwise than it was asked.
		c.Spec.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1000m"), "memory": resource.MustParse("1024Mi")}
		c.Spec.Env = []corev1.EnvVar{
			{Name: "EMPTY"},
			{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
			{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "k", LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}},
		}
	})
	deployment := s.deploymentReady(t, channel)
	so := scaledObjectOf(channel)
	eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.QueueDepth != nil }, "the depth is told")

	budget := budgetOf(channel)
	s.get(t, budget)
	versions := []string{budget.ResourceVersion, deployment.ResourceVersion, so.ResourceVersion, channel.ResourceVersion}
	applies := s.log.count("trying again")
	for round := range 5 {
		// An annotation of somebody else's on a child has the channel reconciled.
		before := so.DeepCopy()
		so.Annotations["theirs"] = fmt.Sprint(round)
		require.NoError(t, s.Patch(t.Context(), so, client.MergeFrom(before)))
		versions[2] = so.ResourceVersion
		from := asked.Load()
		require.Eventually(t, func() bool { return asked.Load() >= from+2 }, soon, tick)
	}
	s.get(t, budget)
	s.get(t, deployment)
	s.get(t, so)
	s.get(t, channel)
	assert.Equal(t, []string{budget.ResourceVersion, deployment.ResourceVersion, so.ResourceVersion, channel.ResourceVersion}, versions)
	assert.Equal(t, applies, s.log.count("trying again"))
	// The API server drops a write that changes nothing, so its versions alone don't tell
	// that none was sent.
	desired, err := build.ApplyForm(build.ScaledObject(testWorkers.Plan(channel), testScaler))
	require.NoError(t, err)
	same, err := new(ownership.Decoded).Applied(desired.Object, so)
	require.NoError(t, err)
	assert.True(t, same, "ScaledObject")
	assert.True(t, deploymentApplied(t, channel, deployment), "Deployment")
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(build.DisruptionBudget(testWorkers.Plan(channel)))
	require.NoError(t, err)
	same, err = new(ownership.Decoded).Applied(fields, budget)
	require.NoError(t, err)
	assert.True(t, same, "PodDisruptionBudget")
}

// deploymentApplied reports whether the Deployment needs no further apply.
func deploymentApplied(t *testing.T, channel *v1.PubSubChannel, live *appsv1.Deployment) bool {
	t.Helper()
	desired, err := build.Deployment(testWorkers.Plan(channel))
	require.NoError(t, err)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	require.NoError(t, err)
	same, err := new(ownership.Decoded).Applied(fields, live)
	require.NoError(t, err)
	return same
}

//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// deleteAndWait deletes a channel's Deployment and waits for the next one.
func (s *server) deleteAndWait(t *testing.T, channel *v1.PubSubChannel, deployment *appsv1.Deployment) {
	t.Helper()
	first := deployment.UID
	require.NoError(t, s.Delete(t.Context(), deployment))
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return d.UID != first }, "the Deployment is made anew")
	s.deploymentReady(t, channel)
}

// A Deployment that somebody deletes comes back with the replicas that were wanted last, be
// that none, and within the limits of now; never with a number that nobody asked for.
func TestDeletedDeploymentComesBackAsItWas(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	seen := watchReplicas(t, s, namespace)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace },
		channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](0), 20 }))
	deployment := s.deploymentReady(t, channel)
	told := func(n int32) {
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.Selector != "" && c.Status.DesiredReplicas == n }, "the status knows")
	}
	told(0)
	for _, n := range []int32{7, 1, 0, 12} {
		s.scale(t, deployment, n)
		told(n)
		s.deleteAndWait(t, channel, deployment)
		assert.Equal(t, n, *deployment.Spec.Replicas)
	}
	s.edit(t, channel, auto(func(a *v1.AutoScalingSpec) { a.MaxReplicas = 5 }))
	so := scaledObjectOf(channel)
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return *so.Spec.MaxReplicaCount == 5 }, "the limit is followed")
	s.deleteAndWait(t, channel, deployment)
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
	seen.went(t, s, deployment, 0, 7, 1, 0, 12, 5)
}

// A pause holds the number over a deletion too, with autoscaling and without.
func TestDeletedDeploymentComesBackPaused(t *testing.T) {
	s := sharedServer(t)
	for name, change := range map[string]func(*v1.PubSubChannel){
		"autoscaled":     channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MaxReplicas = 5 }),
		"not autoscaled": func(*v1.PubSubChannel) {},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			seen := watchReplicas(t, s, namespace)
			channel := s.channel(t, change, channeltest.Paused, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
			deployment := s.deploymentReady(t, channel)
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == 3 }, "the status knows")
			s.scale(t, deployment, 8)
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == 8 }, "the status knows")
			s.deleteAndWait(t, channel, deployment)
			seen.went(t, s, deployment, 3, 8)
		})
	}
}

// A new fleet that may sleep has no worker until KEDA wakes it, also while there is a pause,
// and keeps what KEDA gives it.
func TestNewFleetSleeps(t *testing.T) {
	s := sharedServer(t)
	for name, change := range map[string]func(*v1.PubSubChannel){
		"as it is": func(*v1.PubSubChannel) {},
		"paused":   channeltest.Paused,
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			seen := watchReplicas(t, s, namespace)
			channel := s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) }), change,
				func(c *v1.PubSubChannel) { c.Namespace = namespace })
			deployment := s.deploymentReady(t, channel)
			assert.EqualValues(t, 0, *deployment.Spec.Replicas)
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.Selector != "" && c.Status.QueueDepth != nil }, "it is seen")
			assert.EqualValues(t, 0, channel.Status.DesiredReplicas)
			s.scale(t, deployment, 1)
			s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
			eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == 1 }, "KEDA's step is told")
			seen.went(t, s, deployment, 0, 1)
		})
	}
}

//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// conditionIs wants a condition to have a status and a reason.
func conditionIs(kind, status, reason string) func(*v1.PubSubChannel) bool {
	return func(c *v1.PubSubChannel) bool {
		got := meta.FindStatusCondition(c.Status.Conditions, kind)
		return got != nil && string(got.Status) == status && got.Reason == reason
	}
}

// The ScaledObject carries the pause that counts, and follows an edit of nothing but an
// annotation of the channel.
func TestPausesReachTheScaledObject(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) {
		c.Annotations, c.Labels = map[string]string{"argocd.argoproj.io/tracking-id": "x"}, map[string]string{"team": "a"}
	})
	so := scaledObjectOf(channel)
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	for _, step := range []struct {
		name   string
		edit   func(*v1.PubSubChannel)
		want   map[string]string
		status string
		reason string
	}{
		{"spec.paused", channeltest.Paused, map[string]string{channeltest.PausedAll: "true"}, "True", v1.ReasonPausedBySpec},
		{"an annotation beside it", func(c *v1.PubSubChannel) { c.Annotations[channeltest.PausedReplicas] = "3" }, map[string]string{channeltest.PausedAll: "true"}, "True", v1.ReasonPausedBySpec},
		{"the annotation alone", func(c *v1.PubSubChannel) { c.Spec.Paused = false }, map[string]string{channeltest.PausedReplicas: "3"}, "True", v1.ReasonPausedByAnnotation},
		{"another value", func(c *v1.PubSubChannel) { c.Annotations[channeltest.PausedReplicas] = "5" }, map[string]string{channeltest.PausedReplicas: "5"}, "True", v1.ReasonPausedByAnnotation},
		{"another annotation", func(c *v1.PubSubChannel) {
			delete(c.Annotations, channeltest.PausedReplicas)
			c.Annotations[channeltest.PausedAll], c.Annotations[channeltest.PausedIn] = "false", "true"
		}, map[string]string{channeltest.PausedIn: "true"}, "True", v1.ReasonPausedByAnnotation},
		{"none", func(c *v1.PubSubChannel) { delete(c.Annotations, channeltest.PausedIn) }, nil, "False", v1.ReasonNotPaused},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.edit(t, channel, step.edit)
			eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return assert.ObjectsAreEqual(step.want, so.Annotations) }, "the ScaledObject follows")
			eventually(t, s, channel, conditionIs(v1.ConditionPaused, step.status, step.reason), "the condition follows")
			assert.NotContains(t, so.Labels, "team")
		})
	}
	s.edit(t, channel, channeltest.Annotated(map[string]string{channeltest.PausedReplicas: "many"}))
	eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), "the refusal shows")
	s.edit(t, channel, channeltest.Annotated(nil))
	eventually(t, s, channel, readyReason(v1.ReasonProgressing), "the remedy helps")
}

// With autoscaling off, a paused channel's Deployment keeps the number that somebody gives
// it, while every other edit takes effect; and spec.replicas holds again afterwards.
func TestPausedWithoutAutoScaling(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	seen := watchReplicas(t, s, namespace)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
	deployment := s.deploymentReady(t, channel)
	s.edit(t, channel, channeltest.Paused)
	eventually(t, s, channel, conditionIs(v1.ConditionPaused, "True", v1.ReasonPausedBySpec), "the pause shows")
	s.scale(t, deployment, 5)
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image, c.Spec.Replicas = "mine:2", ptr.To[int32](4) })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
		return c.Status.DesiredReplicas == 5 && conditionIs(v1.ConditionScaled, "True", v1.ReasonPaused)(c)
	}, "the number is told")
	s.get(t, deployment)
	assert.EqualValues(t, 5, *deployment.Spec.Replicas)

	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Paused = false })
	eventually(t, s, deployment, replicasAre(4), "spec.replicas holds again")
	seen.went(t, s, deployment, 3, 5, 4)
}

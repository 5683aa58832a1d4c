//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// foreign creates a Deployment of five workers that somebody else made under the name that
// the channel orders will want.
func foreign(t *testing.T, s *server, namespace string, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{v1.LabelApp: v1.SubscriberApp, v1.LabelChannel: "orders"}
	theirs := deploymentOf(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)})
	theirs.Spec.Replicas = ptr.To[int32](5)
	theirs.Spec.Selector = selector(labels)
	theirs.Spec.Template.Labels = labels
	theirs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "subscriber", Image: "theirs:1", Env: []corev1.EnvVar{{Name: "THEIRS", Value: "1"}}}}
	for _, c := range change {
		c(theirs)
	}
	require.NoError(t, s.Create(t.Context(), theirs, client.FieldOwner("kubectl-create")))
	return theirs
}

func consenting(channel string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Annotations = map[string]string{v1.AnnotationAdoptedBy: channel} }
}

// A Deployment is adopted only with its owner's consent; each refusal says what to do, and
// leaves it as it is.
func TestAdoptionRefused(t *testing.T) {
	s := sharedServer(t)
	other := map[string]string{"app": "theirs"}
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		reason string
		words  []string
	}{
		"without consent":         {func(*appsv1.Deployment) {}, v1.ReasonDeploymentConflict, []string{"controlled by nobody", "kubectl annotate deployment orders-subscriber", "adopted-by=orders"}},
		"with consent to another": {consenting("payments"), v1.ReasonDeploymentConflict, []string{`by a channel "payments"`, "correct the annotation"}},
		"with a selector of its own": {func(d *appsv1.Deployment) {
			consenting("orders")(d)
			d.Spec.Selector = selector(other)
			d.Spec.Template.Labels = other
		}, v1.ReasonAdoptionRefused, []string{"its selector is app=theirs", "can't be changed", "delete it"}},
		"with expressions in it": {func(d *appsv1.Deployment) {
			consenting("orders")(d)
			d.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists"}}
		}, v1.ReasonAdoptionRefused, []string{"its selector is"}},
		"with a variable from elsewhere": {func(d *appsv1.Deployment) {
			consenting("orders")(d)
			d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "CHANNEL", ValueFrom: &corev1.EnvVarSource{
				ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: "k", LocalObjectReference: corev1.LocalObjectReference{Name: "c"}},
			}}}
		}, v1.ReasonAdoptionRefused, []string{"env[1].valueFrom", "may not be specified when `value` is not empty", "change what it names"}},
		"controlled by somebody, though": {func(d *appsv1.Deployment) {
			consenting("orders")(d)
			d.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Website", Name: "w", UID: "u", Controller: ptr.To(true)}}
		}, v1.ReasonDeploymentConflict, []string{"controlled by Website w"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			theirs := foreign(t, s, namespace, test.change)
			version := theirs.ResourceVersion
			channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace }, channeltest.AutoScaled())
			eventually(t, s, channel, readyReason(test.reason), "the refusal shows")
			for _, words := range test.words {
				assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, words)
			}
			s.get(t, theirs)
			assert.Equal(t, version, theirs.ResourceVersion)
		})
	}
}

// Adoption keeps the replicas, whoever owns them, and nothing of the template that is not
// the channel's.
func TestAdoption(t *testing.T) {
	s := sharedServer(t)
	for name, test := range map[string]struct {
		replicas *int32 // of the Deployment; nil: the API server's default, which nobody owns
		channel  func(*v1.PubSubChannel)
		want     []int32
	}{
		"autoscaled":                {ptr.To[int32](5), channeltest.AutoScaled(), []int32{5}},
		"autoscaled, owned by none": {nil, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](2) }), []int32{1}},
		"paused":                    {ptr.To[int32](5), channeltest.Paused, []int32{5}},
		"of as many":                {ptr.To[int32](5), func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](5) }, []int32{5}},
		"of fewer, in one step":     {ptr.To[int32](5), func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](3) }, []int32{5, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			seen := watchReplicas(t, s, namespace)
			theirs := foreign(t, s, namespace, func(d *appsv1.Deployment) { d.Spec.Replicas = test.replicas })
			channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace }, test.channel)
			eventually(t, s, channel, readyReason(v1.ReasonDeploymentConflict), "without consent it is refused")

			before := theirs.DeepCopy()
			consenting("orders")(theirs)
			require.NoError(t, s.Patch(t.Context(), theirs, client.MergeFrom(before), client.FieldOwner("kubectl-annotate")))
			eventually(t, s, theirs, func(d *appsv1.Deployment) bool {
				return metav1.IsControlledBy(d, channel) && *d.Spec.Replicas == test.want[len(test.want)-1]
			}, "with consent it is adopted")
			assert.Equal(t, before.UID, theirs.UID)
			assert.False(t, ownerHas(theirs, ownership.Main), "replicas are not the main owner's")
			assert.Equal(t, testWorkers.Image, container(theirs).Image)
			assert.Equal(t, "messages", envMap(theirs)["CHANNEL"])
			assert.Equal(t, "1", envMap(theirs)["THEIRS"], "what is theirs stays theirs")
			eventually(t, s, channel, readyReason(v1.ReasonProgressing), "the conflict is over")
			seen.went(t, s, theirs, test.want...)

			// From now on it is as any other, for edits and for drift.
			s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
			eventually(t, s, theirs, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "edits are followed")
			seen.went(t, s, theirs, test.want...)
		})
	}
}

// A Deployment that outlived its channel, because that was deleted with --cascade=orphan,
// is the next channel's by the same consent.
func TestAdoptionAfterAnOrphaningDelete(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](4) })
	deployment := s.deploymentReady(t, channel)
	require.NoError(t, s.Delete(t.Context(), channel))
	before := deployment.DeepCopy()
	deployment.OwnerReferences = nil // as the garbage collector does
	consenting("orders")(deployment)
	require.NoError(t, s.Patch(t.Context(), deployment, client.MergeFrom(before)))

	again := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = channel.Namespace, ptr.To[int32](4) })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return metav1.IsControlledBy(d, again) }, "it is adopted")
	assert.EqualValues(t, 4, *deployment.Spec.Replicas)
	assert.Equal(t, before.UID, deployment.UID)
}

// Edits of limits, a scale of the channel, and edits that change nothing: each number that
// the Deployment has is one that somebody asked for.
func TestSwitching(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	seen := watchReplicas(t, s, namespace)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
	deployment := s.deploymentReady(t, channel)
	so := scaledObjectOf(channel)

	s.scaleChannel(t, channel, 6)
	eventually(t, s, deployment, replicasAre(6), "kubectl scale psc is followed")
	s.edit(t, channel, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](0), 20 }))
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return *so.Spec.MaxReplicaCount == 20 }, "the ScaledObject is made")
	s.scale(t, deployment, 8)

	settled := func() {
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedGeneration == c.Generation }, "the edit is seen")
	}
	s.scaleChannel(t, channel, 4) // counts when autoscaling is off again
	settled()
	s.edit(t, channel, auto(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](1), 7 }))
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool {
		return *so.Spec.MinReplicaCount == 1 && *so.Spec.MaxReplicaCount == 7
	}, "limits are followed")
	settled()
	generation := channel.Generation
	s.edit(t, channel, func(*v1.PubSubChannel) {})
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Labels = map[string]string{"theirs": "1"} })
	assert.Equal(t, generation, channel.Generation)
	s.get(t, deployment)
	assert.EqualValues(t, 8, *deployment.Spec.Replicas, "limits are the HPA's to keep")

	s.scale(t, deployment, 0) // KEDA's last step
	s.edit(t, channel, auto(func(a *v1.AutoScalingSpec) { a.Enabled = false }))
	eventually(t, s, deployment, replicasAre(4), "switching off puts replicas back, from 0 as well")
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.AutoScaling = nil })
	settled()
	seen.went(t, s, deployment, 3, 6, 8, 0, 4)
	assert.EqualValues(t, 4, *channel.Spec.Replicas)
}

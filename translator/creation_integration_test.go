//go:build integration

package translator

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// agreeing creates, as somebody else, an object that has nothing but what the operator
// would give it, so that no apply of the operator's would be a conflict of fields.
func agreeing(t *testing.T, s *server, built any, object client.Object) {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(built)
	require.NoError(t, err)
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(fields, object))
	object.SetOwnerReferences(nil)
	object.SetLabels(nil)
	require.NoError(t, s.Create(t.Context(), object, client.FieldOwner("kubectl-create")))
}

// A new channel does not look first for what it creates, and yet takes over nothing, not
// even an object that agrees with it in everything.
func TestCreationTakesNothingOver(t *testing.T) {
	s := sharedServer(t)
	for name, build := range map[string]func(channel *v1.PubSubChannel) (built any, object client.Object){
		"Deployment": func(channel *v1.PubSubChannel) (any, client.Object) {
			built, err := build.Deployment(testWorkers.Plan(channel))
			require.NoError(t, err)
			container := &built.Spec.Template.Spec.Containers[0]
			container.Env = slices.DeleteFunc(container.Env, func(e corev1ac.EnvVarApplyConfiguration) bool {
				return e.ValueFrom != nil // the API server fills a version in, which would be a conflict
			})
			return built, deploymentOf(channel)
		},
		"PodDisruptionBudget": func(channel *v1.PubSubChannel) (any, client.Object) {
			return build.DisruptionBudget(testWorkers.Plan(channel)), budgetOf(channel)
		},
		"ScaledObject": func(channel *v1.PubSubChannel) (any, client.Object) {
			return build.ScaledObject(testWorkers.Plan(channel), testScaler), scaledObjectOf(channel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Namespace = s.namespace(t) }, channeltest.AutoScaled())
			built, theirs := build(channel)
			agreeing(t, s, built, theirs)
			version := theirs.GetResourceVersion()
			require.NoError(t, s.Create(t.Context(), channel))
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedGeneration == c.Generation }, "the channel is seen")
			s.get(t, theirs)
			assert.Equal(t, version, theirs.GetResourceVersion())
		})
	}
}

// noVersion is the resource version that no object has (translator/apply).
const noVersion = "1"

// What creation rests on: an apply at noVersion creates, and never changes what is there.
func TestApplyAtNoVersion(t *testing.T) {
	s := sharedServer(t)
	channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Namespace, c.UID = s.namespace(t), "5e2f7c1a" }, channeltest.AutoScaled())
	for name, apply := range map[string]func() error{
		"Deployment": func() error {
			desired, err := build.Deployment(testWorkers.Plan(channel))
			require.NoError(t, err)
			return s.Apply(t.Context(), desired.WithResourceVersion(noVersion), client.FieldOwner(ownership.Main))
		},
		"PodDisruptionBudget": func() error {
			return s.Apply(t.Context(), build.DisruptionBudget(testWorkers.Plan(channel)).WithResourceVersion(noVersion), client.FieldOwner(ownership.Main))
		},
		"ScaledObject": func() error {
			desired, err := build.ApplyForm(build.ScaledObject(testWorkers.Plan(channel), testScaler))
			require.NoError(t, err)
			desired.SetResourceVersion(noVersion)
			return s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(ownership.Main))
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, apply(), "nothing is there yet")
			err := apply()
			assert.True(t, apierrors.IsConflict(err), "%v", err)
		})
	}
}

// A fleet that begins with one worker is made by one write, and its replicas are nobody's.
func TestReplicasOfOneAreNobodys(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](1) })
	deployment := s.deploymentReady(t, channel)
	assert.EqualValues(t, 1, *deployment.Spec.Replicas)
	assert.False(t, ownerHas(deployment, ownership.Replicas))
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
	assert.EqualValues(t, 1, *deployment.Spec.Replicas)
	s.scale(t, deployment, 3)
	eventually(t, s, deployment, replicasAre(1), "a scaling by somebody else is put right")
}

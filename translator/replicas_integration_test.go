//go:build integration

package translator

import (
	"context"
	"sync"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// replicasSeen collects spec.replicas of a namespace's Deployments, each change of it.
type replicasSeen struct {
	mu      sync.Mutex
	seen    []int32
	version string // of the newest Deployment
}

func watchReplicas(t *testing.T, s *server, namespace string) *replicasSeen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(namespace))
	require.NoError(t, err)
	seen := &replicasSeen{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range w.ResultChan() {
			if d, ok := event.Object.(*appsv1.Deployment); ok {
				seen.add(*d.Spec.Replicas, d.ResourceVersion)
			}
		}
	}()
	t.Cleanup(func() { cancel(); w.Stop(); <-done })
	return seen
}

func (r *replicasSeen) add(replicas int32, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = version
	if len(r.seen) == 0 || r.seen[len(r.seen)-1] != replicas {
		r.seen = append(r.seen, replicas)
	}
}

// went compares all values until now, once the watch, which may be behind, has told of the Deployment as it is.
func (r *replicasSeen) went(t *testing.T, s *server, deployment *appsv1.Deployment, want ...int32) {
	t.Helper()
	live := &appsv1.Deployment{}
	require.Eventually(t, func() bool {
		err := s.Get(t.Context(), client.ObjectKeyFromObject(deployment), live)
		r.mu.Lock()
		defer r.mu.Unlock()
		return err == nil && r.version == live.ResourceVersion
	}, soon, tick, "the watch tells of the Deployment as it is")
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(t, want, r.seen)
}

func replicasAre(n int32) func(*appsv1.Deployment) bool {
	return func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == n }
}

// A fleet goes through all that can happen to it, and every number that its Deployment
// ever had was one that somebody asked for.
func TestReplicasNeverDip(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	seen := watchReplicas(t, s, namespace)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
	deployment := s.deploymentReady(t, channel)
	so := scaledObjectOf(channel)

	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](4) })
	eventually(t, s, deployment, replicasAre(4), "spec.replicas is followed")
	s.scale(t, deployment, 9)
	eventually(t, s, deployment, replicasAre(4), "with autoscaling off, spec.replicas is put back")

	s.edit(t, channel, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](2), 20 }))
	eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	for _, n := range []int32{6, 8} {
		s.scale(t, deployment, n)
		s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.MessageTimeout += n })
		eventually(t, s, deployment, func(d *appsv1.Deployment) bool {
			return *d.Spec.Template.Spec.TerminationGracePeriodSeconds == int64(channel.Spec.MessageTimeout)+5
		}, "an edit is followed")
		assert.Equal(t, n, *deployment.Spec.Replicas, "with autoscaling on, the HPA's number stands")
	}
	assert.False(t, ownerHas(deployment, ownership.Replicas), "the HPA owns replicas")

	// KEDA holds the ScaledObject by its finalizer until it has let go of the target.
	before := so.DeepCopy()
	so.Finalizers = []string{"finalizer.keda.sh"}
	require.NoError(t, s.Patch(t.Context(), so, client.MergeFrom(before)))
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled = false })
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return so.DeletionTimestamp != nil }, "the ScaledObject is deleted")
	s.scale(t, deployment, 7)
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
		return c.Status.ObservedGeneration == c.Generation && c.Status.DesiredReplicas == 7
	}, "the HPA's last scaling is told")
	s.get(t, deployment)
	assert.EqualValues(t, 7, *deployment.Spec.Replicas, "spec.replicas waits for KEDA")
	before = so.DeepCopy()
	so.Finalizers = nil
	require.NoError(t, s.Patch(t.Context(), so, client.MergeFrom(before)))
	eventually(t, s, deployment, replicasAre(4), "spec.replicas holds again")

	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled = true })
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return so.DeletionTimestamp == nil }, "the ScaledObject is back")
	s.scale(t, deployment, 5)
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return d.Spec.Template.Spec.Containers[0].Image == "mine:2" }, "an edit is followed")

	seen.went(t, s, deployment, 3, 4, 9, 4, 6, 8, 7, 4, 5)
}

// Creation respects the limits, and a Deployment that was deleted keeps to them too, never
// to the API server's default.
func TestCreationWithinLimits(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	seen := watchReplicas(t, s, namespace)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace },
		channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](5), 8 }))
	deployment := s.deploymentReady(t, channel)
	first := deployment.UID
	require.NoError(t, s.Delete(t.Context(), deployment))
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool { return d.UID != first }, "the Deployment is made anew")
	s.deploymentReady(t, channel)
	seen.went(t, s, deployment, 5)
}

// A controller that ended between creating a Deployment and handing replicas over is made
// up for: the live number stands.
func TestHandoverAfterACrash(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	a := &apply.Applier{Now: time.Now, Client: s.WithWatch, Live: s.WithWatch}
	// Bound to no controller: only these calls write.
	channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](6) })
	desired, err := build.Deployment(testWorkers.Plan(channel))
	require.NoError(t, err)
	desired.Spec.WithReplicas(6)
	require.NoError(t, s.Apply(t.Context(), desired, client.FieldOwner(ownership.Main)))

	live := deploymentOf(channel)
	s.get(t, live)
	require.True(t, ownerHas(live, ownership.Main))
	stale := live.DeepCopy()
	_, err = a.Deployment(t.Context(), testWorkers.Plan(channel))
	require.NoError(t, err)
	s.get(t, live)
	assert.EqualValues(t, 6, *live.Spec.Replicas)
	assert.True(t, ownerHas(live, ownership.Replicas))
	assert.False(t, ownerHas(live, ownership.Main))

	// From an old copy nothing is taken over: the number may have changed.
	a.Client = interceptor.NewClient(s.WithWatch, interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
			stale.DeepCopyInto(object.(*appsv1.Deployment))
			return nil
		},
	})
	_, err = a.Deployment(t.Context(), testWorkers.Plan(channel))
	assert.True(t, apierrors.IsConflict(err), "%v", err)
}

// From an old copy of a Deployment that has gone, none is made: that one would have the
// API server's default of replicas.
func TestNoDeploymentFromAnOldCopy(t *testing.T) {
	s := sharedServer(t)
	channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Namespace = s.namespace(t) })
	a := &apply.Applier{Now: time.Now, Client: s.WithWatch, Live: s.WithWatch}
	_, err := a.Deployment(t.Context(), testWorkers.Plan(channel))
	require.NoError(t, err)
	live := deploymentOf(channel)
	s.get(t, live)
	require.NoError(t, s.Delete(t.Context(), live))

	desired, err := build.Deployment(testWorkers.Plan(channel))
	require.NoError(t, err)
	for name, err := range map[string]error{
		"main":     s.Apply(t.Context(), desired.WithUID(live.UID), client.FieldOwner(ownership.Main), client.ForceOwnership),
		"replicas": s.Apply(t.Context(), build.Replicas(live, 3), client.FieldOwner(ownership.Replicas), client.ForceOwnership),
	} {
		assert.True(t, apierrors.IsConflict(err), "%s: %v", name, err)
	}
	assert.True(t, apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(live), live)))
}

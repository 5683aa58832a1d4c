//go:build integration

package translator

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// KEDA's CRDs go while the controller runs, and come back: the channels say so, their workers
// stay as they are, everything else goes on, and the ScaledObjects are made anew and watched
// again by the same controller.
func TestKEDAGoesAndComesBack(t *testing.T) {
	t.Parallel()
	a := startAway(t, startPlaneWithKEDA(t), 0)
	channel, so := a.ready(t)
	deployment := deploymentOf(channel)
	a.scale(t, deployment, 4)
	eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == 4 }, "the fleet has grown")
	going := a.channel(t, channeltest.AutoScaled())
	eventually(t, a.server, scaledObjectOf(going), func(*kedav1alpha1.ScaledObject) bool { return true }, "its ScaledObject is made")

	keda, err := kedaCRDs()
	require.NoError(t, err)
	crds := envtest.CRDInstallOptions{Paths: []string{keda}, ErrorIfPathMissing: true, MaxTime: soon}
	require.NoError(t, envtest.UninstallCRDs(a.config, crds))
	require.Eventually(t, func() bool { // its deletion takes the ScaledObjects along
		err := a.Get(t.Context(), client.ObjectKeyFromObject(so), &kedav1alpha1.ScaledObject{})
		return err != nil && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err))
	}, soon, tick)
	eventually(t, a.server, channel, readyReason(v1.ReasonKEDANotInstalled), "the missing KEDA shows")
	eventually(t, a.server, going, readyReason(v1.ReasonKEDANotInstalled), "on every channel")

	a.explainer.set(channel, depthOf(77))
	a.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
	eventually(t, a.server, deployment, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
	assert.EqualValues(t, 4, *deployment.Spec.Replicas, "the workers stay")
	eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool { return ptr.Deref(c.Status.QueueDepth, 0) == 77 }, "the depth is told")
	plain := a.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](2) })
	assert.EqualValues(t, 2, *a.deploymentReady(t, plain).Spec.Replicas, "a new channel without autoscaling works")
	late := a.channel(t, channeltest.AutoScaled())
	eventually(t, a.server, late, readyReason(v1.ReasonKEDANotInstalled), "a new one with it waits")
	a.edit(t, going, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled, c.Spec.Replicas = false, ptr.To[int32](2) })
	eventually(t, a.server, deploymentOf(going), replicasAre(2), "switching autoscaling off is the remedy")
	a.quiet(t, channel)
	assert.Equal(t, 1, a.log.count("KEDA's CRDs are gone"))

	_, err = envtest.InstallCRDs(a.config, crds)
	require.NoError(t, err)
	for _, c := range []*v1.PubSubChannel{channel, late} {
		so := scaledObjectOf(c)
		eventually(t, a.server, so, func(so *kedav1alpha1.ScaledObject) bool { return metav1.IsControlledBy(so, c) }, "the ScaledObject is made anew")
		eventually(t, a.server, c, awaitsKEDA, "KEDA is awaited")
		a.kedaSays(t, so, metav1.ConditionFalse, "no scaler")
		require.Eventually(t, func() bool { // client-go waits for up to a minute between its attempts at a watch
			return a.Get(t.Context(), client.ObjectKeyFromObject(c), c) == nil && says(v1.ConditionReady, v1.ReasonKEDANotReady, "no scaler")(c)
		}, 4*soon, tick, "it is watched again")
		uid := so.UID
		require.NoError(t, a.Delete(t.Context(), so))
		eventually(t, a.server, so, func(so *kedav1alpha1.ScaledObject) bool { return so.UID != uid }, "and made anew when it is deleted")
	}
	assert.Equal(t, 1, a.log.count("KEDA's CRDs are back"))
	a.get(t, deployment)
	assert.EqualValues(t, 4, *deployment.Spec.Replicas, "the workers stayed")
	eventually(t, a.server, plain, func(c *v1.PubSubChannel) bool { return c.Status.QueueDepth != nil }, "all went on")
}

// quiet wants nothing to be written to the channel in some rounds of reconciles.
func (a *away) quiet(t *testing.T, channel *v1.PubSubChannel) {
	t.Helper()
	a.get(t, channel)
	version := channel.ResourceVersion
	began := time.Now()
	require.Eventually(t, func() bool { return time.Since(began) > 8*statusInterval }, soon, tick)
	a.get(t, channel)
	assert.Equal(t, version, channel.ResourceVersion, "nothing new, and no write")
}

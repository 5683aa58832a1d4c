//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func readyReason(reason string) func(*v1.PubSubChannel) bool {
	return func(c *v1.PubSubChannel) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady)
		return ready != nil && ready.Reason == reason
	}
}

// Without KEDA everything but autoscaling works; once KEDA is there, that does too, by
// itself.
func TestKEDAComesLater(t *testing.T) {
	s, err := startServer(channelCRDs)
	if s != nil {
		t.Cleanup(func() { assert.NoError(t, s.stop()) })
	}
	require.NoError(t, err)
	plain := s.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](2) })
	waiting := s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](3) }))

	assert.EqualValues(t, 2, *s.deploymentReady(t, plain).Spec.Replicas)
	assert.EqualValues(t, 3, *s.deploymentReady(t, waiting).Spec.Replicas)
	eventually(t, s, waiting, readyReason(v1.ReasonKEDANotInstalled), "the missing KEDA shows")
	assert.Equal(t, v1.PhasePending, waiting.Status.Phase)
	eventually(t, s, waiting, func(c *v1.PubSubChannel) bool { return c.Status.QueueDepth != nil }, "the depth is told all the same")
	eventually(t, s, plain, func(c *v1.PubSubChannel) bool { return c.Status.QueueDepth != nil }, "the depth is told")
	assert.Equal(t, 1, s.log.count("KEDA is not installed"))

	keda, err := kedaCRDs()
	require.NoError(t, err)
	_, err = envtest.InstallCRDs(s.config, envtest.CRDInstallOptions{Paths: []string{keda}, ErrorIfPathMissing: true, MaxTime: soon})
	require.NoError(t, err)
	so := scaledObjectOf(waiting)
	eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	eventually(t, s, waiting, readyReason(v1.ReasonProgressing), "KEDA is awaited")
	assert.Equal(t, 1, s.log.count("KEDA is installed now"))
	assert.Equal(t, 1, s.log.count("KEDA is not installed"))

	// The watch that was started late works.
	s.kedaSays(t, so, metav1.ConditionFalse, "no scaler")
	eventually(t, s, waiting, readyReason(v1.ReasonKEDANotReady), "KEDA's word shows")
	require.NoError(t, s.Delete(t.Context(), so))
	uid := so.UID
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return so.UID != uid }, "the ScaledObject is made anew")
}

// kedaSays sets KEDA's Ready condition.
func (s *server) kedaSays(t *testing.T, so *kedav1alpha1.ScaledObject, status metav1.ConditionStatus, message string) {
	t.Helper()
	s.get(t, so)
	before := so.DeepCopy()
	so.Status.Conditions = *kedav1alpha1.GetInitializedConditions()
	so.Status.Conditions.SetReadyCondition(status, "Test", message)
	require.NoError(t, s.Status().Patch(t.Context(), so, client.MergeFrom(before)))
}

//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// depthOf answers with a depth.
func depthOf(depth int64) func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	return func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return &inspectv1.ExplainResponse{
			QueueDepth: depth, MessageRate: ptr.To(12.4), Action: inspectv1.Action_ACTION_HOLD,
			Reason: inspectv1.Reason_REASON_WITHIN_BAND, LastingExplanation: "holding",
		}, nil
	}
}

// A channel that was edited is not ready by the workers of before: whoever waits for the new
// generation, as kubectl wait, kstatus and Flux do, would go on too soon.
func TestAnEditIsNotReadyAtOnce(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t)
	deployment := s.deploymentReady(t, channel)
	require.Eventually(t, func() bool {
		s.get(t, deployment)
		deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
		return s.Status().Update(t.Context(), deployment) == nil
	}, soon, tick)
	ready := func(c *v1.PubSubChannel) bool {
		return meta.IsStatusConditionTrue(c.Status.Conditions, v1.ConditionReady)
	}
	eventually(t, s, channel, ready, "the workers are up")

	statuses, err := s.Watch(t.Context(), &v1.PubSubChannelList{}, client.InNamespace(channel.Namespace))
	require.NoError(t, err)
	defer statuses.Stop()
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "newer:1" })
	for event := range statuses.ResultChan() {
		if c, ok := event.Object.(*v1.PubSubChannel); ok && c.Status.ObservedGeneration == channel.Generation {
			assert.False(t, ready(c), "%+v", c.Status)
			break
		}
	}
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
		return meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady).Reason == v1.ReasonProgressing
	}, "Kubernetes has still to look at the Deployment")
}

// Each scaling is one event, with the depth at that time, and none is told twice.
func TestOneEventForEachScaling(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](3) })
	s.explainer.set(channel, depthOf(500))
	deployment := s.deploymentReady(t, channel)
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return ptr.Deref(c.Status.QueueDepth, 0) == 500 }, "the depth is told")
	assert.Empty(t, s.events(t, channel), "the first number is no scaling")
	assert.Nil(t, channel.Status.LastScaleTime)

	told := func(n int32) {
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == n }, "the number is told")
	}
	s.scale(t, deployment, 4)
	told(4)
	assert.NotNil(t, channel.Status.LastScaleTime)
	s.explainer.set(channel, depthOf(0))
	s.scale(t, deployment, 3)
	told(3)
	s.explainer.set(channel, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return nil, status.Error(codes.Unavailable, "gone")
	})
	s.scale(t, deployment, 2)
	told(2)
	want := []string{
		"Scaled from 3 to 4 replicas (queue depth: 500)",
		"Scaled from 4 to 3 replicas (queue depth: 0)",
		"Scaled from 3 to 2 replicas",
	}
	require.Eventually(t, func() bool { return len(s.events(t, channel)) >= 3 }, soon, tick)
	assert.ElementsMatch(t, want, s.events(t, channel))

	var list eventsv1.EventList
	require.NoError(t, s.List(t.Context(), &list, client.InNamespace(channel.Namespace)))
	event := list.Items[0]
	assert.Equal(t, []string{"Normal", "Scaled", "Scale", "pubsub.jawaracloud.io/controller", "test", "PubSubChannel", "orders"},
		[]string{event.Type, event.Reason, event.Action, event.ReportingController, event.ReportingInstance, event.Regarding.Kind, event.Regarding.Name})
}

// What the scaler is asked: nothing of the cluster, until KEDA scales the target.
func TestQuestions(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled())
	so := scaledObjectOf(channel)
	eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	asked := func(want func(*inspectv1.ExplainRequest) bool) {
		require.Eventually(t, func() bool { q := s.explainer.last(channel); return q != nil && want(q) }, soon, tick)
	}
	asked(func(q *inspectv1.ExplainRequest) bool {
		return q.Replicas != nil && q.GetReplicas() == 1 && q.LastScaleTime.GetSeconds() == 0 && q.LastScaleTime != nil && q.ScalerMetadata["channelName"] == "messages"
	})
	s.kedaSays(t, so, metav1.ConditionTrue, "")
	asked(func(q *inspectv1.ExplainRequest) bool { return q.Replicas == nil && q.LastScaleTime == nil })
}

// A scaler that can't be asked, one that can't read the queue, and one that can again.
func TestConnected(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t)
	s.explainer.set(channel, depthOf(7))
	is := func(state metav1.ConditionStatus, reason string) func(*v1.PubSubChannel) bool {
		return func(c *v1.PubSubChannel) bool {
			connected := meta.FindStatusCondition(c.Status.Conditions, v1.ConditionConnected)
			return connected != nil && connected.Status == state && connected.Reason == reason && (c.Status.QueueDepth != nil) == (state == metav1.ConditionTrue)
		}
	}
	eventually(t, s, channel, is(metav1.ConditionTrue, "QueueRead"), "the queue is read")
	assert.EqualValues(t, 12, *channel.Status.MessageRate)
	unreadable := func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return nil, channeltest.ScalerError(codes.Unavailable, "dragonfly:6379: connection refused")
	}
	s.explainer.set(channel, unreadable)
	eventually(t, s, channel, is(metav1.ConditionFalse, "Unavailable"), "the broker is away")
	assert.Nil(t, channel.Status.MessageRate)
	s.explainer.set(channel, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return nil, status.Error(codes.Unavailable, "no connection")
	})
	eventually(t, s, channel, is(metav1.ConditionUnknown, "ScalerUnreachable"), "the scaler is away")
	s.explainer.set(channel, depthOf(8))
	eventually(t, s, channel, is(metav1.ConditionTrue, "QueueRead"), "the queue is read again")

	s.explainer.set(channel, unreadable)
	eventually(t, s, channel, is(metav1.ConditionFalse, "Unavailable"), "the broker is away again")
	s.explainer.set(channel, depthOf(9))
	eventually(t, s, channel, is(metav1.ConditionTrue, "QueueRead"), "and is back")
	var events eventsv1.EventList
	require.NoError(t, s.List(t.Context(), &events, client.InNamespace(channel.Namespace)))
	var warned []string
	for _, event := range events.Items {
		if event.Type == corev1.EventTypeWarning {
			warned = append(warned, event.Reason+" "+event.Note)
		}
	}
	require.Len(t, warned, 1, "at a pace")
	assert.Contains(t, warned[0], "QueueUnreadable dragonfly:6379: connection refused")
}

// A scaler that answers nothing for as long as it may holds nothing else up.
func TestASlowScalerDelaysNobody(t *testing.T) {
	s := sharedServer(t)
	slow := make(chan struct{})
	t.Cleanup(func() { close(slow) })
	namespace := s.namespace(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		stuck := &v1.PubSubChannel{ObjectMeta: metaNamed(name, namespace), Spec: v1.PubSubChannelSpec{ChannelName: name}}
		s.explainer.set(stuck, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
			<-slow
			return nil, status.Error(codes.DeadlineExceeded, "too slow")
		})
		require.NoError(t, s.Create(t.Context(), stuck))
		s.deploymentReady(t, stuck)
	}
	quick := s.channel(t)
	s.explainer.set(quick, depthOf(3))
	eventually(t, s, quick, func(c *v1.PubSubChannel) bool { return ptr.Deref(c.Status.QueueDepth, 0) == 3 }, "others are answered")
}

// What only the API server finds out becomes a condition, not an endless retry.
func TestInvalidSpec(t *testing.T) {
	s := sharedServer(t)
	for name, change := range map[string]func(*v1.PubSubChannel){
		"a port beyond 65535": func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis:99999" },
		"requests over limits": func(c *v1.PubSubChannel) {
			c.Spec.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("2")}
			c.Spec.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			channel := s.channel(t, change)
			eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), "the refusal shows")
			assert.Equal(t, v1.PhaseFailed, channel.Status.Phase)
			s.edit(t, channel, func(c *v1.PubSubChannel) {
				c.Spec.RedisAddress, c.Spec.Resources = "redis:6379", corev1.ResourceRequirements{}
			})
			eventually(t, s, channel, readyReason(v1.ReasonProgressing), "the remedy helps")
		})
	}
}

// A channel that is being deleted in the foreground says so, and its children are left to
// the garbage collector.
func TestDeleting(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t)
	s.deploymentReady(t, channel)
	require.NoError(t, s.Delete(t.Context(), channel, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.Phase == v1.PhaseDeleting }, "the phase shows")
}

// The workers' state as the Deployment controller would tell it.
func TestPhases(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](2) })
	deployment := s.deploymentReady(t, channel)
	for _, step := range []struct {
		replicas, ready int32
		phase           v1.Phase
		reason          string
	}{
		{2, 0, v1.PhasePending, v1.ReasonProgressing},
		{2, 1, v1.PhaseScaling, v1.ReasonProgressing},
		{2, 2, v1.PhaseRunning, v1.ReasonAvailable},
		{2, 1, v1.PhaseRunning, v1.ReasonProgressing},
		{2, 2, v1.PhaseRunning, v1.ReasonAvailable},
		{3, 2, v1.PhaseScaling, v1.ReasonAvailable},
	} {
		s.get(t, deployment)
		before := deployment.DeepCopy()
		deployment.Status.ObservedGeneration = deployment.Generation
		deployment.Status.Replicas, deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas = step.replicas, step.replicas, step.ready
		require.NoError(t, s.Status().Patch(t.Context(), deployment, client.MergeFrom(before)))
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
			return c.Status.Phase == step.phase && c.Status.ReadyReplicas == step.ready && c.Status.Replicas == step.replicas && readyReason(step.reason)(c)
		}, "the phase follows")
	}
	assert.Equal(t, "app=pubsub-subscriber,pubsubchannel=orders", channel.Status.Selector)
}

//go:build integration

package translator

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// rolledOut plays the Deployment controller: all pods are of the template as it is.
func (p *plane) rolledOut(t *testing.T, deployment *appsv1.Deployment, replicas, ready int32) {
	t.Helper()
	require.Eventually(t, func() bool {
		if p.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment) != nil {
			return false
		}
		deployment.Status.ObservedGeneration = deployment.Generation
		deployment.Status.Replicas, deployment.Status.UpdatedReplicas = replicas, replicas
		deployment.Status.ReadyReplicas, deployment.Status.AvailableReplicas = ready, ready
		return p.Status().Update(t.Context(), deployment) == nil
	}, soon, tick)
}

// pod plays the ReplicaSet and the kubelet: a pod of the Deployment in a state of testdata.
func (p *plane) pod(t *testing.T, state string, deployment *appsv1.Deployment) *corev1.Pod {
	t.Helper()
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		GenerateName: deployment.Name + "-6b9869b8b-", Namespace: deployment.Namespace,
		Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "6b9869b8b"},
	}, Spec: deployment.Spec.Template.Spec}
	for key, value := range deployment.Spec.Template.Labels {
		pod.Labels[key] = value
	}
	require.NoError(t, p.Create(t.Context(), pod))
	p.podIs(t, pod, state)
	return pod
}

// podIs has the kubelet report a state.
func (p *plane) podIs(t *testing.T, pod *corev1.Pod, state string) {
	t.Helper()
	pod.Status = channeltest.RealPod(t, state).Status
	require.NoError(t, p.Status().Update(t.Context(), pod))
}

// playedPods is a channel whose Deployment and pods the test plays.
type playedPods struct {
	*plane
	channel    *v1.PubSubChannel
	deployment *appsv1.Deployment
}

func (p *plane) played(t *testing.T, namespace string, replicas int32) *playedPods {
	t.Helper()
	p.namespace(t, namespace)
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"}, Spec: v1.PubSubChannelSpec{ChannelName: "m", Replicas: &replicas}}
	require.NoError(t, p.Create(t.Context(), channel))
	deployment := deploymentOf(channel)
	p.until(t, deployment, func() bool { return *deployment.Spec.Replicas == replicas })
	return &playedPods{plane: p, channel: channel, deployment: deployment}
}

func (p *playedPods) read(t *testing.T, object client.Object) {
	t.Helper()
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(object), object))
}

// untilReady waits for Ready's reason, and returns the condition.
func (p *playedPods) untilReady(t *testing.T, reason string) metav1.Condition {
	t.Helper()
	p.until(t, p.channel, func() bool { return readyReason(reason)(p.channel) })
	return *meta.FindStatusCondition(p.channel.Status.Conditions, v1.ConditionReady)
}

// warned are the notes of the warnings with a reason.
func (p *playedPods) warned(t *testing.T, reason string) (notes []string) {
	t.Helper()
	for _, event := range p.eventsOf(t, p.channel) {
		if event.Reason == reason && event.Type == corev1.EventTypeWarning {
			notes = append(notes, event.Note)
		}
	}
	return notes
}

// Holds fails where something becomes so within a time in which the controller looks often.
func (p *playedPods) holds(t *testing.T, condition func() bool, words string) {
	t.Helper()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for began := time.Now(); time.Since(began) < 10*statusInterval; <-ticks.C {
		require.True(t, condition(), words)
	}
}

// Why workers are not up is told, for what kubelets report, and for what somebody did to the
// Deployment.
func TestWhyWorkersAreNotUp(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	runController(t, p.administrator(t, controllerUser), holding{})
	t.Run("states", p.testPodStates)
	t.Run("a rollout", p.testRolloutToABadImage)
	t.Run("a crash loop", p.testCrashLoopDoesNotFlap)
	t.Run("a paused rollout", p.testPausedRolloutIsTold)
}

// What a kubelet reports of workers is in Ready and in one event, and it goes when they are up.
func (p *plane) testPodStates(t *testing.T) {
	t.Parallel()
	for state, test := range map[string]struct {
		reason, words string
		phase         v1.Phase
	}{
		"image-back-off":           {v1.ReasonWorkersNotStarting, "1 of 2 workers: container subscriber can't be started (ErrImagePull): failed to pull", v1.PhasePending},
		"root-user":                {v1.ReasonWorkersNotStarting, "(CreateContainerConfigError): container's runAsUser breaks non-root policy", v1.PhasePending},
		"secret-missing":           {v1.ReasonWorkersNotStarting, `secret "missing" not found`, v1.PhasePending},
		"program-missing-back-off": {v1.ReasonWorkersFailing, "no such file or directory", v1.PhaseFailed},
		"no-node":                  {v1.ReasonWorkersUnschedulable, "0/1 nodes are available", v1.PhasePending},
		"crash-back-off":           {v1.ReasonWorkersFailing, "exit code 1", v1.PhaseFailed},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			p := p.played(t, state, 2)
			pod := p.pod(t, state, p.deployment)
			p.rolledOut(t, p.deployment, 2, 0)
			ready := p.untilReady(t, test.reason)
			assert.Contains(t, ready.Message, test.words)
			assert.Equal(t, test.phase, p.channel.Status.Phase)
			version := p.channel.ResourceVersion
			p.holds(t, func() bool {
				p.read(t, p.channel)
				return p.channel.ResourceVersion == version
			}, "the status comes to rest")
			notes := p.warned(t, test.reason)
			require.Len(t, notes, 1)
			assert.Equal(t, ready.Message, notes[0])

			p.podIs(t, pod, "well")
			p.rolledOut(t, p.deployment, 2, 2)
			p.untilReady(t, v1.ReasonAvailable)
			p.until(t, p.channel, func() bool { return p.channel.Status.Phase == v1.PhaseRunning })
		})
	}
}

// The worker of before is ready, and the one of the new template does not start.
func (p *plane) testRolloutToABadImage(t *testing.T) {
	t.Parallel()
	played := p.played(t, "rollout", 1)
	p.rolledOut(t, played.deployment, 1, 1)
	played.untilReady(t, v1.ReasonAvailable)
	require.NoError(t, p.patch(t.Context(), played.channel.DeepCopy(), `{"spec":{"image":"example.invalid/no/such:v1"}}`))
	p.until(t, played.deployment, func() bool {
		return played.deployment.Spec.Template.Spec.Containers[0].Image == "example.invalid/no/such:v1"
	})
	p.pod(t, "image-back-off", played.deployment)
	require.Eventually(t, func() bool {
		played.read(t, played.deployment)
		played.deployment.Status.ObservedGeneration, played.deployment.Status.Replicas = played.deployment.Generation, 2
		return p.Status().Update(t.Context(), played.deployment) == nil
	}, soon, tick)
	ready := played.untilReady(t, v1.ReasonWorkersNotStarting)
	assert.Contains(t, ready.Message, "1 of 1 workers: container subscriber can't be started (ErrImagePull)")
	assert.Equal(t, v1.PhaseRunning, played.channel.Status.Phase, "the worker of before goes on")
}

// A crash loop, whose container counts as ready for the moment that it runs, stays one, with
// one event, until the container has run for a minute; an edit begins anew.
func (p *plane) testCrashLoopDoesNotFlap(t *testing.T) {
	t.Parallel()
	played := p.played(t, "loop", 1)
	pod := p.pod(t, "crash-back-off", played.deployment)
	p.rolledOut(t, played.deployment, 1, 0)
	played.untilReady(t, v1.ReasonWorkersFailing)
	running := func(since time.Time) {
		pod.Status = channeltest.RealPod(t, "crash-running").Status
		pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(since)
		require.NoError(t, p.Status().Update(t.Context(), pod))
		p.rolledOut(t, played.deployment, 1, 1)
	}
	for range 2 {
		running(time.Now())
		p.until(t, played.channel, func() bool { return played.channel.Status.ReadyReplicas == 1 })
		played.holds(t, func() bool {
			played.read(t, played.channel)
			return readyReason(v1.ReasonWorkersFailing)(played.channel) && played.channel.Status.Phase == v1.PhaseFailed
		}, "while it runs")
		p.podIs(t, pod, "crash-back-off")
		p.rolledOut(t, played.deployment, 1, 0)
		p.until(t, played.channel, func() bool { return played.channel.Status.ReadyReplicas == 0 })
	}
	assert.Len(t, played.warned(t, v1.ReasonWorkersFailing), 1)
	running(time.Now().Add(-time.Minute))
	played.untilReady(t, v1.ReasonAvailable)
	p.until(t, played.channel, func() bool { return played.channel.Status.Phase == v1.PhaseRunning })
}

// A rollout that somebody paused is named, with what takes it on.
func (p *plane) testPausedRolloutIsTold(t *testing.T) {
	t.Parallel()
	played := p.played(t, "paused", 2)
	p.rolledOut(t, played.deployment, 2, 2)
	played.untilReady(t, v1.ReasonAvailable)
	require.NoError(t, p.Patch(t.Context(), played.deployment, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":true}}`)), client.FieldOwner("kubectl")))
	require.NoError(t, p.patch(t.Context(), played.channel.DeepCopy(), `{"spec":{"messageTimeout":77}}`))
	p.until(t, played.deployment, func() bool {
		return ptr.Deref(played.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds, 0) == 77+5
	})
	require.Eventually(t, func() bool {
		played.read(t, played.deployment)
		played.deployment.Status.ObservedGeneration, played.deployment.Status.UpdatedReplicas = played.deployment.Generation, 0
		return p.Status().Update(t.Context(), played.deployment) == nil
	}, soon, tick)
	ready := played.untilReady(t, v1.ReasonRolloutPaused)
	assert.True(t, strings.HasPrefix(ready.Message, "2 of 2 workers are ready, 2 of them not updated yet; the Deployment's rollout is paused"), ready.Message)
	assert.Contains(t, ready.Message, "kubectl rollout resume deployment/orders-subscriber")
	require.Eventually(t, func() bool { return len(played.warned(t, v1.ReasonRolloutPaused)) == 1 }, soon, tick)
}

package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// The HPA scales a crash-looping Deployment; for a moment its status is of before.
func TestALoopLastsOverAScaling(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	reason := func() string { return channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Reason }
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, 0, channeltest.Fleet(1, 1, 0))
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	require.Equal(t, v1.ReasonWorkersFailing, reason())
	events := 0
	see := func(after time.Duration, d *appsv1.Deployment) {
		l.now = l.now.Add(after)
		seen := status.Observed{Deployment: d, Workers: l.look(t.Context(), l.channel, d, l.now)}
		next, _ := status.Next(plan.Of(l.channel), seen, l.now)
		if status.WorkersEvent(l.channel, next, seen, "x", l.now) != nil {
			events++
		}
		l.channel.Status = next
	}
	for generation := int64(3); generation < 6; generation++ {
		scaled := channeltest.Fleet(int32(generation), int32(generation)-1, 0) // spec.replicas was written just now
		scaled.Generation, scaled.Status.ObservedGeneration = generation, generation-1
		see(time.Second, scaled)
		assert.Equal(t, v1.ReasonWorkersFailing, reason(), "Kubernetes has not looked at it yet")
		assert.Equal(t, v1.PhaseFailed, l.channel.Status.Phase)
		done := channeltest.Fleet(int32(generation), int32(generation), 0)
		done.Generation, done.Status.ObservedGeneration = generation, generation
		see(time.Second, done)
		see(firstLook, done)
	}
	assert.Zero(t, events, "told already")
}

// And while the container happens to run, the channel is not told as ready.
func TestNotReadyInALoopAfterAScaling(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, 0, channeltest.Fleet(1, 1, 0))
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-running")}
	l.see(t, time.Second, channeltest.Fleet(1, 1, 1))
	require.Equal(t, v1.ReasonWorkersFailing, channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Reason)
	d := channeltest.Fleet(1, 1, 1) // somebody wrote an annotation-free field, or the HPA scaled and back
	d.Generation = 3
	l.see(t, time.Second, d)
	d.Status.ObservedGeneration = 3
	l.see(t, time.Millisecond, d)
	assert.Equal(t, metav1.ConditionFalse, channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Status)
}

// A quota leaves room for one worker of three, and that one is in a crash loop.
func TestALoopBesideAQuota(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	quota := channeltest.WithCondition(channeltest.Fleet(3, 1, 0), appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", "exceeded quota")
	running := quota.DeepCopy()
	running.Status.ReadyReplicas = 1
	events := 0
	see := func(after time.Duration, d *appsv1.Deployment, pod string) {
		l.now = l.now.Add(after)
		l.pods.pods = []corev1.Pod{channeltest.RealPod(t, pod)}
		seen := status.Observed{Deployment: d, Workers: l.look(t.Context(), l.channel, d, l.now)}
		next, _ := status.Next(plan.Of(l.channel), seen, l.now)
		if status.WorkersEvent(l.channel, next, seen, "x", l.now) != nil {
			events++
		}
		l.channel.Status = next
	}
	see(0, quota, "crash-back-off")
	see(firstLook, quota, "crash-back-off")
	told := events
	for generation := int64(3); generation < 8; generation++ {
		see(nextLook, running, "crash-running")
		see(nextLook, quota, "crash-back-off")
		for _, d := range []*appsv1.Deployment{quota, running} { // the HPA scales, and Kubernetes looks at it
			d.Generation, d.Status.ObservedGeneration = generation, generation
		}
		see(time.Second, quota, "crash-back-off")
	}
	assert.Equal(t, told, events, "told already")
}

// A problem that passes does not have a loop forgotten.
func TestALoopLastsOverAProblem(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, 0, channeltest.Fleet(1, 1, 0))
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	require.Equal(t, v1.ReasonWorkersFailing, channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Reason)
	l.channel.Status, _ = status.Next(plan.Of(l.channel), status.Observed{Deployment: channeltest.Fleet(1, 1, 1), Problem: &plan.Problem{Phase: v1.PhasePending, Reason: v1.ReasonRefused}}, l.now)
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-running")}
	l.see(t, time.Second, channeltest.Fleet(1, 1, 1))
	assert.Equal(t, metav1.ConditionFalse, channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Status)
}

package translator

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// The HPA scales a crash-looping Deployment; for a moment its status is of before.
func TestALoopLastsOverAScaling(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	reason := func() string { return conditionOf(t, l.channel.Status, v1.ConditionReady).Reason }
	l.pods.pods = []corev1.Pod{realPod(t, "crash-back-off")}
	l.see(t, 0, workers(1, 1, 0))
	l.see(t, firstLook, workers(1, 1, 0))
	require.Equal(t, v1.ReasonWorkersFailing, reason())
	events := 0
	see := func(after time.Duration, d *appsv1.Deployment) {
		l.now = l.now.Add(after)
		seen := observed{deployment: d, workers: l.look(t.Context(), l.channel, d, l.now)}
		next, _ := nextStatus(planOf(l.channel), seen, l.now)
		if workersEvent(l.channel, next, seen, "x", l.now) != nil {
			events++
		}
		l.channel.Status = next
	}
	for generation := int64(3); generation < 6; generation++ {
		scaled := workers(int32(generation), int32(generation)-1, 0) // spec.replicas was written just now
		scaled.Generation, scaled.Status.ObservedGeneration = generation, generation-1
		see(time.Second, scaled)
		assert.Equal(t, v1.ReasonWorkersFailing, reason(), "Kubernetes has not looked at it yet")
		assert.Equal(t, v1.PhaseFailed, l.channel.Status.Phase)
		done := workers(int32(generation), int32(generation), 0)
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
	l.pods.pods = []corev1.Pod{realPod(t, "crash-back-off")}
	l.see(t, 0, workers(1, 1, 0))
	l.see(t, firstLook, workers(1, 1, 0))
	l.pods.pods = []corev1.Pod{realPod(t, "crash-running")}
	l.see(t, time.Second, workers(1, 1, 1))
	require.Equal(t, v1.ReasonWorkersFailing, conditionOf(t, l.channel.Status, v1.ConditionReady).Reason)
	d := workers(1, 1, 1) // somebody wrote an annotation-free field, or the HPA scaled and back
	d.Generation = 3
	l.see(t, time.Second, d)
	d.Status.ObservedGeneration = 3
	l.see(t, time.Millisecond, d)
	assert.Equal(t, metav1.ConditionFalse, conditionOf(t, l.channel.Status, v1.ConditionReady).Status)
}

// While KEDA's CRDs are gone one channel asks for all; one that does not get as far as to ask
// hides nothing from the others.
func TestAProblemOfOneChannelHidesNotKEDAsReturn(t *testing.T) {
	l := kedaLoss{interval: 10 * time.Second}
	l.asks(now)
	l.heard(errKEDANotInstalled)
	require.True(t, l.asks(now.Add(10*time.Second)))
	l.heard(&problem{reason: v1.ReasonInvalidSpec}) // a channel whose schedule can't be read: it never asked
	assert.True(t, l.asks(now.Add(10*time.Second)), "the next channel asks in its place")
}

// A refusal whose words count on is one refusal.
func TestWebhooksWordsThatCount(t *testing.T) {
	channel := testChannel()
	events := 0
	for _, id := range []string{"1001", "1002", "1003"} {
		seen := observed{problem: problemOf(deniedWith("request " + id + " refused by policy"))}
		next, _ := nextStatus(planOf(channel), seen, now)
		if refusalEvent(channel, next, "x", now) != nil {
			events++
		}
		channel.Status = next
	}
	assert.Equal(t, 1, events)
}

// What is known of a status is not that of a channel of the same name which came before.
func TestAnotherChannelOfTheName(t *testing.T) {
	var p prunedStatuses
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	empty := v1.PubSubChannelStatus{ObservedGeneration: -1} // the CRD's default
	p.refuse(channelID{key, "old"}, v1.PubSubChannelStatus{ObservedGeneration: 3, Selector: "a=b", DesiredReplicas: 9}, empty, "no")
	assert.Equal(t, empty, p.whole(channelID{key, "new"}, empty), "of a channel that was made anew, whose deletion no reconcile saw")
}

func deniedWith(words string) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "orders", errors.New(`admission webhook "w" denied the request: `+words))
}

// A finalizer of somebody else's, deleted in the background (kubectl's default): Kubernetes
// deletes the children only once the channel is gone.
func TestDeletedInTheBackground(t *testing.T) {
	channel := testChannel(func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(now)), []string{"example.com/theirs"}
	})
	ready := deletingCondition(planOf(channel), observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("True")})
	assert.NotContains(t, ready.Message, "Deployment orders-subscriber to go")
	so := kedaReady("True") // not being deleted; KEDA's finalizer is always there
	so.Finalizers = []string{kedaFinalizer}
	assert.NotContains(t, deletingCondition(planOf(channel), observed{scaledObject: so}).Message, "remove it yourself")
}

// What was in the way of an apply may go: it is tried again.
func TestFutileAppliesAreTriedAgain(t *testing.T) {
	var f futileApplies
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "u", ResourceVersion: "7"}}
	desired := yamlOf(t, `{metadata: {labels: {a: b}}}`)
	_, err := f.add(desired, live, "7", now) // a webhook undid it, and the event says: switch that off
	require.NoError(t, err)
	needed, err := f.needed(nil, desired, live, now.Add(futileRetry-time.Second))
	require.NoError(t, err)
	assert.False(t, needed)
	needed, err = f.needed(nil, desired, live, now.Add(futileRetry))
	require.NoError(t, err)
	assert.True(t, needed, "the webhook may be gone")
}

// A quota leaves room for one worker of three, and that one is in a crash loop.
func TestALoopBesideAQuota(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	quota := withCondition(workers(3, 1, 0), appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", "exceeded quota")
	running := quota.DeepCopy()
	running.Status.ReadyReplicas = 1
	events := 0
	see := func(after time.Duration, d *appsv1.Deployment, pod string) {
		l.now = l.now.Add(after)
		l.pods.pods = []corev1.Pod{realPod(t, pod)}
		seen := observed{deployment: d, workers: l.look(t.Context(), l.channel, d, l.now)}
		next, _ := nextStatus(planOf(l.channel), seen, l.now)
		if workersEvent(l.channel, next, seen, "x", l.now) != nil {
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
	l.pods.pods = []corev1.Pod{realPod(t, "crash-back-off")}
	l.see(t, 0, workers(1, 1, 0))
	l.see(t, firstLook, workers(1, 1, 0))
	require.Equal(t, v1.ReasonWorkersFailing, conditionOf(t, l.channel.Status, v1.ConditionReady).Reason)
	l.channel.Status, _ = nextStatus(planOf(l.channel), observed{deployment: workers(1, 1, 1), problem: problemOf(apierrors.NewInternalError(errors.New("etcd")))}, l.now)
	l.pods.pods = []corev1.Pod{realPod(t, "crash-running")}
	l.see(t, time.Second, workers(1, 1, 1))
	assert.Equal(t, metav1.ConditionFalse, conditionOf(t, l.channel.Status, v1.ConditionReady).Status)
}

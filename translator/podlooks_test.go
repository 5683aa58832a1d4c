package translator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// listed answers with pods, and counts how often it is asked.
type listed struct {
	client.Reader
	pods  []corev1.Pod
	err   error
	asked int
	last  client.ListOptions
}

func (l *listed) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	l.asked++
	l.last = *(&client.ListOptions{}).ApplyOptions(options)
	list.(*corev1.PodList).Items = l.pods
	return l.err
}

// looker is a channel whose pods are looked at.
type looker struct {
	*podLooks
	pods    *listed
	channel *v1.PubSubChannel
	now     time.Time
}

func newLooker() *looker {
	pods := &listed{}
	return &looker{podLooks: newPodLooks(pods, func() time.Duration { return 15 * time.Second }), pods: pods, channel: channeltest.Channel(), now: channeltest.Now}
}

// look is what a reconcile does, after a while.
func (l *looker) see(t *testing.T, after time.Duration, deployment *appsv1.Deployment) diagnosis.Seen {
	t.Helper()
	l.now = l.now.Add(after)
	seen := l.look(t.Context(), l.channel, deployment, l.now)
	l.channel.Status, _ = status.Next(plan.Of(l.channel), status.Observed{Deployment: deployment, Workers: seen}, l.now)
	return seen
}

// Pods are looked at while their workers are not up, some seconds after that began, often at
// first; and of channels that are well nothing is asked and nothing kept.
func TestWhenPodsAreLookedAt(t *testing.T) {
	l := newLooker()
	l.see(t, 0, channeltest.Fleet(3, 3, 3))
	assert.Empty(t, l.looks)
	assert.Equal(t, firstLook, l.see(t, time.Hour, channeltest.Fleet(3, 3, 2)).Again)
	assert.Equal(t, time.Second, l.see(t, firstLook-time.Second, channeltest.Fleet(3, 3, 2)).Again)
	assert.Zero(t, l.pods.asked)
	assert.Equal(t, nextLook, l.see(t, time.Second, channeltest.Fleet(3, 3, 2)).Again)
	assert.Equal(t, 1, l.pods.asked)
	assert.Equal(t, "app=pubsub-subscriber,pubsubchannel=orders", l.pods.last.LabelSelector.String())
	assert.Equal(t, "shop", l.pods.last.Namespace)
	assert.Equal(t, "0", l.pods.last.AsListOptions().ResourceVersion, "from the API server's cache")
	for range 10 {
		l.see(t, 10*time.Millisecond, channeltest.Fleet(3, 3, 2))
	}
	assert.Equal(t, 1, l.pods.asked, "reconciles in between")
	assert.Equal(t, nextLook, l.see(t, nextLook, channeltest.Fleet(3, 3, 2)).Again)
	assert.Equal(t, 15*time.Second, l.see(t, time.Minute, channeltest.Fleet(3, 3, 2)).Again)
	assert.Equal(t, 3, l.pods.asked)
	l.see(t, 15*time.Second, channeltest.Fleet(3, 3, 3))
	assert.Equal(t, 3, l.pods.asked)
	assert.Empty(t, l.looks)

	for name, deployment := range map[string]*appsv1.Deployment{
		"no pods of the template yet": channeltest.Rolling(3, 3, 0, 3),
		"not looked at by Kubernetes": {ObjectMeta: metav1.ObjectMeta{Generation: 1}},
	} {
		assert.Zero(t, l.see(t, time.Hour, deployment).Again, name)
		assert.Empty(t, l.looks, name)
	}
	assert.Equal(t, 3, l.pods.asked)
}

// A crash loop is told at the first look, lasts over the moments in which its container runs,
// and over a restart of the controller; an edit is not told of it from the pods before.
func TestALoopLasts(t *testing.T) {
	l := newLooker()
	l.now = time.Date(2026, 11, 26, 2, 5, 50, 0, time.UTC)
	reason := func() string { return channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady).Reason }
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, 0, channeltest.Fleet(1, 1, 1))
	l.see(t, time.Second, channeltest.Fleet(1, 1, 0))
	assert.Equal(t, v1.ReasonProgressing, reason())
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	assert.Equal(t, v1.ReasonWorkersFailing, reason())
	assert.Equal(t, v1.PhaseFailed, l.channel.Status.Phase)

	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-running")} // for the moment that it runs
	assert.NotZero(t, l.see(t, time.Second, channeltest.Fleet(1, 1, 1)).Again)
	assert.Equal(t, v1.ReasonWorkersFailing, reason())
	l.see(t, nextLook, channeltest.Fleet(1, 1, 1))
	assert.Equal(t, v1.ReasonWorkersFailing, reason())
	assert.Equal(t, v1.PhaseFailed, l.channel.Status.Phase)

	asked := l.pods.asked
	l.podLooks = newPodLooks(l.pods, l.pause)
	before := l.channel.Status.DeepCopy()
	l.see(t, time.Second, channeltest.Fleet(1, 1, 1))
	assert.Equal(t, *before, l.channel.Status, "after a restart of the controller")
	assert.Equal(t, asked+1, l.pods.asked, "at once")

	l.channel.Generation++
	l.pods.pods = []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, time.Second, channeltest.Fleet(1, 1, 0))
	assert.Equal(t, v1.ReasonProgressing, reason(), "nothing is known of the new generation")
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	assert.Equal(t, v1.ReasonWorkersFailing, reason(), "it changed nothing")

	healed := channeltest.RealPod(t, "crash-running")
	healed.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(l.now)
	l.pods.pods = []corev1.Pod{healed}
	for range 4 {
		l.see(t, 15*time.Second, channeltest.Fleet(1, 1, 1))
	}
	assert.Equal(t, v1.ReasonAvailable, reason(), "it has run for a minute")
	assert.Equal(t, v1.PhaseRunning, l.channel.Status.Phase)
	l.see(t, time.Second, channeltest.Fleet(1, 1, 1))
	assert.Empty(t, l.looks)
}

// Pods that can't be read leave what is told as it is; where nothing is, that is told.
func TestPodsThatCantBeRead(t *testing.T) {
	l := newLooker()
	l.pods.err = errors.New("pods is forbidden")
	l.see(t, 0, channeltest.Fleet(1, 1, 0))
	l.see(t, firstLook, channeltest.Fleet(1, 1, 0))
	ready := channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady)
	assert.Equal(t, v1.ReasonProgressing, ready.Reason)
	assert.Contains(t, ready.Message, "pods is forbidden")
	l.pods.err, l.pods.pods = nil, []corev1.Pod{channeltest.RealPod(t, "crash-back-off")}
	l.see(t, nextLook, channeltest.Fleet(1, 1, 0))
	told := channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady)
	require.Equal(t, v1.ReasonWorkersFailing, told.Reason)
	l.pods.err = errors.New("timeout")
	l.see(t, nextLook, channeltest.Fleet(1, 1, 0))
	assert.Equal(t, told, channeltest.ConditionOf(t, l.channel.Status, v1.ConditionReady))
}

// However many channels are not up, the looks of all together are bounded, and none waits for
// ever.
func TestLooksAreBounded(t *testing.T) {
	l := newLooker()
	const channels = 1000
	due := map[string]time.Time{}
	for i := range channels {
		due[fmt.Sprint(i)] = channeltest.Now.Add(time.Hour)
	}
	begin := channeltest.Now.Add(time.Hour)
	seconds := map[int]int{}
	for step := begin; len(due) > 0; step = step.Add(100 * time.Millisecond) {
		require.Less(t, step.Sub(begin), 2*time.Minute)
		for name, at := range due {
			if step.Before(at) {
				continue
			}
			channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Name = name })
			channel.Status, _ = status.Next(plan.Of(channel), status.Observed{Deployment: channeltest.Fleet(1, 1, 0)}, channeltest.Now)
			asked := l.pods.asked
			seen := l.look(t.Context(), channel, channeltest.Fleet(1, 1, 0), step)
			due[name] = step.Add(seen.Again)
			if l.pods.asked > asked {
				seconds[int(step.Sub(begin)/time.Second)]++
				delete(due, name)
			}
		}
	}
	assert.Equal(t, channels, l.pods.asked)
	for second, asked := range seconds {
		most := looksPerSecond + 1
		if second == 0 {
			most += looksAtOnce
		}
		assert.LessOrEqual(t, asked, most, "second %d", second)
	}
}

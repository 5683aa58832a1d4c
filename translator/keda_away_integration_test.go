//go:build integration

package translator

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// moreSince begins the words of a step up that is undone.
const moreSince = "more workers are asked for since "

// shiftedClock goes as the machine's does, by another time.
type shiftedClock struct {
	clock.RealClock
	mu sync.Mutex
	by time.Duration
}

func (c *shiftedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.RealClock.Now().Add(c.by)
}

func (c *shiftedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *shiftedClock) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

// away is an API server with KEDA's CRDs, and nobody who acts on them, and a controller
// whose clock can be moved.
type away struct {
	*server
	plane *plane
	clock *shiftedClock
	test  *testing.T // at whose end the controller ends
	stop  func()     // of the controller
}

func startAway(t *testing.T, p *plane, by time.Duration) *away {
	t.Helper()
	a := &away{server: &server{WithWatch: p.WithWatch, config: p.config, explainer: &fakeExplainer{}, log: &lines{}}, plane: p, clock: &shiftedClock{by: by}, test: t}
	a.start()
	return a
}

func (a *away) start() {
	a.test.Helper()
	a.stop = runController(a.test, a.config, a.explainer, func(m *manager.Options, o *Options) {
		m.Logger, o.Clock = a.log.logger(), a.clock
	})
}

// ready creates a channel that KEDA scales, with one worker.
func (a *away) ready(t *testing.T, change ...func(*v1.PubSubChannel)) (*v1.PubSubChannel, *kedav1alpha1.ScaledObject) {
	t.Helper()
	channel := a.channel(t, append(change, channeltest.AutoScaled())...)
	a.deploymentReady(t, channel)
	so := scaledObjectOf(channel)
	eventually(t, a.server, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
	a.kedaSays(t, so, metav1.ConditionTrue, "")
	eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool { return c.Status.DesiredReplicas == 1 && c.Status.QueueDepth != nil }, "the depth is told")
	return channel, so
}

// wants has the scaler ask for a number of workers, with this depth, whatever there are.
func (a *away) wants(channel *v1.PubSubChannel, replicas int32, depth int64) {
	a.explainer.set(channel, func(request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		response := &inspectv1.ExplainResponse{QueueDepth: depth, Active: true, DesiredReplicas: replicas, Action: inspectv1.Action_ACTION_SCALE_UP,
			Reason: inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, LastingExplanation: fmt.Sprintf("depth %d: → %d", depth, replicas)}
		return response, nil
	})
}

// poke has the channel looked at, by an annotation on its ScaledObject that says nothing.
func (a *away) poke(t *testing.T, so *kedav1alpha1.ScaledObject) {
	t.Helper()
	require.NoError(t, a.plane.patch(t.Context(), so.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{"theirs":"%d"}}}`, time.Now().UnixNano())))
}

func messageOf(c *v1.PubSubChannel, kind string) string {
	return ptr.Deref(meta.FindStatusCondition(c.Status.Conditions, kind), metav1.Condition{}).Message
}

// says wants a condition to have a reason and all of these words.
func says(kind, reason string, words ...string) func(*v1.PubSubChannel) bool {
	return func(c *v1.PubSubChannel) bool {
		got := meta.FindStatusCondition(c.Status.Conditions, kind)
		return got != nil && got.Reason == reason && channeltest.ContainsAll(got.Message, words...)
	}
}

// awaitsKEDA is whether KEDA has yet to see to the ScaledObject. 30 s after that was made it has another reason, and a busy
// machine may look no sooner.
func awaitsKEDA(c *v1.PubSubChannel) bool {
	return says(v1.ConditionReady, v1.ReasonProgressing, "KEDA has not reconciled")(c) || says(v1.ConditionReady, v1.ReasonKEDANotReady, "KEDA has not reconciled")(c)
}

// eventsFor are the notes of the events with this reason about an object.
func (a *away) eventsFor(t *testing.T, uid types.UID, namespace, reason string) (notes []string) {
	t.Helper()
	var list eventsv1.EventList
	require.NoError(t, a.List(t.Context(), &list, client.InNamespace(namespace)))
	for _, event := range list.Items {
		if event.Regarding.UID == uid && event.Reason == reason {
			assert.Equal(t, corev1.EventTypeWarning, event.Type)
			notes = append(notes, event.Note)
		}
	}
	return notes
}

// While KEDA is away the channels say so, each in its own words, and go on when it is back.
func TestKEDAIsAway(t *testing.T) {
	t.Parallel()
	a := startAway(t, startPlaneWithKEDA(t), 0)
	t.Run("a decision that nobody carries out", a.testUndone)
	t.Run("settings of somebody else's", a.testForeign)
	t.Run("a ScaledObject that is not taken up", a.testNotTakenUp)
	t.Run("autoscaling is switched off", a.testSwitchedOff)
	t.Run("a deletion in the foreground", a.testForeground)
	t.Run("a deletion in the background", a.testBackground)
}

func (a *away) testUndone(t *testing.T) {
	channel, _ := a.ready(t)
	a.wants(channel, 4, 500)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound", "depth 500: → 4"), "the decision is told")
	a.clock.step(80 * time.Second)
	a.wants(channel, 4, 501)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound", "depth 501: → 4"), "within its time")
	a.clock.step(10 * time.Second)
	a.wants(channel, 4, 502)
	eventually(t, a.server, channel, says(v1.ConditionScaled, v1.ReasonNotCarriedOut, moreSince, "depth 502: → 4", "keda-operator"), "nobody has carried it out")
	assert.True(t, readyReason(v1.ReasonProgressing)(channel), "of the workers it says nothing")
	since := messageOf(channel, v1.ConditionScaled)[:len(moreSince)+len(time.RFC3339)-5]

	a.stop()
	a.start()
	a.wants(channel, 4, 503)
	eventually(t, a.server, channel, says(v1.ConditionScaled, v1.ReasonNotCarriedOut, since, "depth 503: → 4"), "a new controller knows it, and since when")
	assert.Len(t, a.eventsFor(t, channel.UID, channel.Namespace, v1.ReasonNotCarriedOut), 1)

	a.explainer.set(channel, depthOf(503))
	a.scale(t, deploymentOf(channel), 4)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "WithinBand", "holding"), "it is carried out")
	assert.Len(t, a.eventsFor(t, channel.UID, channel.Namespace, v1.ReasonNotCarriedOut), 1)
}

func (a *away) testForeign(t *testing.T) {
	channel, so := a.ready(t)
	a.wants(channel, 4, 500)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound"), "the decision is told")
	change := func(patch string) {
		t.Helper()
		require.NoError(t, a.plane.patch(t.Context(), so.DeepCopy(), patch))
	}
	change(`{"metadata":{"annotations":{"autoscaling.keda.sh/paused":"true"}}}`)
	eventually(t, a.server, channel, says(v1.ConditionScaled, v1.ReasonPaused, channeltest.PausedAll, "annotate scaledobject orders", "without the pause: depth 500"), "the pause is what holds it")
	assert.True(t, says(v1.ConditionPaused, v1.ReasonPausedOnScaledObject, channeltest.PausedAll, "annotate scaledobject orders")(channel))
	a.clock.step(time.Hour)
	change(`{"metadata":{"annotations":{"autoscaling.keda.sh/paused":null}}}`)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound"), "from now on it is to be carried out")
	change(`{"spec":{"idleReplicaCount":0}}`)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound", "spec.idleReplicaCount: 0", "kubectl -n "+channel.Namespace), "what could hold it is told beside")
	a.explainer.set(channel, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return &inspectv1.ExplainResponse{Action: inspectv1.Action_ACTION_SCALE_UP, Reason: inspectv1.Reason_REASON_OUTSIDE_LIMITS, LastingExplanation: "0 → 1"}, nil
	})
	a.scale(t, deploymentOf(channel), 0)
	eventually(t, a.server, channel, says(v1.ConditionScaled, v1.ReasonHeldByScaledObject, "spec.idleReplicaCount: 0", "without it the queue would ask for: 0 → 1"), "it is what holds it")
	change(`{"spec":{"idleReplicaCount":null}}`)
	eventually(t, a.server, channel, says(v1.ConditionScaled, "OutsideLimits"), "the remedy helps")
	assert.Empty(t, a.eventsFor(t, channel.UID, channel.Namespace, v1.ReasonNotCarriedOut))
}

func (a *away) testNotTakenUp(t *testing.T) {
	channel := a.channel(t, channeltest.AutoScaled())
	eventually(t, a.server, channel, awaitsKEDA, "KEDA is awaited")
	a.clock.step(31 * time.Second)
	a.poke(t, scaledObjectOf(channel))
	eventually(t, a.server, channel, says(v1.ConditionReady, v1.ReasonKEDANotReady, "has not reconciled ScaledObject orders", "keda-operator seems not to run"), "it does not come")
	a.kedaSays(t, scaledObjectOf(channel), metav1.ConditionTrue, "")
	eventually(t, a.server, channel, says(v1.ConditionReady, v1.ReasonProgressing, "workers"), "it is there")
}

// keep puts KEDA's finalizer on a ScaledObject, as KEDA does when it takes it up.
func (a *away) keep(t *testing.T, so *kedav1alpha1.ScaledObject) {
	t.Helper()
	require.NoError(t, a.plane.patch(t.Context(), so.DeepCopy(), `{"metadata":{"finalizers":["finalizer.keda.sh"]}}`))
}

// remedy is what the words of a kept ScaledObject say to do.
func (a *away) remedy(t *testing.T, words, name string) {
	t.Helper()
	_, command, found := strings.Cut(words, "patch scaledobject "+name+" --type=merge -p '")
	require.True(t, found, words)
	patch, _, _ := strings.Cut(command, "'")
	namespace, _, _ := strings.Cut(strings.SplitAfter(words, "kubectl -n ")[1], " ")
	so := &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	require.NoError(t, a.plane.patch(t.Context(), so, patch))
}

func (a *away) testSwitchedOff(t *testing.T) {
	channel, so := a.ready(t)
	a.keep(t, so)
	a.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled, c.Spec.Replicas = false, ptr.To[int32](3) })
	eventually(t, a.server, channel, says(v1.ConditionReady, v1.ReasonProgressing, "KEDA has not released the ScaledObject yet", "finalizer.keda.sh", "keda-operator"), "the finalizer is named")
	assert.EqualValues(t, 1, *a.deploymentReady(t, channel).Spec.Replicas, "KEDA may still write replicas")
	a.remedy(t, messageOf(channel, v1.ConditionReady), "orders")
	eventually(t, a.server, deploymentOf(channel), replicasAre(3), "spec.replicas holds")
}

func (a *away) testForeground(t *testing.T) {
	channel, so := a.ready(t)
	a.keep(t, so)
	require.NoError(t, a.Delete(t.Context(), channel, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	eventually(t, a.server, channel, says(v1.ConditionReady, v1.ReasonDeleting, "ScaledObject orders to go", "Deployment orders-subscriber to go"), "it tells what it waits for")
	require.NoError(t, a.Delete(t.Context(), so)) // by the garbage collector, which does not run here
	require.NoError(t, a.Delete(t.Context(), deploymentOf(channel)))
	eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool {
		return says(v1.ConditionReady, v1.ReasonDeleting, "finalizer.keda.sh", "keda-operator")(c) && !strings.Contains(messageOf(c, v1.ConditionReady), "Deployment")
	}, "the finalizer is what is left")
	assert.Equal(t, v1.PhaseDeleting, channel.Status.Phase)
	a.remedy(t, messageOf(channel, v1.ConditionReady), "orders")
	eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool {
		return messageOf(c, v1.ConditionReady) == "the channel is being deleted"
	}, "nothing is left")
}

func (a *away) testBackground(t *testing.T) {
	channel, so := a.ready(t)
	a.keep(t, so)
	uid := channel.UID
	require.NoError(t, a.Delete(t.Context(), channel, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	a.plane.untilGone(t, channel)
	require.NoError(t, a.Delete(t.Context(), deploymentOf(channel)))
	require.NoError(t, a.Delete(t.Context(), so))
	// It is first seen at some time after that, from which 30 s count.
	left := func() []string { return a.eventsFor(t, so.UID, so.Namespace, v1.EventFinalizerLeft) }
	require.Eventually(t, func() bool {
		a.clock.step(10 * time.Second)
		a.poke(t, so)
		return len(left()) > 0
	}, soon, 4*tick)
	for range 3 {
		a.clock.step(time.Hour)
		a.poke(t, so)
	}

	again := &v1.PubSubChannel{ObjectMeta: metaNamed("orders", channel.Namespace), Spec: channel.Spec}
	require.NoError(t, a.Create(t.Context(), again))
	require.NotEqual(t, uid, again.UID)
	eventually(t, a.server, again, says(v1.ConditionReady, v1.ReasonProgressing, "of the deleted channel of the same name", "finalizer.keda.sh", "keda-operator"), "a new channel names the finalizer, too")
	require.Len(t, left(), 1, "told once")
	a.remedy(t, left()[0], "orders")
	eventually(t, a.server, so, func(so *kedav1alpha1.ScaledObject) bool { return metav1.IsControlledBy(so, again) }, "the remedy helps")
}

// A controller whose clock differs by minutes from everybody else's decides by its own alone:
// it tells nothing too soon, writes nothing without end, and its times are its own.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	for _, by := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(by.String(), func(t *testing.T) {
			a := startAway(t, p, by)
			defer a.stop()
			began := time.Now()
			fresh := a.channel(t, channeltest.AutoScaled())
			eventually(t, a.server, fresh, awaitsKEDA, "KEDA is awaited")
			channel, so := a.ready(t)
			a.wants(channel, 4, 500)
			eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound"), "the decision is told")
			a.scale(t, deploymentOf(channel), 4)
			a.explainer.set(channel, depthOf(500))
			eventually(t, a.server, channel, func(c *v1.PubSubChannel) bool {
				return c.Status.DesiredReplicas == 4 && says(v1.ConditionScaled, "WithinBand")(c)
			}, "the scaling is told")
			assert.WithinDuration(t, a.clock.Now(), channel.Status.LastScaleTime.Time, soon)
			assert.WithinDuration(t, a.clock.Now(), channel.Status.ObservedTime.Time, soon)

			var rounds atomic.Int64
			a.explainer.set(channel, func(request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
				rounds.Add(1)
				return depthOf(500)(request)
			})
			for range 5 {
				a.poke(t, so)
				from := rounds.Load()
				require.Eventually(t, func() bool { return rounds.Load() >= from+2 }, soon, tick)
			}
			version := channel.ResourceVersion
			a.get(t, channel)
			assert.Equal(t, version, channel.ResourceVersion, "nothing new, and no write")
			a.get(t, fresh)
			soonYet := time.Since(began) < 30*time.Second
			assert.True(t, !soonYet || says(v1.ConditionReady, v1.ReasonProgressing, "KEDA has not reconciled")(fresh), "not too soon")

			a.wants(channel, 6, 900)
			eventually(t, a.server, channel, says(v1.ConditionScaled, "AboveUpperBound"), "a decision is told")
			a.clock.step(91 * time.Second)
			a.poke(t, so)
			eventually(t, a.server, channel, says(v1.ConditionScaled, v1.ReasonNotCarriedOut), "and that nobody carries it out, by its own clock")
			require.Eventually(t, func() bool { // the event comes after the status
				return len(a.eventsFor(t, channel.UID, channel.Namespace, v1.ReasonNotCarriedOut)) == 1
			}, soon, tick)
		})
	}
}

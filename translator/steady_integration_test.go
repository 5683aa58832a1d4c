//go:build integration

package translator

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

var (
	idle         = flag.Duration("idle", 8*time.Second, "how long TestSteadyStateWritesNothing watches 200 channels do nothing")
	idleInterval = flag.Duration("idle-interval", time.Second, "the controller's --status-interval meanwhile")
)

// steadyChannels is how many channels do nothing.
const steadyChannels = 200

// 200 channels of all sorts to which nothing happens cause no write, in many rounds of
// questions to the scaler whose cooldowns count down, and neither does a restart of the
// controller; and what changes then causes one write of a status each, and no more. All as
// the API server's audit log tells.
func TestSteadyStateWritesNothing(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	config := p.administrator(t, controllerUser)
	scaler := &countingDown{}
	options := func(_ *manager.Options, o *Options) {
		o.StatusInterval = *idleInterval
		o.Limits.ServiceAccounts = []string{"worker"} // of RichTemplate
	}
	stop := runController(t, config, scaler, options)
	names := p.steady(t)
	p.settled(t)
	p.play(t, steadyChannels)
	from := p.settled(t)

	began, asked := time.Now(), scaler.asked.Load()
	wanted := int64(*idle / *idleInterval) / 2
	require.Eventually(t, func() bool {
		return time.Since(began) >= *idle && scaler.asked.Load()-asked >= wanted*steadyChannels
	}, *idle+3*soon, time.Second, "%d rounds of questions", wanted)
	requests, from := p.audited(t, from)
	assert.Empty(t, writesOf(requests), "idle for %s", time.Since(began))
	rounds := (scaler.asked.Load() - asked) / steadyChannels
	t.Logf("%d channels, %s, %d rounds of questions: %d requests, no write", steadyChannels, *idle, rounds, len(requests))

	stop()
	asked = scaler.asked.Load()
	runController(t, config, scaler, options)
	require.Eventually(t, func() bool { return scaler.asked.Load() >= asked+3*steadyChannels }, soon+3**idleInterval, tick)
	requests, from = p.audited(t, from)
	assert.Empty(t, writesOf(requests), "after a restart of the controller")
	t.Logf("a restart of the controller: %d requests, no write", len(requests))

	for _, name := range names[:10] {
		scaler.deeper.Store(name, true)
	}
	require.Eventually(t, func() bool {
		requests, _ = p.audited(t, from)
		return len(writesOf(requests)) >= 10
	}, soon+2**idleInterval, tick)
	asked = scaler.asked.Load()
	require.Eventually(t, func() bool { return scaler.asked.Load() >= asked+2*steadyChannels }, soon+3**idleInterval, tick)
	requests, _ = p.audited(t, from)
	assert.Len(t, writesOf(requests), 10, "10 queues grew")
	for _, r := range requests {
		if r.writes() {
			assert.Equal(t, "pubsubchannels/status", r.resource())
		}
	}
}

// administrator may do everything, under a name that the audit log knows.
func (p *plane) administrator(t *testing.T, name string) *rest.Config {
	t.Helper()
	return p.userIn(t, name, "system:masters")
}

// steady creates channels of all sorts.
func (p *plane) steady(t *testing.T) (names []string) {
	t.Helper()
	sorts := []func(*v1.PubSubChannel){
		channeltest.AutoScaled(),
		func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](2) },
		channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
			a.Schedules, a.Triggers = []v1.Schedule{channeltest.Office()}, []kedav1alpha1.ScaleTriggers{channeltest.CPU("busy")}
			a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6}
		}),
		func(c *v1.PubSubChannel) { channeltest.Templated(t, channeltest.RichTemplate)(c) },
		func(c *v1.PubSubChannel) { channeltest.AutoScaled()(c); c.Spec.Paused = true },
	}
	require.NoError(t, p.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "steady"}}))
	for i := range steadyChannels {
		channel := &v1.PubSubChannel{
			ObjectMeta: metav1.ObjectMeta{Namespace: "steady", Name: fmt.Sprintf("channel-%03d", i)},
			Spec:       v1.PubSubChannelSpec{ChannelName: "messages"},
		}
		sorts[i%len(sorts)](channel)
		require.NoError(t, p.Create(t.Context(), channel))
		names = append(names, channel.Name)
	}
	return names
}

// play has every Deployment rolled out and every ScaledObject ready, as their controllers
// would.
func (p *plane) play(t *testing.T, n int) {
	t.Helper()
	var deployments appsv1.DeploymentList
	require.Eventually(t, func() bool {
		return p.List(t.Context(), &deployments, client.InNamespace("steady")) == nil && len(deployments.Items) == n
	}, 2*soon, 200*time.Millisecond)
	for i := range deployments.Items {
		d := &deployments.Items[i]
		before, replicas := d.DeepCopy(), ptr.Deref(d.Spec.Replicas, 1)
		d.Status = appsv1.DeploymentStatus{
			ObservedGeneration: d.Generation, Replicas: replicas, ReadyReplicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas,
		}
		require.NoError(t, p.Status().Patch(t.Context(), d, client.MergeFrom(before)))
	}
	p.takenUp(t, "steady", n*3/5)
}

// takenUp has all of a namespace's ScaledObjects, which are to be n, taken up as KEDA does.
func (p *plane) takenUp(t *testing.T, namespace string, n int) {
	t.Helper()
	var scaledObjects kedav1alpha1.ScaledObjectList
	require.Eventually(t, func() bool {
		return p.List(t.Context(), &scaledObjects, client.InNamespace(namespace)) == nil && len(scaledObjects.Items) == n
	}, 2*soon, 200*time.Millisecond)
	for i := range scaledObjects.Items {
		so := &scaledObjects.Items[i]
		before := so.DeepCopy()
		so.Status.Conditions = *kedav1alpha1.GetInitializedConditions()
		so.Status.Conditions.SetReadyCondition(metav1.ConditionTrue, "ScaledObjectReady", "ready")
		require.NoError(t, p.Status().Patch(t.Context(), so, client.MergeFrom(before)))
	}
}

// settled waits until the controller has written nothing for a few rounds, and returns how
// far the audit log goes.
func (p *plane) settled(t *testing.T) int64 {
	t.Helper()
	from, last := p.audit(t), time.Now()
	require.Eventually(t, func() bool {
		requests, to := p.audited(t, from)
		if from = to; len(writesOf(requests)) > 0 {
			last = time.Now()
		}
		return time.Since(last) > 3*time.Second+*idleInterval
	}, 3*soon+2**idleInterval, 200*time.Millisecond)
	return from
}

// countingDown is a scaler that holds all fleets in a cooldown, which it counts down.
type countingDown struct {
	asked  atomic.Int64
	deeper sync.Map // names of the channels whose queues are deeper
}

func (s *countingDown) Explain(_ context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	depth := int64(500)
	if _, ok := s.deeper.Load(request.GetName()); ok {
		depth = 501
	}
	return &inspectv1.ExplainResponse{
		QueueDepth: depth, Reason: inspectv1.Reason_REASON_COOLDOWN, Action: inspectv1.Action_ACTION_HOLD,
		Explanation:        fmt.Sprintf("holding at 3: %d s of the 60 s cooldown left", 100000-s.asked.Add(1)),
		LastingExplanation: "holding at 3: the 60 s cooldown lasts until 15:04:05 UTC",
		WindowSeen:         durationpb.New(time.Minute), Policy: &inspectv1.Policy{UtilizationWindow: durationpb.New(time.Minute)},
	}, nil
}

//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// A queue whose name the kubelet would read as references is worked off under that name.
func TestDollarsInNames(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "dollars")
	const one, two = "a$(POD_NAME)$$b", "$(CHANNEL)$$$"
	channel := newChannel("orders")
	channel.Spec.ChannelName = one
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList, Keys: []string{one, two}}
	s.createAndSettle(channel)
	for _, key := range []string{one, two} {
		s.push(key, 20)
		s.until(env.settling(), "list "+key+" is worked off", func(ctx context.Context) error { return s.consumed(ctx, key) })
	}
}

// identities are the UIDs of a channel's children, where each is controlled as wanted: by a
// channel with this UID, or by nobody where it is empty.
func (s *space) identities(ctx context.Context, name string, owner types.UID) ([]types.UID, error) {
	scaledObject := &unstructured.Unstructured{}
	scaledObject.SetAPIVersion("keda.sh/v1alpha1")
	scaledObject.SetKind("ScaledObject")
	var all []types.UID
	for child, object := range map[string]client.Object{
		"0": &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name + pubsubv1.SubscriberSuffix}},
		"1": &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name + pubsubv1.SubscriberSuffix}},
		"2": scaledObject,
	} {
		if child == "2" {
			object.SetName(name)
		}
		if err := env.client.Get(ctx, s.key(object.GetName()), object); err != nil {
			return nil, err
		}
		controller := ptr.Deref(metav1.GetControllerOf(object), metav1.OwnerReference{})
		if controller.UID != owner {
			return nil, fmt.Errorf("%T %s is controlled by %q, not by %q", object, object.GetName(), controller.UID, owner)
		}
		all = append(all, object.GetUID())
	}
	return all, nil
}

// What --cascade=orphan leaves, by the real garbage collector, runs on, and the next channel
// of that name takes all of it up, workers and HPA as they are.
func TestOrphansOfARealCollector(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "orphans")
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	s.createAndSettle(channel)
	before, err := s.identities(t.Context(), "orders", channel.UID)
	require.NoError(t, err)

	deployment := deploymentOf(channel)
	s.neverDips(deployment, "a deletion that leaves the children, and the next channel", func() {
		s.kubectl("delete", "psc", "orders", "--cascade=orphan", "--timeout=60s")
		_, err := s.identities(t.Context(), "orders", "")
		require.NoError(t, err, "all are there, and nobody's")
		next := newChannel("orders")
		setCooldown(next, 1)
		park(next)
		next.Spec.AutoScaling.MaxReplicas = 7
		s.create(next)
		channel = next
	}, 3, func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionReady, metav1.ConditionTrue, pubsubv1.ReasonAvailable)
	})
	after, err := s.identities(t.Context(), "orders", channel.UID)
	require.NoError(t, err)
	require.ElementsMatch(t, before, after)
	s.untilFollowed("orders")
	s.neverDips(deployment, "it grows up to the new limit", func() { s.setDepth("orders", 5000) }, 7, noMore)
}

// A Deployment that somebody deletes comes back with the workers that the queue had.
func TestDeletedDeployment(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "deleted")
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	s.createAndSettle(channel)
	deployment := &appsv1.Deployment{}
	s.setDepth("orders", 700)
	s.until(env.settling(), "the status knows of five", func(ctx context.Context) error {
		channel, err := s.channel(ctx, "orders")
		if err == nil && channel.Status.DesiredReplicas != 5 {
			err = fmt.Errorf("status.desiredReplicas is %d", channel.Status.DesiredReplicas)
		}
		return err
	})
	require.NoError(t, env.client.Get(t.Context(), s.key(deploymentOf(channel)), deployment))
	first := deployment.UID
	s.kubectl("delete", "deployment", deployment.Name, "--wait=true", "--timeout=60s")
	s.until(env.settling(), "it is made anew, with five", func(ctx context.Context) error {
		if err := env.client.Get(ctx, s.key(deployment.Name), deployment); err != nil {
			return err
		}
		if deployment.UID == first {
			return fmt.Errorf("it is the same as before")
		}
		require.EqualValues(t, 5, *deployment.Spec.Replicas)
		return nil
	})
	// The channel's Ready may still be that of before.
	s.until(env.settling(), "its workers are ready", func(ctx context.Context) error { return available(ctx, s.name, deployment.Name) })
	s.untilReady("orders")
}

const everybodysBudget = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: everybody}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: pubsub-subscriber}}}
`

// With somebody else's budget for the workers an eviction, which is what a drain asks for,
// still succeeds: the channel's budget has given way.
func TestEvictionWithAForeignBudget(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "eviction")
	channel := newChannel("orders")
	park(channel)
	s.setDepth("orders", 300)
	s.createAndSettle(channel)
	key := s.key(deploymentOf(channel))
	require.NoError(t, env.client.Get(t.Context(), key, &policyv1.PodDisruptionBudget{}))
	require.NoError(t, s.apply(everybodysBudget))
	s.until(env.settling(), "the channel's budget goes", func(ctx context.Context) error {
		return gone(env.client.Get(ctx, key, &policyv1.PodDisruptionBudget{}), "PodDisruptionBudget")
	})
	s.until(env.statusDelay(), "it is told", func(ctx context.Context) error {
		return s.readySays(ctx, "orders", "; PodDisruptionBudget everybody selects them, so the channel makes none")
	})

	pods := &corev1.PodList{}
	require.NoError(t, env.client.List(t.Context(), pods, client.InNamespace(s.name), client.MatchingLabels{pubsubv1.LabelChannel: "orders"}))
	require.Len(t, pods.Items, 3)
	victim := &pods.Items[0]
	s.until(env.settling(), "a worker is evicted", func(ctx context.Context) error { // until the budget's status is there
		return env.client.SubResource("eviction").Create(ctx, victim, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: victim.Name}})
	})
	s.untilReady("orders")

	s.kubectl("delete", "pdb", "everybody")
	s.until(env.settling(), "the channel's budget comes back", func(ctx context.Context) error {
		return env.client.Get(ctx, key, &policyv1.PodDisruptionBudget{})
	})
}

// readySays is nil where the Ready condition's message ends with these words.
func (s *space) readySays(ctx context.Context, name, words string) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	ready := ptr.Deref(meta.FindStatusCondition(channel.Status.Conditions, pubsubv1.ConditionReady), metav1.Condition{})
	if len(ready.Message) < len(words) || ready.Message[len(ready.Message)-len(words):] != words {
		return fmt.Errorf("Ready says %q", ready.Message)
	}
	return nil
}

const theirHPA = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: mine}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: orders-subscriber}
  minReplicas: 3
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`

// An HPA that scales the workers already is in KEDA's way, which is told as what it is; with
// its name and KEDA's annotation on the channel KEDA takes it over.
func TestHPATransfer(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "transfer")
	channel := newChannel("orders")
	channel.Spec.AutoScaling.Enabled = false
	park(channel)
	s.setDepth("orders", 300)
	s.create(channel)
	s.untilReady("orders")
	require.NoError(t, s.apply(theirHPA))
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	require.NoError(t, env.client.Get(t.Context(), s.key("mine"), hpa))
	uid := hpa.UID

	s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.Enabled = true })()
	s.until(env.statusDelay(), "KEDA refuses", func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionReady, metav1.ConditionFalse, pubsubv1.ReasonHPAConflict)
	})
	s.edit("orders", func(channel *pubsubv1.PubSubChannel) {
		channel.Annotations = map[string]string{"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
		channel.Spec.AutoScaling.HPAName = "mine"
	})
	s.until(env.settling(), "the HPA is KEDA's, and follows the queue", func(ctx context.Context) error {
		if err := env.client.Get(ctx, s.key("mine"), hpa); err != nil {
			return err
		}
		controller := ptr.Deref(metav1.GetControllerOf(hpa), metav1.OwnerReference{})
		if controller.Kind != "ScaledObject" || hpa.Spec.MaxReplicas != 10 {
			return fmt.Errorf("it is controlled by %s %s, and has maxReplicas %d", controller.Kind, controller.Name, hpa.Spec.MaxReplicas)
		}
		return s.hpaIs(false)(ctx)
	})
	require.Equal(t, uid, hpa.UID)
	s.untilReady("orders")
}

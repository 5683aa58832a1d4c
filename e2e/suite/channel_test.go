//go:build e2e

package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

const (
	pubsubOperatorApp = pubsubv1.OperatorApp
	// parked is the key that idle workers wait at.
	parked = "parked"
)

var scaledObjectKind = schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}

// newChannel is a channel with three workers, which may become 2 to 10, on the queue of the
// same name: target 100, up 150 %, down 50 %.
func newChannel(name string) *pubsubv1.PubSubChannel {
	return &pubsubv1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: pubsubv1.PubSubChannelSpec{
			ChannelName:    name,
			RedisAddress:   "dragonfly:6379",
			Replicas:       ptr.To[int32](3),
			Image:          "jawaracloud/subscriber:" + env.imageTag,
			MessageTimeout: 5,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("1m"),
				corev1.ResourceMemory: resource.MustParse("8Mi"),
			}},
			AutoScaling: &pubsubv1.AutoScalingSpec{
				Enabled:            true,
				MinReplicas:        ptr.To[int32](2),
				MaxReplicas:        10,
				TargetQueueDepth:   100,
				ScaleUpThreshold:   150,
				ScaleDownThreshold: 50,
			},
		},
	}
}

// setCooldown sets a cooldown of that many HPA syncs and returns it.
func setCooldown(channel *pubsubv1.PubSubChannel, syncs int) time.Duration {
	cooldown := env.syncs(syncs)
	channel.Spec.AutoScaling.CooldownPeriod = ptr.To(int32(cooldown / time.Second))
	return cooldown
}

// setWorker sets an environment variable of the workers.
func setWorker(channel *pubsubv1.PubSubChannel, name, value string) {
	for i := range channel.Spec.Env {
		if channel.Spec.Env[i].Name == name {
			channel.Spec.Env[i].Value = value
			return
		}
	}
	channel.Spec.Env = append(channel.Spec.Env, corev1.EnvVar{Name: name, Value: value})
}

// park makes the workers wait at an empty queue of their own, so that the depth of the
// channel's is what the test makes it: spec.env wins over what the operator sets.
func park(channel *pubsubv1.PubSubChannel) { setWorker(channel, pubsubv1.EnvChannel, parked) }

// unpark makes them consume the channel's own queue.
func unpark(channel *pubsubv1.PubSubChannel) { channel.Spec.Env = nil }

func (s *space) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.name, Name: name}
}

func (s *space) create(channel *pubsubv1.PubSubChannel) {
	s.t.Helper()
	channel.Namespace = s.name
	require.NoError(s.t, env.client.Create(s.t.Context(), channel))
	s.logf("PubSubChannel %s created", channel.Name)
}

// createAndSettle creates a channel and waits until its workers are ready and the HPA
// follows its queue; then it returns the recorder of its Deployment.
func (s *space) createAndSettle(channel *pubsubv1.PubSubChannel) *recorder {
	s.t.Helper()
	s.create(channel)
	return s.settle(channel)
}

// settle is the rest of createAndSettle, for a channel that was created.
func (s *space) settle(channel *pubsubv1.PubSubChannel) *recorder {
	s.t.Helper()
	s.until(env.settling(), "the Deployment exists", func(ctx context.Context) error {
		return env.client.Get(ctx, s.key(deploymentOf(channel)), &appsv1.Deployment{})
	})
	r := s.record(deploymentOf(channel))
	s.untilReady(channel.Name)
	if ptr.Deref(channel.Spec.AutoScaling.MinReplicas, 1) > 0 {
		s.untilFollowed(channel.Name)
	}
	return r
}

func deploymentOf(channel *pubsubv1.PubSubChannel) string {
	return channel.Name + pubsubv1.SubscriberSuffix
}

// untilReady waits for the channel's Ready condition.
func (s *space) untilReady(name string) {
	s.t.Helper()
	s.until(env.settling(), "PubSubChannel "+name+" is Ready", func(ctx context.Context) error {
		return s.conditionIs(ctx, name, pubsubv1.ConditionReady, metav1.ConditionTrue, pubsubv1.ReasonAvailable)
	})
}

// untilFollowed waits until the HPA has read the metric.
func (s *space) untilFollowed(name string) {
	s.t.Helper()
	s.until(env.settling(), "the HPA follows the queue", func(ctx context.Context) error {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		if err := env.client.Get(ctx, s.key("keda-hpa-"+name), hpa); err != nil {
			return err
		}
		for _, condition := range hpa.Status.Conditions {
			if condition.Type == autoscalingv2.ScalingActive && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("HPA conditions: %v", hpa.Status.Conditions)
	})
}

func (s *space) channel(ctx context.Context, name string) (*pubsubv1.PubSubChannel, error) {
	channel := &pubsubv1.PubSubChannel{}
	return channel, env.client.Get(ctx, s.key(name), channel)
}

// edit changes a channel's spec as an editor does: read, change, write.
func (s *space) edit(name string, change func(*pubsubv1.PubSubChannel)) {
	s.t.Helper()
	require.NoError(s.t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		channel, err := s.channel(s.t.Context(), name)
		if err != nil {
			return err
		}
		change(channel)
		return env.client.Update(s.t.Context(), channel)
	}))
}

// conditionIs is nil where the condition has this status and reason for the channel's
// present generation.
func (s *space) conditionIs(ctx context.Context, name, kind string, status metav1.ConditionStatus, reason string) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	condition := meta.FindStatusCondition(channel.Status.Conditions, kind)
	if condition == nil || condition.Status != status || condition.Reason != reason || condition.ObservedGeneration != channel.Generation {
		return fmt.Errorf("condition %s is %+v, not %s for the reason %s (generation %d)", kind, condition, status, reason, channel.Generation)
	}
	return nil
}

// depthIs is nil where the status tells this depth.
func (s *space) depthIs(ctx context.Context, name string, depth int64) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	if got := channel.Status.QueueDepth; got == nil || *got != depth {
		return fmt.Errorf("status.queueDepth is %v, not %d", text(got), depth)
	}
	return nil
}

func (s *space) untilDepth(name string, depth int64) {
	s.t.Helper()
	s.until(env.statusDelay(), fmt.Sprintf("status.queueDepth is %d", depth), func(ctx context.Context) error {
		return s.depthIs(ctx, name, depth)
	})
}

func text(number *int64) string {
	if number == nil {
		return "absent"
	}
	return fmt.Sprint(*number)
}

// scaledObject is the ScaledObject as KEDA's API has it: the tests need little of it.
func (s *space) scaledObject(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	scaledObject := &unstructured.Unstructured{}
	scaledObject.SetGroupVersionKind(scaledObjectKind)
	return scaledObject, env.client.Get(ctx, s.key(name), scaledObject)
}

// triggerMetadata is the metadata of the ScaledObject's only trigger.
func (s *space) triggerMetadata(ctx context.Context, name string) (map[string]string, error) {
	scaledObject, err := s.scaledObject(ctx, name)
	if err != nil {
		return nil, err
	}
	triggers, _, err := unstructured.NestedSlice(scaledObject.Object, "spec", "triggers")
	if err != nil || len(triggers) != 1 {
		return nil, fmt.Errorf("ScaledObject %s has %d triggers, not 1: %w", name, len(triggers), err)
	}
	metadata, _, err := unstructured.NestedStringMap(triggers[0].(map[string]any), "metadata")
	return metadata, err
}

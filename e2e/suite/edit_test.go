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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// What is edited takes effect without losing a worker, and deleting the channel removes
// all that was made of it.
func TestEditAndDelete(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "edit")
	channel := newChannel("orders")
	setCooldown(channel, 2)
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)

	image := "docker.io/jawaracloud/subscriber:" + env.imageTag // the same image by its other name
	resources := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2m"), corev1.ResourceMemory: resource.MustParse("12Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")},
	}
	s.edit("orders", func(channel *pubsubv1.PubSubChannel) {
		channel.Spec.Image = image
		channel.Spec.Resources = resources
		channel.Spec.MessageTimeout = 7
		setWorker(channel, "LOG_LEVEL", "debug")
	})
	s.until(env.settling(), "all three pods have the new image, env and resources", func(ctx context.Context) error {
		return s.podsAre(ctx, "orders", 3, func(container corev1.Container) error {
			if container.Image != image || variable(container, "LOG_LEVEL") != "debug" || variable(container, pubsubv1.EnvMessageTimeout) != "7" ||
				!container.Resources.Limits.Memory().Equal(*resources.Limits.Memory()) || !container.Resources.Requests.Cpu().Equal(*resources.Requests.Cpu()) {
				return fmt.Errorf("container %+v", container)
			}
			return nil
		})
	})
	s.untilReady("orders")
	require.Equal(t, []int32{3}, replicas.values(), "the rollout changed spec.replicas")

	s.edit("orders", func(channel *pubsubv1.PubSubChannel) {
		auto := channel.Spec.AutoScaling
		auto.MinReplicas, auto.MaxReplicas = ptr.To[int32](1), 7
		auto.TargetQueueDepth, auto.ScaleUpThreshold, auto.ScaleDownThreshold = 50, 120, 40
	})
	s.until(env.reaction(), "ScaledObject and HPA have the new limits and thresholds", s.thresholdsAreEdited)
	// 300 > 50 × 3 × 120 % = 180, and ceil(300 ÷ 60) = 5.
	replicas.untilValues(env.reaction(), 3, 5)
	s.deleteRemovesEverything("orders")
}

// thresholdsAreEdited is nil where the edit of TestEditAndDelete has arrived.
func (s *space) thresholdsAreEdited(ctx context.Context) error {
	metadata, err := s.triggerMetadata(ctx, "orders")
	if err != nil {
		return err
	}
	for key, wanted := range map[string]string{"minReplicas": "1", "maxReplicas": "7", "targetQueueDepth": "50", "scaleUpThreshold": "120", "scaleDownThreshold": "40"} {
		if metadata[key] != wanted {
			return fmt.Errorf("the trigger's %s is %q, not %q", key, metadata[key], wanted)
		}
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := env.client.Get(ctx, s.key("keda-hpa-orders"), hpa); err != nil {
		return err
	}
	target := hpa.Spec.Metrics[0].External.Target.AverageValue
	if *hpa.Spec.MinReplicas != 1 || hpa.Spec.MaxReplicas != 7 || target.Value() != 50 {
		return fmt.Errorf("the HPA scales from %d to %d by %s messages each", *hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas, target)
	}
	return nil
}

func variable(container corev1.Container, name string) string {
	for _, v := range container.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// podsAre is nil where exactly that many pods run, all ready, and each container is right.
func (s *space) podsAre(ctx context.Context, channel string, count int, right func(corev1.Container) error) error {
	pods := &corev1.PodList{}
	if err := env.client.List(ctx, pods, client.InNamespace(s.name), client.MatchingLabels{pubsubv1.LabelChannel: channel}); err != nil {
		return err
	}
	if len(pods.Items) != count {
		return fmt.Errorf("%d pods, not %d", len(pods.Items), count)
	}
	for _, pod := range pods.Items {
		if len(pod.Status.ContainerStatuses) != 1 || !pod.Status.ContainerStatuses[0].Ready || pod.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is %s", pod.Name, pod.Status.Phase)
		}
		if err := right(pod.Spec.Containers[0]); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

func (s *space) deleteRemovesEverything(name string) {
	s.t.Helper()
	s.kubectl("delete", "psc", name, "--timeout=60s")
	s.until(env.settling(), "Deployment, ScaledObject, HPA and pods are gone", func(ctx context.Context) error {
		if err := gone(env.client.Get(ctx, s.key(name+pubsubv1.SubscriberSuffix), &appsv1.Deployment{}), "Deployment"); err != nil {
			return err
		}
		_, err := s.scaledObject(ctx, name)
		if err := gone(err, "ScaledObject"); err != nil {
			return err
		}
		if err := gone(env.client.Get(ctx, s.key("keda-hpa-"+name), &autoscalingv2.HorizontalPodAutoscaler{}), "HPA"); err != nil {
			return err
		}
		return s.podsAre(ctx, name, 0, nil)
	})
}

// gone makes an error of a Get that found something.
func gone(err error, what string) error {
	switch {
	case err == nil:
		return fmt.Errorf("the %s is still there", what)
	case apierrors.IsNotFound(err):
		return nil
	default:
		return err
	}
}

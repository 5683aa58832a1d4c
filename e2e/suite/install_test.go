//go:build e2e

package suite

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// The chart installs beside KEDA: controller and scaler become ready, manifests of the
// first operator's users are accepted as they are, and wrong ones refused by the name of
// the wrong field.
func TestInstallBesideKEDA(t *testing.T) {
	beside(t, early)
	s := newSpace(t, "install")
	for _, name := range []string{"controller", "scaler"} {
		s.until(env.settling(), "the "+name+" is Ready", func(ctx context.Context) error {
			return available(ctx, systemNamespace, release+"-"+name)
		})
	}
	s.until(env.settling(), "KEDA is still Available", func(ctx context.Context) error {
		return available(ctx, env.kedaNamespace, "keda-operator")
	})
	// Their images are other people's: no pod is to start.
	require.NoError(t, env.client.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-pods", Namespace: s.name},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}))
	for _, file := range []string{"translator/testdata/channels.yaml", "deploy/samples/list.yaml", "deploy/samples/stream.yaml", "deploy/samples/scale-to-zero.yaml", "deploy/samples/utilization.yaml"} {
		t.Run("accepts "+file, func(t *testing.T) { s.acceptsUnchanged(t, "../../"+file) })
	}
	for name, wrong := range wrongManifests {
		t.Run("refuses "+name, func(t *testing.T) {
			err := s.apply(fmt.Sprintf("apiVersion: pubsub.jawaracloud.io/v1\nkind: PubSubChannel\nmetadata: {name: wrong}\nspec: %s\n", wrong.spec))
			require.Error(t, err)
			t.Log(err)
			for _, words := range wrong.names {
				require.ErrorContains(t, err, words)
			}
			_, err = s.channel(t.Context(), "wrong")
			require.True(t, client.IgnoreNotFound(err) == nil && err != nil, "the channel was stored: %v", err)
		})
	}
}

var wrongManifests = map[string]struct {
	spec  string
	names []string // the field, and what to do
}{
	"minReplicas above maxReplicas": {
		"{channelName: a, autoScaling: {enabled: true, minReplicas: 5, maxReplicas: 3}}",
		[]string{"minReplicas", "must not be greater than maxReplicas"},
	},
	"scaleDownThreshold not below scaleUpThreshold": {
		"{channelName: a, autoScaling: {enabled: true, scaleUpThreshold: 50, scaleDownThreshold: 50}}",
		[]string{"scaleDownThreshold", "must be less than scaleUpThreshold"},
	},
	"an empty channelName": {`{channelName: ""}`, []string{"spec.channelName", "at least 1"}},
	"no channelName":       {"{replicas: 2}", []string{"spec.channelName", "Required"}},
	"targetQueueDepth 0": {
		"{channelName: a, autoScaling: {enabled: true, targetQueueDepth: 0}}",
		[]string{"spec.autoScaling.targetQueueDepth", "greater than or equal to 1"},
	},
	"a redisAddress with a scheme": {
		`{channelName: a, redisAddress: "redis://dragonfly:6379"}`,
		[]string{"spec.redisAddress", "without a scheme"},
	},
}

// available is nil where the Deployment is rolled out and all of its pods are ready.
func available(ctx context.Context, namespace, name string) error {
	deployment := &appsv1.Deployment{}
	if err := env.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, deployment); err != nil {
		return err
	}
	wanted, status := ptr.Deref(deployment.Spec.Replicas, 1), deployment.Status
	if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas != wanted || status.ReadyReplicas != wanted || status.Replicas != wanted {
		return fmt.Errorf("Deployment %s: %d replicas wanted, status %+v", name, wanted, status)
	}
	return nil
}

// acceptsUnchanged applies a file of channels. Each is stored as it was written, and what
// it asks for is made of it.
func (s *space) acceptsUnchanged(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, s.apply(string(data)))
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		written := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(document), &written.Object))
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(pubsubv1.GroupVersion.WithKind("PubSubChannel"))
		require.NoError(t, env.client.Get(t.Context(), s.key(written.GetName()), stored))
		requireWithin(t, written.Object["spec"], stored.Object["spec"], "spec")
		s.until(env.settling(), file+": "+written.GetName()+" is made what it says", func(ctx context.Context) error {
			return s.means(ctx, written.GetName())
		})
	}
}

// requireWithin requires that all that was written is there.
func requireWithin(t *testing.T, written, stored any, path string) {
	t.Helper()
	fields, ok := written.(map[string]any)
	if !ok {
		require.Truef(t, reflect.DeepEqual(normal(written), normal(stored)), "%s: written %v, stored %v", path, written, stored)
		return
	}
	there, ok := stored.(map[string]any)
	require.Truef(t, ok, "%s is %v", path, stored)
	for key, value := range fields {
		requireWithin(t, value, there[key], path+"."+key)
	}
}

// normal makes numbers of YAML and of JSON comparable.
func normal(value any) string { return fmt.Sprint(value) }

// means is nil where the channel's Deployment and ScaledObject are what its spec says.
func (s *space) means(ctx context.Context, name string) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	deployment := &appsv1.Deployment{}
	if err := env.client.Get(ctx, s.key(deploymentOf(channel)), deployment); err != nil {
		return err
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	if container.Name != pubsubv1.SubscriberContainer || container.Image != imageOf(channel) {
		return fmt.Errorf("container %s has image %s, not %s", container.Name, container.Image, imageOf(channel))
	}
	auto := channel.Spec.AutoScaling
	if auto == nil || !auto.Enabled {
		if got := ptr.Deref(deployment.Spec.Replicas, 1); got != *channel.Spec.Replicas {
			return fmt.Errorf("spec.replicas is %d, not %d", got, *channel.Spec.Replicas)
		}
		return nil
	}
	scaledObject, err := s.scaledObject(ctx, name)
	if err != nil {
		return err
	}
	least, _, _ := unstructured.NestedInt64(scaledObject.Object, "spec", "minReplicaCount")
	most, _, _ := unstructured.NestedInt64(scaledObject.Object, "spec", "maxReplicaCount")
	if least != int64(*auto.MinReplicas) || most != int64(auto.MaxReplicas) {
		return fmt.Errorf("ScaledObject scales from %d to %d, not from %d to %d", least, most, *auto.MinReplicas, auto.MaxReplicas)
	}
	return nil
}

// imageOf is the image that a channel's workers get: without one of its own, our subscriber in the
// operator's version. The CRD's former default counts as none.
func imageOf(channel *pubsubv1.PubSubChannel) string {
	if channel.Spec.Image == "" || channel.Spec.Image == pubsubv1.FormerDefaultImage {
		return pubsubv1.SubscriberImage + ":" + env.imageTag
	}
	return channel.Spec.Image
}

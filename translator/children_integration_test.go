//go:build integration

package translator

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func envMap(deployment *appsv1.Deployment) map[string]string {
	env := map[string]string{}
	for _, e := range deployment.Spec.Template.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	return env
}

// manifests is what the channels of testdata/channels.yaml mean.
var manifests = map[string]struct {
	channel, image string
	replicas       int32
	env            map[string]string
	scaled         map[string]string // nil: no ScaledObject
	limits         string
}{
	"basic-channel": {channel: "messages", image: testWorkers.Image, replicas: 3},
	"inventory":     {channel: "inventory-updates", image: testWorkers.Image, replicas: 3},
	"my-channel": {
		channel: "messages", image: testWorkers.Image, replicas: 3, env: map[string]string{"LOG_LEVEL": "debug"}, limits: "500m",
		scaled: map[string]string{"minReplicas": "2", "maxReplicas": "20", "targetQueueDepth": "100", "scaleUpThreshold": "150", "scaleDownThreshold": "50", "cooldownPeriod": "60"},
	},
	"order-processing": {
		channel: "orders", image: testWorkers.Image, replicas: 5, limits: "1",
		scaled: map[string]string{"minReplicas": "5", "maxReplicas": "50", "targetQueueDepth": "500", "scaleUpThreshold": "150", "scaleDownThreshold": "40", "cooldownPeriod": "30"},
	},
	"custom": {
		channel: "events", image: "mycompany/custom-subscriber:v1.2.3", replicas: 1,
		env:    map[string]string{"CUSTOM_CONFIG": "production", "METRICS_ENABLED": "true", "METRICS_PORT": "9090", "BATCH_SIZE": "100"},
		scaled: map[string]string{"minReplicas": "1", "maxReplicas": "10", "targetQueueDepth": "50", "scaleUpThreshold": "120", "scaleDownThreshold": "50", "cooldownPeriod": "30", "maxScaleDownStep": "20%"},
	},
}

// Manifests of the first operator's users are accepted as they are, and mean what they
// say.
func TestManifests(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	data, err := os.ReadFile("testdata/channels.yaml")
	require.NoError(t, err)
	documents := strings.Split(string(data), "\n---\n")
	require.Len(t, documents, len(manifests))
	for _, document := range documents {
		channel := &v1.PubSubChannel{}
		manifest, err := yaml.ToJSON([]byte(document))
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(manifest))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(channel))
		t.Run(channel.Name, func(t *testing.T) {
			want, ok := manifests[channel.Name]
			require.True(t, ok)
			channel.Namespace = namespace
			require.NoError(t, s.Create(t.Context(), channel))
			deployment := s.deploymentReady(t, channel)
			assert.Equal(t, want.replicas, *deployment.Spec.Replicas)
			container := deployment.Spec.Template.Spec.Containers[0]
			assert.Equal(t, want.image, container.Image)
			env := envMap(deployment)
			assert.Equal(t, "dragonfly:6379", env["REDIS_ADDR"])
			assert.Equal(t, want.channel, env["CHANNEL"])
			assert.Equal(t, "30", env["MESSAGE_TIMEOUT"])
			for name, value := range want.env {
				assert.Equal(t, value, env[name])
			}
			if want.limits != "" {
				assert.Equal(t, want.limits, container.Resources.Limits.Cpu().String())
			}
			if want.scaled == nil {
				assert.NoError(t, client.IgnoreNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(channel), scaledObjectOf(channel))))
				return
			}
			so := scaledObjectOf(channel)
			eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")
			for key, value := range want.scaled {
				assert.Equal(t, value, so.Spec.Triggers[0].Metadata[key], key)
			}
			assert.Equal(t, "0", so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.Tolerance.String())
		})
	}
}

// container is the workers' one.
func container(d *appsv1.Deployment) corev1.Container { return d.Spec.Template.Spec.Containers[0] }

// hasTrigger wants a key of the trigger's metadata to have a value.
func hasTrigger(key, value string) func(*kedav1alpha1.ScaledObject) bool {
	return func(so *kedav1alpha1.ScaledObject) bool { return so.Spec.Triggers[0].Metadata[key] == value }
}

// hasTriggers wants the triggers to have these names.
func hasTriggers(names ...string) func(*kedav1alpha1.ScaledObject) bool {
	return func(so *kedav1alpha1.ScaledObject) bool {
		var got []string
		for _, trigger := range so.Spec.Triggers {
			got = append(got, trigger.Name)
		}
		return slices.Equal(names, got)
	}
}

// hasEnv wants a variable of the workers to have a value; empty: or not to be there.
func hasEnv(name, value string) func(*appsv1.Deployment) bool {
	return func(d *appsv1.Deployment) bool { return envMap(d)[name] == value }
}

// auto edits spec.autoScaling.
func auto(change func(*v1.AutoScalingSpec)) func(*v1.PubSubChannel) {
	return func(c *v1.PubSubChannel) { change(c.Spec.AutoScaling) }
}

// edits are made one after the other to one channel.
var edits = []struct {
	name       string
	edit       func(*v1.PubSubChannel)
	deployment func(*appsv1.Deployment) bool
	scaled     func(*kedav1alpha1.ScaledObject) bool
}{
	{"channelName", func(c *v1.PubSubChannel) { c.Spec.ChannelName = "other" }, hasEnv("CHANNEL", "other"), hasTrigger("channelName", "other")},
	{"redisAddress", func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis.x:1" }, hasEnv("REDIS_ADDR", "redis.x:1"), hasTrigger("redisAddress", "redis.x:1")},
	{"image", func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" }, func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, nil},
	{"messageTimeout", func(c *v1.PubSubChannel) { c.Spec.MessageTimeout = 90 }, func(d *appsv1.Deployment) bool {
		return envMap(d)["MESSAGE_TIMEOUT"] == "90" && *d.Spec.Template.Spec.TerminationGracePeriodSeconds == 95
	}, nil},
	{"resources", func(c *v1.PubSubChannel) {
		c.Spec.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("1024Mi")}
	}, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Resources.Limits.Cpu().MilliValue() == 1500
	}, nil},
	{"resources, less", func(c *v1.PubSubChannel) { delete(c.Spec.Resources.Limits, "cpu") }, func(d *appsv1.Deployment) bool { return len(container(d).Resources.Limits) == 1 }, nil},
	{"env", func(c *v1.PubSubChannel) {
		c.Spec.Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}
	}, hasEnv("B", "2"), nil},
	{"env, other order", func(c *v1.PubSubChannel) {
		c.Spec.Env = []corev1.EnvVar{{Name: "B", Value: "2"}, {Name: "A", Value: "1"}}
	}, func(d *appsv1.Deployment) bool {
		e := container(d).Env
		return e[len(e)-1].Name == "A" && e[len(e)-2].Name == "B"
	}, nil},
	{"env, winning", func(c *v1.PubSubChannel) { c.Spec.Env = []corev1.EnvVar{{Name: "CHANNEL", Value: "mine"}} }, func(d *appsv1.Deployment) bool {
		return envMap(d)["CHANNEL"] == "mine" && envMap(d)["A"] == ""
	}, nil},
	{"env, gone", func(c *v1.PubSubChannel) { c.Spec.Env = nil }, hasEnv("CHANNEL", "other"), nil},
	{"queue", func(c *v1.PubSubChannel) { c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, ConsumerGroup: "g"} }, func(d *appsv1.Deployment) bool {
		return envMap(d)["QUEUE_TYPE"] == "Stream" && envMap(d)["CONSUMER_GROUP"] == "g"
	}, hasTrigger("consumerGroup", "g")},
	{"queue, gone", func(c *v1.PubSubChannel) { c.Spec.Queue = nil }, hasEnv("QUEUE_TYPE", "Auto"), hasTrigger("consumerGroup", "")},
	{"minReplicas", auto(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return *so.Spec.MinReplicaCount == 0 && *so.Spec.PollingInterval == 10
	}},
	{"minReplicas, back", auto(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](1) }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return *so.Spec.MinReplicaCount == 1 && so.Spec.PollingInterval == nil
	}},
	{"maxReplicas", auto(func(a *v1.AutoScalingSpec) { a.MaxReplicas = 33 }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return *so.Spec.MaxReplicaCount == 33 && so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleUp.Policies[0].Value == 33
	}},
	{"targetQueueDepth", auto(func(a *v1.AutoScalingSpec) { a.TargetQueueDepth = 77 }), nil, hasTrigger("targetQueueDepth", "77")},
	{"scaleUpThreshold", auto(func(a *v1.AutoScalingSpec) { a.ScaleUpThreshold = 177 }), nil, hasTrigger("scaleUpThreshold", "177")},
	{"scaleDownThreshold", auto(func(a *v1.AutoScalingSpec) { a.ScaleDownThreshold = 17 }), nil, hasTrigger("scaleDownThreshold", "17")},
	{"cooldownPeriod", auto(func(a *v1.AutoScalingSpec) { a.CooldownPeriod = ptr.To[int32](31) }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return *so.Spec.CooldownPeriod == 31 && *so.Spec.InitialCooldownPeriod == 31 &&
			so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.Policies[0].PeriodSeconds == 30
	}},
	{"activationQueueDepth", auto(func(a *v1.AutoScalingSpec) { a.ActivationQueueDepth = 3 }), nil, hasTrigger("activationQueueDepth", "3")},
	{"maxScaleUpStep", auto(func(a *v1.AutoScalingSpec) { a.MaxScaleUpStep = ptr.To(intstr.FromInt32(2)) }), nil, hasTrigger("maxScaleUpStep", "2")},
	{"maxScaleUpStep, gone", auto(func(a *v1.AutoScalingSpec) { a.MaxScaleUpStep = nil }), nil, hasTrigger("maxScaleUpStep", "")},
	{"schedules", auto(func(a *v1.AutoScalingSpec) {
		a.Schedules = []v1.Schedule{channeltest.Office(), channeltest.Office(func(s *v1.Schedule) { s.Name, s.MinReplicas = "sale", 9 })}
	}), nil, hasTriggers("", "office", "sale")},
	{"schedules, fewer", auto(func(a *v1.AutoScalingSpec) { a.Schedules = a.Schedules[1:] }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return hasTriggers("", "sale")(so) && so.Spec.Triggers[1].Metadata["desiredReplicas"] == "9"
	}},
	{"triggers", auto(func(a *v1.AutoScalingSpec) { a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("busy")} }), nil, hasTriggers("", "sale", "busy")},
	{"schedules and triggers, gone", auto(func(a *v1.AutoScalingSpec) { a.Schedules, a.Triggers = nil, nil }), nil, hasTriggers("")},
	{"fallback", auto(func(a *v1.AutoScalingSpec) { a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6} }), nil, func(so *kedav1alpha1.ScaledObject) bool {
		return so.Spec.Fallback != nil && *so.Spec.Fallback == kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6, Behavior: "static"}
	}},
	{"fallback, gone", auto(func(a *v1.AutoScalingSpec) { a.Fallback = nil }), nil, func(so *kedav1alpha1.ScaledObject) bool { return so.Spec.Fallback == nil }},
	{"maxScaleDownStep", auto(func(a *v1.AutoScalingSpec) { a.MaxScaleDownStep = ptr.To(intstr.FromString("30%")) }), nil, hasTrigger("maxScaleDownStep", "30%")},
}

// Every field of the spec reaches the children when it is edited, and its removal too.
func TestEditsReachTheChildren(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled())
	s.deploymentReady(t, channel)
	for _, test := range edits {
		t.Run(test.name, func(t *testing.T) {
			s.edit(t, channel, test.edit)
			if test.deployment != nil {
				eventually(t, s, deploymentOf(channel), test.deployment, "the Deployment follows")
			}
			if test.scaled != nil {
				eventually(t, s, scaledObjectOf(channel), test.scaled, "the ScaledObject follows")
			}
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedGeneration == c.Generation }, "the status follows")
		})
	}
}

// What somebody else changes of ours is put right, and what they add is left.
func TestDriftIsPutRight(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled())
	deployment := s.deploymentReady(t, channel)
	so := scaledObjectOf(channel)
	eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the ScaledObject is made")

	before := deployment.DeepCopy()
	deployment.Spec.Template.Spec.Containers[0].Image = "theirs:1"
	deployment.Spec.Template.Spec.Containers[0].Env[0].Value = "elsewhere:1"
	delete(deployment.Labels, v1.LabelApp) // takes it out of our cache
	deployment.Labels["theirs"] = "stays"
	require.NoError(t, s.Patch(t.Context(), deployment, client.MergeFrom(before), client.FieldOwner("kubectl-edit")))
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Image == testWorkers.Image &&
			envMap(d)["REDIS_ADDR"] == "dragonfly:6379" && d.Labels[v1.LabelApp] == v1.SubscriberApp
	}, "the Deployment is put right")
	assert.Equal(t, "stays", deployment.Labels["theirs"])

	soBefore := so.DeepCopy()
	so.Spec.Triggers[0].Metadata["targetQueueDepth"] = "1"
	so.Spec.MaxReplicaCount = ptr.To[int32](99)
	so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.Policies = so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.Policies[:1]
	require.NoError(t, s.Patch(t.Context(), so, client.MergeFrom(soBefore), client.FieldOwner("kubectl-edit")))
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool {
		return so.Spec.Triggers[0].Metadata["targetQueueDepth"] == "100" && *so.Spec.MaxReplicaCount == 10 &&
			len(so.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.Policies) == 2
	}, "the ScaledObject is put right")

	require.NoError(t, s.Delete(t.Context(), so))
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return so.UID != soBefore.UID }, "the ScaledObject is made anew")
}

// A Deployment or ScaledObject that somebody else made is left alone, whatever its labels.
func TestForeignObjectsAreLeftAlone(t *testing.T) {
	s := sharedServer(t)
	for name, labels := range map[string]map[string]string{
		"with our labels": {v1.LabelApp: v1.SubscriberApp, v1.LabelChannel: "orders"},
		"with others":     {"app": "theirs"},
	} {
		t.Run("Deployment "+name, func(t *testing.T) {
			namespace := s.namespace(t)
			theirs := deploymentOf(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)})
			theirs.Labels = labels
			theirs.Spec.Selector = selector(labels)
			theirs.Spec.Template.Labels = labels
			theirs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "theirs:1"}}
			require.NoError(t, s.Create(t.Context(), theirs))

			channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace }, channeltest.AutoScaled())
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.Phase == v1.PhaseFailed }, "the conflict shows")
			ready := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
			assert.Equal(t, v1.ReasonDeploymentConflict, ready.Reason)
			assert.Contains(t, ready.Message, "orders-subscriber")
			assert.Contains(t, ready.Message, "delete or rename")
			version := theirs.ResourceVersion
			s.get(t, theirs)
			assert.Equal(t, version, theirs.ResourceVersion)

			require.NoError(t, s.Delete(t.Context(), theirs))
			s.deploymentReady(t, channel) // goes on by itself
		})
	}
	t.Run("ScaledObject", func(t *testing.T) {
		namespace := s.namespace(t)
		theirs := build.ScaledObject(testWorkers.Plan(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)}), build.ScalerRef{Address: "x:1"})
		theirs.OwnerReferences = nil
		require.NoError(t, s.Create(t.Context(), theirs))
		channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace = namespace }, channeltest.AutoScaled())
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
			ready := meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady)
			return ready != nil && ready.Reason == v1.ReasonScaledObjectConflict
		}, "the conflict shows")
		version := theirs.ResourceVersion
		s.get(t, theirs)
		assert.Equal(t, version, theirs.ResourceVersion)
	})
}

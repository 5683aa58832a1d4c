package build

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func envOf(t *testing.T, channel *v1.PubSubChannel) []string {
	t.Helper()
	deployment, err := Deployment(plan.Of(channel))
	require.NoError(t, err)
	var env []string
	for _, e := range deployment.Spec.Template.Spec.Containers[0].Env {
		switch {
		case e.ValueFrom != nil && e.ValueFrom.FieldRef != nil:
			env = append(env, *e.Name+"<"+*e.ValueFrom.FieldRef.FieldPath)
		default:
			env = append(env, *e.Name+"="+ptr.Deref(e.Value, ""))
		}
	}
	return env
}

func TestDeploymentEnv(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		want   []string
	}{
		"defaults": {
			change: func(*v1.PubSubChannel) {},
			want:   []string{"REDIS_ADDR=dragonfly:6379", "CHANNEL=messages", "MESSAGE_TIMEOUT=30", "QUEUE_TYPE=Auto", "POD_NAME<metadata.name"},
		},
		"everything set": {
			change: func(c *v1.PubSubChannel) {
				c.Spec.RedisAddress, c.Spec.MessageTimeout = "redis.data:7000", 9
				c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, ConsumerGroup: "workers"}
				c.Spec.Env = []corev1.EnvVar{{Name: "B", Value: "2"}, {Name: "A", Value: "1"}}
			},
			want: []string{"REDIS_ADDR=redis.data:7000", "CHANNEL=messages", "MESSAGE_TIMEOUT=9", "QUEUE_TYPE=Stream", "CONSUMER_GROUP=workers", "POD_NAME<metadata.name", "B=2", "A=1"},
		},
		"spec.env wins, in its own order": {
			change: func(c *v1.PubSubChannel) {
				c.Spec.Env = []corev1.EnvVar{{Name: "HOST", Value: "h"}, {Name: "REDIS_ADDR", Value: "$(HOST):1"}, {Name: "POD_NAME", Value: ""}}
			},
			want: []string{"CHANNEL=messages", "MESSAGE_TIMEOUT=30", "QUEUE_TYPE=Auto", "HOST=h", "REDIS_ADDR=$(HOST):1", "POD_NAME="},
		},
		"valueFrom": {
			change: func(c *v1.PubSubChannel) {
				c.Spec.Env = []corev1.EnvVar{{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}
			},
			want: []string{"REDIS_ADDR=dragonfly:6379", "CHANNEL=messages", "MESSAGE_TIMEOUT=30", "QUEUE_TYPE=Auto", "POD_NAME<metadata.name", "NODE<spec.nodeName"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, envOf(t, channeltest.Channel(test.change)))
		})
	}
}

func TestDeployment(t *testing.T) {
	deployment, err := Deployment(plan.Of(channeltest.Channel(func(c *v1.PubSubChannel) {
		c.Spec.Image, c.Spec.MessageTimeout = "mine:1", 40
		c.Spec.Resources = corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("500m")}}
	})))
	require.NoError(t, err)

	assert.Equal(t, "orders-subscriber", *deployment.Name)
	assert.Equal(t, "shop", *deployment.Namespace)
	assert.Nil(t, deployment.Spec.Replicas, "replicas has an owner of its own")
	selector := map[string]string{"app": "pubsub-subscriber", "pubsubchannel": "orders"}
	all := map[string]string{
		"app": "pubsub-subscriber", "pubsubchannel": "orders", "app.kubernetes.io/name": "pubsub-subscriber",
		"app.kubernetes.io/instance": "orders", "app.kubernetes.io/managed-by": "pubsub-operator",
	}
	assert.Equal(t, selector, deployment.Spec.Selector.MatchLabels)
	assert.Equal(t, all, deployment.Labels)
	assert.Equal(t, all, deployment.Spec.Template.Labels)
	owner := deployment.OwnerReferences[0]
	assert.True(t, *owner.Controller && *owner.BlockOwnerDeletion)
	assert.EqualValues(t, "u-1", *owner.UID)

	pod := deployment.Spec.Template.Spec
	assert.EqualValues(t, 45, *pod.TerminationGracePeriodSeconds)
	assert.False(t, *pod.AutomountServiceAccountToken)
	container := pod.Containers[0]
	assert.Equal(t, "subscriber", *container.Name)
	assert.Equal(t, "mine:1", *container.Image)
	assert.Equal(t, corev1.PullIfNotPresent, *container.ImagePullPolicy, "Kubernetes' own default, which it would not follow the image with")
	assert.Equal(t, "500m", container.Resources.Limits.Cpu().String())
	assertRestricted(t, pod, container)
}

// assertRestricted checks what the restricted Pod Security Standard asks of a pod without
// volumes and host access.
func assertRestricted(t *testing.T, pod *corev1ac.PodSpecApplyConfiguration, container corev1ac.ContainerApplyConfiguration) {
	t.Helper()
	assert.True(t, *pod.SecurityContext.RunAsNonRoot)
	assert.Nil(t, pod.SecurityContext.RunAsUser, "the image says which user")
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, *pod.SecurityContext.SeccompProfile.Type)
	assert.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
	assert.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
	assert.Nil(t, container.SecurityContext.ReadOnlyRootFilesystem, "the image's author decides")
}

func TestScaledObject(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
		a.MinReplicas, a.MaxReplicas, a.CooldownPeriod = ptr.To[int32](2), 20, ptr.To[int32](60)
		a.TargetQueueDepth, a.ScaleUpThreshold, a.ScaleDownThreshold = 200, 120, 40
		a.ActivationQueueDepth = 5
		a.MaxScaleUpStep = ptr.To(intstr.FromInt32(3))
		a.MaxScaleDownStep = ptr.To(intstr.FromString("10%"))
	}))
	so := ScaledObject(plan.Of(channel), ScalerRef{Address: "scaler.ops:9090"})
	assert.Equal(t, "orders", so.Name)
	assert.Empty(t, so.Annotations, "KEDA copies annotations to the HPA")
	assert.Equal(t, map[string]string{
		"pubsubchannel": "orders", "app.kubernetes.io/name": "pubsub-subscriber",
		"app.kubernetes.io/instance": "orders", "app.kubernetes.io/managed-by": "pubsub-operator",
	}, so.Labels)
	assert.True(t, metav1.IsControlledBy(so, channel))
	assert.Equal(t, &kedav1alpha1.ScaleTarget{Name: "orders-subscriber"}, so.Spec.ScaleTargetRef)
	assert.Equal(t, []int32{2, 20, 60, 60}, []int32{*so.Spec.MinReplicaCount, *so.Spec.MaxReplicaCount, *so.Spec.CooldownPeriod, *so.Spec.InitialCooldownPeriod})
	assert.Nil(t, so.Spec.PollingInterval)
	require.Len(t, so.Spec.Triggers, 1)
	got := so.Spec.Triggers[0]
	assert.Equal(t, "external-push", got.Type)
	assert.Equal(t, autoscalingv2.AverageValueMetricType, got.MetricType)
	assert.Nil(t, got.AuthenticationRef)
	assert.Equal(t, map[string]string{
		"scalerAddress": "scaler.ops:9090", "channelName": "messages", "redisAddress": "dragonfly:6379", "queueType": "Auto",
		"minReplicas": "2", "maxReplicas": "20", "targetQueueDepth": "200", "scaleUpThreshold": "120", "scaleDownThreshold": "40",
		"cooldownPeriod": "60", "activationQueueDepth": "5", "maxScaleUpStep": "3", "maxScaleDownStep": "10%",
	}, got.Metadata)
}

func TestScaledObjectOfTLSAndZero(t *testing.T) {
	so := ScaledObject(plan.Of(channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) }))),
		ScalerRef{Address: "s:1", TLS: true, AuthenticationRef: "scaler-certs"})
	assert.EqualValues(t, 10, *so.Spec.PollingInterval, "going idle happens by polling only")
	assert.EqualValues(t, 70, *so.Spec.CooldownPeriod, "KEDA counts from the last poll that found it active")
	assert.EqualValues(t, 60, *so.Spec.InitialCooldownPeriod)
	assert.EqualValues(t, 0, *so.Spec.MinReplicaCount)
	assert.Equal(t, "true", so.Spec.Triggers[0].Metadata["enableTLS"])
	assert.Equal(t, &kedav1alpha1.AuthenticationRef{Name: "scaler-certs", Kind: "ClusterTriggerAuthentication"}, so.Spec.Triggers[0].AuthenticationRef)
}

func TestApplyFormHasOnlyWhatIsSet(t *testing.T) {
	form, err := ApplyForm(ScaledObject(plan.Of(channeltest.Channel(channeltest.AutoScaled())), ScalerRef{Address: "s:1"}))
	require.NoError(t, err)
	assert.NotContains(t, form.Object, "status")
	assert.NotContains(t, form.Object["metadata"], "creationTimestamp")
	advanced := form.Object["spec"].(map[string]any)["advanced"].(map[string]any)
	assert.NotContains(t, advanced, "scalingModifiers")
	up := advanced["horizontalPodAutoscalerConfig"].(map[string]any)["behavior"].(map[string]any)["scaleUp"].(map[string]any)
	assert.Equal(t, "0", up["tolerance"])
	assert.EqualValues(t, 0, up["stabilizationWindowSeconds"], "0 is not empty")
}

// scalingFault is what KEDA would refuse of a channel's ScaledObject; nil: nothing.
func scalingFault(channel *v1.PubSubChannel) error {
	p := plan.Of(channel)
	return CheckScaledObject(p, ScaledObject(p, ScalerRef{}))
}

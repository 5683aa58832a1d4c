package translator

import (
	"math"
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
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// testChannel is a channel without the API server's defaults.
func testChannel(change ...func(*v1.PubSubChannel)) *v1.PubSubChannel {
	channel := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop", UID: "u-1", Generation: 1},
		Spec:       v1.PubSubChannelSpec{ChannelName: "messages"},
	}
	for _, c := range change {
		c(channel)
	}
	return channel
}

func scaled(change ...func(*v1.AutoScalingSpec)) func(*v1.PubSubChannel) {
	return func(channel *v1.PubSubChannel) {
		channel.Spec.AutoScaling = &v1.AutoScalingSpec{Enabled: true}
		for _, c := range change {
			c(channel.Spec.AutoScaling)
		}
	}
}

func envOf(t *testing.T, channel *v1.PubSubChannel) []string {
	t.Helper()
	deployment, err := buildDeployment(planOf(channel))
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
			assert.Equal(t, test.want, envOf(t, testChannel(test.change)))
		})
	}
}

func TestDeployment(t *testing.T) {
	deployment, err := buildDeployment(planOf(testChannel(func(c *v1.PubSubChannel) {
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
	channel := testChannel(scaled(func(a *v1.AutoScalingSpec) {
		a.MinReplicas, a.MaxReplicas, a.CooldownPeriod = ptr.To[int32](2), 20, ptr.To[int32](60)
		a.TargetQueueDepth, a.ScaleUpThreshold, a.ScaleDownThreshold = 200, 120, 40
		a.ActivationQueueDepth = 5
		a.MaxScaleUpStep = ptr.To(intstr.FromInt32(3))
		a.MaxScaleDownStep = ptr.To(intstr.FromString("10%"))
	}))
	so := buildScaledObject(planOf(channel), ScalerRef{Address: "scaler.ops:9090"})
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
	so := buildScaledObject(planOf(testChannel(scaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) }))),
		ScalerRef{Address: "s:1", TLS: true, AuthenticationRef: "scaler-certs"})
	assert.EqualValues(t, 10, *so.Spec.PollingInterval, "going idle happens by polling only")
	assert.EqualValues(t, 70, *so.Spec.CooldownPeriod, "KEDA counts from the last poll that found it active")
	assert.EqualValues(t, 60, *so.Spec.InitialCooldownPeriod)
	assert.EqualValues(t, 0, *so.Spec.MinReplicaCount)
	assert.Equal(t, "true", so.Spec.Triggers[0].Metadata["enableTLS"])
	assert.Equal(t, &kedav1alpha1.AuthenticationRef{Name: "scaler-certs", Kind: "ClusterTriggerAuthentication"}, so.Spec.Triggers[0].AuthenticationRef)
}

func TestApplyFormHasOnlyWhatIsSet(t *testing.T) {
	form, err := applyForm(buildScaledObject(planOf(testChannel(scaled())), ScalerRef{Address: "s:1"}))
	require.NoError(t, err)
	assert.NotContains(t, form.Object, "status")
	assert.NotContains(t, form.Object["metadata"], "creationTimestamp")
	advanced := form.Object["spec"].(map[string]any)["advanced"].(map[string]any)
	assert.NotContains(t, advanced, "scalingModifiers")
	up := advanced["horizontalPodAutoscalerConfig"].(map[string]any)["behavior"].(map[string]any)["scaleUp"].(map[string]any)
	assert.Equal(t, "0", up["tolerance"])
	assert.EqualValues(t, 0, up["stabilizationWindowSeconds"], "0 is not empty")
}

func TestTriggerReadsBack(t *testing.T) {
	for name, change := range map[string]func(*v1.PubSubChannel){
		"no autoscaling": func(*v1.PubSubChannel) {},
		"defaults":       scaled(),
		"all": scaled(func(a *v1.AutoScalingSpec) {
			a.MinReplicas, a.MaxReplicas, a.CooldownPeriod = ptr.To[int32](0), 7, ptr.To[int32](0)
			a.MaxScaleUpStep = ptr.To(intstr.FromString("9999%"))
		}),
		"a step beyond any limit": scaled(func(a *v1.AutoScalingSpec) { a.MaxScaleUpStep = ptr.To(intstr.FromInt32(math.MaxInt32)) }),
	} {
		t.Run(name, func(t *testing.T) {
			want := triggerFor(testChannel(change))
			got, err := trigger.Parse(want.Metadata())
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestCheckTriggerFindsWhatTheSchemaCannot(t *testing.T) {
	require.Nil(t, planOf(testChannel()).Invalid)
	err := planOf(testChannel(func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis:99999" })).Invalid
	assert.ErrorContains(t, err, `redisAddress is "redis:99999"`)
}

func TestFirstReplicas(t *testing.T) {
	within := func(least, most int32) func(*v1.PubSubChannel) {
		return scaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = &least, most })
	}
	had := func(n int32) v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{Selector: "app=s", DesiredReplicas: n}
	}
	held := func(annotation, value string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			within(2, 5)(c)
			c.Annotations = map[string]string{annotation: value}
		}
	}
	none := v1.PubSubChannelStatus{}
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		spec   *int32
		status v1.PubSubChannelStatus
		want   int32
	}{
		"default":                   {func(*v1.PubSubChannel) {}, nil, none, 1},
		"none":                      {func(*v1.PubSubChannel) {}, ptr.To[int32](0), none, 0},
		"autoscaled, within limits": {within(2, 5), ptr.To[int32](3), none, 3},
		"autoscaled, too few":       {within(2, 5), nil, none, 2},
		"autoscaled, too many":      {within(2, 5), ptr.To[int32](9), none, 5},

		"may sleep":                         {within(0, 5), nil, none, 0},
		"may sleep, with the CRD's default": {within(0, 5), ptr.To[int32](1), none, 0},
		"may sleep, but asks for more":      {within(0, 5), ptr.To[int32](3), none, 3},
		"may sleep, paused": {func(c *v1.PubSubChannel) {
			within(0, 5)(c)
			paused(c)
		}, nil, none, 0},

		"back":                            {within(2, 5), nil, had(4), 4},
		"back, asleep":                    {within(0, 5), ptr.To[int32](3), had(0), 0},
		"back, awake":                     {within(0, 5), nil, had(1), 1},
		"back, too few by now":            {within(2, 5), nil, had(0), 2},
		"back, too many by now":           {within(2, 5), nil, had(9), 5},
		"back, paused":                    {held(kedav1alpha1.PausedAnnotation, "true"), nil, had(9), 9},
		"back, held by number":            {held(kedav1alpha1.PausedReplicasAnnotation, "9"), nil, had(9), 9},
		"back, held in one direction":     {held(kedav1alpha1.PausedScaleInAnnotation, "true"), nil, had(9), 5},
		"back, without autoscaling":       {func(*v1.PubSubChannel) {}, ptr.To[int32](3), had(4), 3},
		"back, paused and not autoscaled": {paused, ptr.To[int32](3), had(4), 4},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel(test.change)
			channel.Spec.Replicas, channel.Status = test.spec, test.status
			assert.Equal(t, test.want, planOf(channel).FirstReplicas())
		})
	}
}

// scalingFault is what KEDA would refuse of a channel's ScaledObject; nil: nothing.
func scalingFault(channel *v1.PubSubChannel) error {
	p := planOf(channel)
	return checkScaling(p, buildScaledObject(p, ScalerRef{}))
}

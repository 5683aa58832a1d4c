package build

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func podOf(t *testing.T, change ...func(*v1.PubSubChannel)) *corev1ac.PodTemplateSpecApplyConfiguration {
	t.Helper()
	deployment, err := Deployment(plan.Of(channeltest.Channel(change...)))
	require.NoError(t, err)
	return deployment.Spec.Template
}

// A template adds to what the operator makes, and takes nothing of it away.
func TestTemplate(t *testing.T) {
	pod := podOf(t, channeltest.Templated(t, channeltest.RichTemplate), func(c *v1.PubSubChannel) {
		c.Spec.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("2"), "ephemeral-storage": resource.MustParse("1Gi")}
		c.Spec.Env = []corev1.EnvVar{{Name: "MINE", Value: "m"}}
	})
	assert.Equal(t, "shop", pod.Labels["team"])
	assert.Equal(t, "orders", pod.Labels["pubsubchannel"])
	assert.Equal(t, map[string]string{"prometheus.io/scrape": "true"}, pod.Annotations)
	spec := pod.Spec
	assert.Equal(t, "worker", *spec.ServiceAccountName)
	assert.True(t, *spec.AutomountServiceAccountToken, "the template wins over the operator")
	assert.EqualValues(t, 35, *spec.TerminationGracePeriodSeconds, "messageTimeout and 5 s")
	assert.True(t, *spec.SecurityContext.RunAsNonRoot, "and nothing else is lost")
	assert.EqualValues(t, 1000, *spec.SecurityContext.RunAsUser)
	assert.Len(t, spec.TopologySpreadConstraints, 2)
	require.Len(t, spec.Containers, 2)
	own := spec.Containers[0]
	assert.Equal(t, "jawaracloud/subscriber", *own.Image)
	var env []string
	for _, e := range own.Env {
		env = append(env, *e.Name)
		assert.False(t, e.Value != nil && e.ValueFrom != nil, *e.Name)
	}
	assert.Equal(t, []string{"CHANNEL", "MESSAGE_TIMEOUT", "QUEUE_TYPE", "POD_NAME", "MINE", "EXTRA", "REDIS_ADDR"}, env)
	limits := *own.Resources.Limits
	assert.Equal(t, []string{"500m", "1Gi", "1Gi"}, []string{limits.Cpu().String(), limits.Memory().String(), limits.StorageEphemeral().String()}, "by resource")
	assert.Equal(t, corev1.ProtocolTCP, *own.Ports[0].Protocol)
	assert.False(t, *own.SecurityContext.AllowPrivilegeEscalation)
	assert.True(t, *own.SecurityContext.ReadOnlyRootFilesystem)
	require.Len(t, spec.InitContainers[0].Ports, 2, "one port number, two protocols")
}

// Workers are not root by default; an image that needs it switches that off.
func TestRootIsAskedForInTheTemplate(t *testing.T) {
	assert.True(t, *podOf(t).Spec.SecurityContext.RunAsNonRoot)
	pod := podOf(t, channeltest.Templated(t, `{spec: {securityContext: {runAsNonRoot: false}}}`))
	assert.False(t, *pod.Spec.SecurityContext.RunAsNonRoot)
	assert.NotNil(t, pod.Spec.SecurityContext.SeccompProfile, "and nothing else is lost")
}

// What is set in several places: the operator's, then spec's, then the template's.
func TestTemplateWins(t *testing.T) {
	template := channeltest.Templated(t, `{spec: {terminationGracePeriodSeconds: 600, containers: [{name: subscriber, image: "theirs:1", env: [{name: LOG_LEVEL, value: template}]}]}}`)
	set := func(c *v1.PubSubChannel) {
		c.Spec.Image, c.Spec.Env = "mine:1", []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "spec"}, {Name: "CHANNEL", Value: "spec"}}
	}
	channel := channeltest.Channel(set, template)
	assert.Equal(t, []string{"REDIS_ADDR=dragonfly:6379", "MESSAGE_TIMEOUT=30", "QUEUE_TYPE=Auto", "POD_NAME<metadata.name", "CHANNEL=spec", "LOG_LEVEL=template"}, envOf(t, channel))
	pod := podOf(t, set, template).Spec
	assert.Equal(t, "theirs:1", *pod.Containers[0].Image)
	assert.EqualValues(t, 600, *pod.TerminationGracePeriodSeconds)
}

func TestTopologySpread(t *testing.T) {
	for name, test := range map[string]struct {
		template string
		want     []string
	}{
		"by default":          {`{}`, []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"}},
		"one's own":           {`{spec: {topologySpreadConstraints: [{topologyKey: rack, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]}}`, []string{"rack"}},
		"none, if so desired": {`{spec: {topologySpreadConstraints: []}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, constraint := range podOf(t, channeltest.Templated(t, test.template)).Spec.TopologySpreadConstraints {
				got = append(got, *constraint.TopologyKey)
			}
			assert.Equal(t, test.want, got)
		})
	}
	for _, constraint := range podOf(t).Spec.TopologySpreadConstraints {
		assert.EqualValues(t, 1, *constraint.MaxSkew)
		assert.Equal(t, corev1.ScheduleAnyway, *constraint.WhenUnsatisfiable)
		assert.Equal(t, plan.SelectorLabels(channeltest.Channel()), constraint.LabelSelector.MatchLabels)
	}
}

// Each mistake is named, with its place.
func TestTemplateMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		template string
		words    []string
	}{
		"an unknown field":        {`{spec: {nodeSelectr: {a: b}}}`, []string{`spec.template.spec: unknown field "nodeSelectr"`}},
		"another case":            {`{spec: {nodeselector: {a: b}}}`, []string{`unknown field "nodeselector"`}},
		"deep inside":             {`{spec: {containers: [{name: subscriber, imag: x}]}}`, []string{`unknown field "containers[0].imag"`}},
		"a directive":             {`{spec: {containers: [{name: subscriber, $patch: delete}]}}`, []string{`unknown field "containers[0].$patch"`}},
		"another type":            {`{spec: {terminationGracePeriodSeconds: soon}}`, []string{"cannot unmarshal string", "terminationGracePeriodSeconds"}},
		"no quantity":             {`{spec: {containers: [{name: subscriber, resources: {limits: {cpu: lots}}}]}}`, []string{"spec.template.spec.containers[0].resources.limits[cpu] is", "quantities must match"}},
		"a quantity too costly":   {`{spec: {volumes: [{name: a, emptyDir: {sizeLimit: "1e99999999999"}}]}}`, []string{"spec.template.spec.volumes[0].emptyDir.sizeLimit is", "3 digits in its exponent"}},
		"no name":                 {`{spec: {containers: [{image: x}]}}`, []string{"a container has no name", "subscriber"}},
		"a selector's label":      {`{metadata: {labels: {pubsubchannel: payments}}}`, []string{`pubsubchannel is "payments"`, "leave it out"}},
		"a volume twice":          {`{spec: {volumes: [{name: a}, {name: a}]}}`, []string{"volume a is there twice"}},
		"a container twice":       {`{spec: {containers: [{name: a}], initContainers: [{name: a}]}}`, []string{"container a is there twice"}},
		"env twice":               {`{spec: {containers: [{name: a, env: [{name: X}, {name: X}]}]}}`, []string{"in container a env X is there twice"}},
		"a mount twice":           {`{spec: {containers: [{name: a, volumeMounts: [{name: v, mountPath: /x}, {name: w, mountPath: /x}]}]}}`, []string{"volumeMount /x is there twice"}},
		"a port twice":            {`{spec: {containers: [{name: a, ports: [{containerPort: 1}, {containerPort: 1, protocol: TCP}]}]}}`, []string{"port 1/TCP is there twice"}},
		"a pull secret twice":     {`{spec: {imagePullSecrets: [{name: a}, {name: a}]}}`, []string{"imagePullSecret a is there twice"}},
		"a constraint twice":      {`{spec: {topologySpreadConstraints: [{topologyKey: a, whenUnsatisfiable: X}, {topologyKey: a, whenUnsatisfiable: X}]}}`, []string{"topologySpreadConstraint a X is there twice"}},
		"everything told at once": {`{metadata: {labels: {app: x}}, spec: {a: 1, b: 2}}`, []string{"labels: app", `"a"`, `"b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Deployment(plan.Of(channeltest.Channel(channeltest.Templated(t, test.template))))
			for _, words := range test.words {
				assert.ErrorContains(t, err, words)
			}
			if got := (*plan.Problem)(nil); assert.ErrorAs(t, err, &got) {
				assert.Equal(t, v1.ReasonInvalidSpec, got.Reason)
			}
		})
	}
}

// A channel without a template, and one with an empty one, have the same pods.
func TestEmptyTemplate(t *testing.T) {
	for name, template := range map[string]*v1.PodTemplate{
		"empty":          {},
		"empty metadata": {Metadata: &v1.PodMetadata{}},
		"empty spec":     {Spec: &runtime.RawExtension{Raw: []byte("{}")}},
		"no spec":        {Spec: &runtime.RawExtension{}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, podOf(t), podOf(t, func(c *v1.PubSubChannel) { c.Spec.Template = template }))
		})
	}
}

package build

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Our subscriber is asked for its health, on the port that it listens on, and no other image.
func TestProbes(t *testing.T) {
	template := func(spec string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			c.Spec.Template = &v1.PodTemplate{Spec: &runtime.RawExtension{Raw: []byte(spec)}}
		}
	}
	env := func(value corev1.EnvVar) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) { c.Spec.Env = []corev1.EnvVar{value} }
	}
	const none = 0
	tests := map[string]struct {
		change              func(*v1.PubSubChannel)
		liveness, readiness int32 // ports
	}{
		"the default image":         {func(*v1.PubSubChannel) {}, 9091, 9091},
		"another image":             {func(c *v1.PubSubChannel) { c.Spec.Image = "mine:1" }, none, none},
		"a version of it":           {func(c *v1.PubSubChannel) { c.Spec.Image = "jawaracloud/subscriber:0.1.0" }, 9091, 9091},
		"a mirror of it":            {func(c *v1.PubSubChannel) { c.Spec.Image = "registry:5000/jawaracloud/subscriber@sha256:00" }, 9091, 9091},
		"an image with a like name": {func(c *v1.PubSubChannel) { c.Spec.Image = "notjawaracloud/subscriber:0.1.0" }, none, none},
		"a version of it in the template": {func(c *v1.PubSubChannel) {
			c.Spec.Image = "mine:1"
			template(`{"containers": [{"name": "subscriber", "image": "jawaracloud/subscriber:0.1.0"}]}`)(c)
		}, 9091, 9091},
		"another image in the template":      {template(`{"containers": [{"name": "subscriber", "image": "mine:1"}]}`), none, none},
		"a port":                             {env(corev1.EnvVar{Name: "HEALTH_PORT", Value: "8080"}), 8080, 8080},
		"any free port":                      {env(corev1.EnvVar{Name: "HEALTH_PORT", Value: "0"}), none, none},
		"no port":                            {env(corev1.EnvVar{Name: "HEALTH_PORT", Value: "65536"}), none, none},
		"an empty variable":                  {env(corev1.EnvVar{Name: "HEALTH_PORT"}), 9091, 9091},
		"a port from elsewhere":              {env(corev1.EnvVar{Name: "HEALTH_PORT", ValueFrom: &corev1.EnvVarSource{}}), none, none},
		"a port in the template":             {template(`{"containers": [{"name": "subscriber", "env": [{"name": "HEALTH_PORT", "value": "8081"}]}]}`), 8081, 8081},
		"a sidecar, which may have the port": {template(`{"containers": [{"name": "proxy", "image": "proxy"}]}`), none, none},
		"a sidecar, and a port": {template(`{"containers": [{"name": "proxy", "image": "proxy"},
			{"name": "subscriber", "env": [{"name": "HEALTH_PORT", "value": "8081"}]}]}`), 8081, 8081},
		"a sidecar of init":     {template(`{"initContainers": [{"name": "proxy", "image": "proxy", "restartPolicy": "Always"}]}`), none, none},
		"the node's network":    {template(`{"hostNetwork": true}`), none, none},
		"the template's probe":  {template(`{"containers": [{"name": "subscriber", "livenessProbe": {"tcpSocket": {"port": 1}}}]}`), none, 9091},
		"a probe that is null":  {template(`{"containers": [{"name": "subscriber", "readinessProbe": null}]}`), 9091, none},
		"other things in there": {template(`{"nodeSelector": {"a": "b"}}`), 9091, 9091},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			deployment, err := Deployment(plan.Of(channeltest.Channel(test.change)))
			require.NoError(t, err)
			container := deployment.Spec.Template.Spec.Containers[0]
			assert.Equal(t, "subscriber", *container.Name)
			if live := container.LivenessProbe; test.liveness == none {
				assert.True(t, live == nil || live.HTTPGet == nil, "liveness")
			} else {
				require.NotNil(t, live)
				assert.Equal(t, "/healthz", *live.HTTPGet.Path)
				assert.Equal(t, test.liveness, live.HTTPGet.Port.IntVal)
				assert.GreaterOrEqual(t, *live.PeriodSeconds**live.FailureThreshold, int32(60), "a restart costs what is in work")
			}
			if ready := container.ReadinessProbe; test.readiness == none {
				assert.Nil(t, ready)
			} else {
				require.NotNil(t, ready)
				assert.Equal(t, "/readyz", *ready.HTTPGet.Path)
				assert.Equal(t, test.readiness, ready.HTTPGet.Port.IntVal)
			}
		})
	}
}

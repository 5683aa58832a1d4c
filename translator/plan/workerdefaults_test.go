package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// An upgrade of the operator changes the image of those channels alone that name none, or that have
// the CRD's former default, which the API server stored.
func TestImageOfTheInstallation(t *testing.T) {
	defaults := WorkerDefaults{Image: "mirror.test:5000/jawaracloud/subscriber:1.2.3", PullPolicy: corev1.PullAlways, PullSecrets: []string{"registry"}}
	for name, test := range map[string]struct{ image, want string }{
		"none":                    {"", defaults.Image},
		"the former default":      {"jawaracloud/subscriber:latest", defaults.Image},
		"our own, of a version":   {"jawaracloud/subscriber:1.0.0", "jawaracloud/subscriber:1.0.0"},
		"our own, untagged":       {"jawaracloud/subscriber", "jawaracloud/subscriber"},
		"another registry's":      {"a.test/jawaracloud/subscriber:latest", "a.test/jawaracloud/subscriber:latest"},
		"the same as the default": {defaults.Image, defaults.Image},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Spec.Image = test.image })
			before := channel.DeepCopy()
			p := defaults.Plan(channel)
			assert.Equal(t, test.want, p.Image)
			assert.Equal(t, test.want, p.Channel.Spec.Image, "what reads the image of the channel reads the same")
			assert.Equal(t, before, channel, "the channel stays as it was read")
			if named := test.want != defaults.Image || test.image == defaults.Image; named {
				assert.Empty(t, p.PullPolicy)
				assert.Empty(t, p.PullSecrets)
				return
			}
			assert.Equal(t, corev1.PullAlways, p.PullPolicy)
			assert.Equal(t, []string{"registry"}, p.PullSecrets)
		})
	}
}

// The environment of a worker that is not ours tells nothing of what it does at once.
func TestConcurrencyIsThatOfTheInstallationsImage(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.Policy = v1.PolicyUtilization }), func(c *v1.PubSubChannel) {
		c.Spec.Image, c.Spec.Env = "", []corev1.EnvVar{{Name: "CONCURRENCY", Value: "8"}}
	})
	assert.EqualValues(t, 8, WorkerDefaults{Image: "mirror.test/jawaracloud/subscriber:1"}.Plan(channel).WorkerConcurrency)
	assert.EqualValues(t, 1, WorkerDefaults{Image: "acme/worker:1"}.Plan(channel).WorkerConcurrency)
}

func TestImageOfTheInstallationHasAVersion(t *testing.T) {
	for _, image := range []string{"", "a/b", "a/b:latest", "registry:5000/a/b", "a/b:"} {
		require.ErrorContains(t, WorkerDefaults{Image: image}.Check(), "--worker-image is \""+image+"\": it must have a tag other than latest", image)
	}
	for _, image := range []string{"a/b:1", "registry:5000/a/b:1.2.3", "a/b@sha256:00", "a/b:latest@sha256:00"} {
		require.NoError(t, WorkerDefaults{Image: image, PullPolicy: corev1.PullNever}.Check(), image)
	}
	require.ErrorContains(t, WorkerDefaults{Image: "a/b:1", PullPolicy: "Sometimes"}.Check(), "--worker-image-pull-policy is \"Sometimes\"")
}

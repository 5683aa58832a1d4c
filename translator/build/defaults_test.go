package build

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// As the API server has it; pkg/util/parsers/parsers_test.go of Kubernetes 1.36.
func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"root":                          corev1.PullAlways,
		"root:latest":                   corev1.PullAlways,
		"root:1.4":                      corev1.PullIfNotPresent,
		"registry.example:5000/a/root":  corev1.PullAlways,
		"registry.example:5000/root:v1": corev1.PullIfNotPresent,
		"root@sha256:aaaa":              corev1.PullIfNotPresent,
		"root:latest@sha256:aaaa":       corev1.PullAlways,
		"root:v1@sha256:aaaa":           corev1.PullIfNotPresent,
	} {
		assert.Equal(t, want, pullPolicyOf(image), image)
	}
	pod := podOf(t, channeltest.Templated(t, `{spec: {containers: [{name: subscriber, imagePullPolicy: Never}, {name: sidecar, image: "a:1"}]}}`), func(c *v1.PubSubChannel) {
		c.Spec.Image = "mine"
	})
	assert.Equal(t, corev1.PullNever, *pod.Spec.Containers[0].ImagePullPolicy, "the template's own")
	assert.Equal(t, corev1.PullIfNotPresent, *pod.Spec.Containers[1].ImagePullPolicy)
}

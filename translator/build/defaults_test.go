package build

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
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
	// The installation's image has the installation's policy, but for a template's.
	defaults := plan.WorkerDefaults{Image: "mirror.test/jawaracloud/subscriber:1", PullPolicy: corev1.PullAlways, PullSecrets: []string{"a", "b"}}
	for template, want := range map[string]corev1.PullPolicy{
		`{}`: corev1.PullAlways,
		`{spec: {containers: [{name: subscriber, imagePullPolicy: Never}]}}`:     corev1.PullNever,
		`{spec: {containers: [{name: subscriber, image: "acme/worker:1"}]}}`:     corev1.PullIfNotPresent,
		`{spec: {imagePullSecrets: [{name: b}, {name: c}], containers: []}}`:     corev1.PullAlways,
		`{spec: {containers: [{name: sidecar, image: "a:1"}], volumes: []}}`:     corev1.PullAlways,
		`{spec: {containers: [{name: subscriber, image: "acme/worker@sha:1"}]}}`: corev1.PullIfNotPresent,
	} {
		deployment, err := Deployment(defaults.Plan(channeltest.Channel(channeltest.Templated(t, template), func(c *v1.PubSubChannel) { c.Spec.Image = "" })))
		require.NoError(t, err)
		spec := deployment.Spec.Template.Spec
		at := slices.IndexFunc(spec.Containers, func(c corev1ac.ContainerApplyConfiguration) bool { return *c.Name == v1.SubscriberContainer })
		assert.Equal(t, want, *spec.Containers[at].ImagePullPolicy, template)
		var secrets []string
		for _, secret := range spec.ImagePullSecrets {
			secrets = append(secrets, *secret.Name)
		}
		assert.Subset(t, secrets, []string{"a", "b"}, template)
		assert.Len(t, slices.Compact(slices.Sorted(slices.Values(secrets))), len(secrets), "%s: none twice", template)
	}
	pod := podOf(t, channeltest.Templated(t, `{spec: {containers: [{name: subscriber, imagePullPolicy: Never}, {name: sidecar, image: "a:1"}]}}`), func(c *v1.PubSubChannel) {
		c.Spec.Image = "mine"
	})
	assert.Equal(t, corev1.PullNever, *pod.Spec.Containers[0].ImagePullPolicy, "the template's own")
	assert.Equal(t, corev1.PullIfNotPresent, *pod.Spec.Containers[1].ImagePullPolicy)
}

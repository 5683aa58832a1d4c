package autoscaling_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func TestWorkerConcurrency(t *testing.T) {
	fromSecret := corev1.EnvVar{Name: "CONCURRENCY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "k"}}}
	env := func(value string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			c.Spec.Env = []corev1.EnvVar{{Name: "OTHER", Value: "9"}, {Name: "CONCURRENCY", Value: value}}
		}
	}
	image := func(name string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) { c.Spec.Image = name }
	}
	elsewhere := func(c *v1.PubSubChannel) { c.Spec.Env = []corev1.EnvVar{fromSecret} }
	given := channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.WorkerConcurrency = 7 })
	template := func(manifest string) func(*v1.PubSubChannel) { return channeltest.Templated(t, manifest) }
	type changes []func(*v1.PubSubChannel)
	for name, test := range map[string]struct {
		changes changes
		want    int32
		err     string // empty: none
	}{
		"nothing said":                       {nil, 1, ""},
		"in env":                             {changes{env("4")}, 4, ""},
		"in env, of a pinned version":        {changes{env("4"), image("jawaracloud/subscriber:v1.2.3")}, 4, ""},
		"in env, of another registry":        {changes{env("4"), image("registry.example.com:5000/mirror/jawaracloud/subscriber:v1@sha256:00")}, 4, ""},
		"in env, of a registry with a port":  {changes{env("4"), image("localhost:5000/jawaracloud/subscriber")}, 4, ""},
		"in env of another image":            {changes{env("4"), image("mine:1")}, 1, ""},
		"in env of an image like ours":       {changes{env("4"), image("notjawaracloud/subscriber")}, 1, ""},
		"empty in env, which counts as none": {changes{env("")}, 1, ""},
		"a word in env":                      {changes{env("many")}, 1, `CONCURRENCY, which is "many" in spec.env: make it a whole number from 1 to 1000`},
		"too much in env":                    {changes{env("1001")}, 1, `"1001"`},
		"a reference in env":                 {changes{env("$(OTHER)")}, 1, `"$(OTHER)" in spec.env`},
		"from a Secret":                      {changes{elsewhere}, 1, "valueFrom in spec.env) and is not read: set spec.autoScaling.workerConcurrency"},
		"from a Secret, of another image":    {changes{elsewhere, image("mine:1")}, 1, ""},
		"from a Secret, and given":           {changes{elsewhere, given}, 7, ""},
		"given, over env":                    {changes{env("4"), given}, 7, ""},
		"given, of another image":            {changes{image("mine:1"), given}, 7, ""},
		"in the template":                    {changes{env("4"), template(`spec: {containers: [{name: subscriber, env: [{name: CONCURRENCY, value: "5"}]}]}`)}, 5, ""},
		"in a sidecar of the template":       {changes{env("4"), template(`spec: {containers: [{name: other, image: mine, env: [{name: CONCURRENCY, value: "5"}]}]}`)}, 4, ""},
		"from a Secret in the template":      {changes{env("4"), template(`spec: {containers: [{name: subscriber, env: [{name: CONCURRENCY, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}`)}, 1, "valueFrom in spec.template"},
		"the template has another image":     {changes{env("4"), template(`spec: {containers: [{name: subscriber, image: "mine:1"}]}`)}, 1, ""},
		"the template has our image":         {changes{image("mine:1"), env("4"), template(`spec: {containers: [{name: subscriber, image: "jawaracloud/subscriber:v2"}]}`)}, 4, ""},
		"a template that can't be read":      {changes{env("4"), template(`spec: {containers: 5}`)}, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := autoscaling.WorkerConcurrency(&channeltest.Channel(test.changes...).Spec)
			assert.Equal(t, test.want, got)
			if test.err == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.err)
		})
	}
}

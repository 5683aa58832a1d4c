package decide

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

func TestChangesAreCheckedAsTheAPIDoes(t *testing.T) {
	pubSub := func(c *v1.PubSubChannel) { c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypePubSub} }
	scheduled := func(c *v1.PubSubChannel) {
		c.Spec.AutoScaling.Schedules = []v1.Schedule{{Name: "day", Timezone: "Europe/Berlin", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 5}}
	}
	configured := func(c *v1.PubSubChannel) {
		c.Spec.AutoScaling.Policy, c.Spec.AutoScaling.Utilization = v1.PolicyUtilization, &v1.UtilizationSpec{Target: 75}
	}
	none := func(*v1.PubSubChannel) {}
	for name, test := range map[string]struct {
		change  func(*v1.PubSubChannel)
		changes map[string]any
		words   string // of the error; empty: none
	}{
		"an unknown field":            {none, map[string]any{"targetDepth": 5}, "spec.autoScaling.targetDepth does not change a decision, or there is no such field: name one of activationQueueDepth, "},
		"a field that KEDA has":       {none, map[string]any{"fallback": map[string]any{"replicas": 5}}, "spec.autoScaling.fallback.replicas does not change a decision"},
		"too little":                  {none, map[string]any{"targetQueueDepth": 0}, "spec.autoScaling.targetQueueDepth is 0: it must be a whole number from 1 to 1000000000"},
		"a fraction":                  {none, map[string]any{"targetQueueDepth": 1.5}, "spec.autoScaling.targetQueueDepth is 1.5: it must be a whole number"},
		"a word":                      {none, map[string]any{"maxReplicas": "ten"}, `spec.autoScaling.maxReplicas is "ten": it must be a whole number`},
		"two faults":                  {none, map[string]any{"maxReplicas": 0, "policy": "Best"}, `spec.autoScaling.policy is "Best": it must be Threshold or Utilization`},
		"no truth value":              {none, map[string]any{"enabled": "yes"}, `spec.autoScaling.enabled is "yes": it must be true or false`},
		"limits the wrong way round":  {none, map[string]any{"minReplicas": 11}, "minReplicas is 11, greater than maxReplicas 10: lower minReplicas or raise maxReplicas"},
		"a band without an inside":    {none, map[string]any{"scaleUpThreshold": 50}, "scaleDownThreshold is 50, not less than scaleUpThreshold 50"},
		"a step of 0":                 {none, map[string]any{"maxScaleUpStep": "0%"}, `spec.autoScaling.maxScaleUpStep is "0%": it must be a number from 1 to 1000000, or a percentage from 1% to 9999%`},
		"more than all at once":       {none, map[string]any{"maxScaleDownStep": "101%"}, "a percentage from 1% to 100%"},
		"a step, a number":            {none, map[string]any{"maxScaleDownStep": 3.0}, ""},
		"a step, a percentage":        {none, map[string]any{"maxScaleUpStep": "9999%"}, ""},
		"a window too short":          {none, map[string]any{"policy": "Utilization", "utilization.window": "14s"}, `spec.autoScaling.utilization.window is "14s": it must be a duration from 15s to 1h0m0s`},
		"a window without a unit":     {none, map[string]any{"policy": "Utilization", "utilization.window": "60"}, "it must be a duration"},
		"a target out of order":       {none, map[string]any{"policy": "Utilization", "utilization.target": 95}, "utilization has scaleDown 70, target 95 and scaleUp 90"},
		"utilization of Threshold":    {none, map[string]any{"utilization.target": 75}, "set policy to Utilization, or utilization to null"},
		"Threshold with utilization":  {configured, map[string]any{"policy": "Threshold"}, "set policy to Utilization, or utilization to null"},
		"Threshold without":           {configured, map[string]any{"policy": "Threshold", "utilization": nil}, ""},
		"one of Utilization's":        {configured, map[string]any{"utilization": map[string]any{"scaleUp": 85}}, ""},
		"none to nothing":             {none, map[string]any{"utilization.window": nil}, ""},
		"a schedule's minReplicas":    {scheduled, map[string]any{"maxReplicas": 4}, "minReplicas of the schedule day is 5, greater than maxReplicas 4: raise maxReplicas"},
		"Pub/Sub asleep":              {pubSub, map[string]any{"minReplicas": 0}, "it must be at least 1 for a queue of type PubSub"},
		"Utilization without work":    {pubSub, map[string]any{"policy": "Utilization"}, "policy is Utilization, which needs work in flight"},
		"Pub/Sub with others changed": {pubSub, map[string]any{"maxReplicas": 20}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Explain(decided(test.change), Overrides{Changes: test.changes}, now)
			if test.words == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.words)
		})
	}
}

// The numbers here are the CRD's, and what is not here is not the policy's.
func TestTheRulesAreTheCRDs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "charts", "pubsub-operator", "files", "crds", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	require.NoError(t, yaml.Unmarshal(data, crd))
	auto := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["autoScaling"]
	fields := maps.Clone(auto.Properties)
	for name, field := range auto.Properties["utilization"].Properties {
		fields["utilization."+name] = field
	}
	for _, other := range []string{"utilization", "schedules", "triggers", "hpaName", "fallback"} { // KEDA's, or told otherwise
		require.Contains(t, fields, other)
		delete(fields, other)
	}
	assert.Equal(t, Settable(), slices.Sorted(maps.Keys(fields)))
	for name, field := range fields {
		switch {
		case field.Minimum != nil:
			least, most := int64(*field.Minimum), int64(*field.Maximum)
			for value, valid := range map[int64]bool{least - 1: false, least: true, most: true, most + 1: false} {
				assert.Equal(t, valid, check(name, value) == nil, "%s: %d", name, value)
			}
		case len(field.Enum) > 0:
			for _, value := range field.Enum {
				assert.NoError(t, check(name, strings.Trim(string(value.Raw), `"`)))
			}
		case field.XIntOrString, name == "utilization.window":
			assert.NotEmpty(t, field.XValidations, "%s: its rule is repeated in this package", name)
		default:
			assert.Equal(t, "boolean", field.Type, name)
		}
	}
}

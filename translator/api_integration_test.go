//go:build integration

package translator

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// theirs are the fields whose types are Kubernetes' or KEDA's own.
var theirs = []string{"spec.resources", "spec.env", "spec.template.spec", "spec.autoScaling.triggers", "spec.autoScaling.fallback", "status.conditions"}

// Every field has an example in its description, and the API server takes each of them.
func TestDocumentedFields(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(channelCRDs, "pubsub.jawaracloud.io_pubsubchannels.yaml"))
	require.NoError(t, err)
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema schemaProps }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &crd))
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	s := sharedServer(t)
	strict := client.WithFieldValidation(s, "Strict")
	namespace := s.namespace(t)
	fields := 0
	for _, root := range []string{"spec", "status"} {
		examples(t, root, schema.Properties[root], func(path string, example map[string]any) {
			fields++
			channel := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"channelName": "orders"}}}
			channel.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannel"))
			channel.SetNamespace(namespace)
			channel.SetName("example")
			put(channel.Object, strings.Split(path, "."), example)
			for name := range example {
				complete(t, channel.Object, path+"."+name)
			}
			assert.NoError(t, strict.Create(t.Context(), channel, client.DryRunAll), "%s: %v", path, example)
		})
	}
	assert.Greater(t, fields, 40)
}

// schemaProps is what is looked at of a field's schema.
type schemaProps struct {
	Description string
	Properties  map[string]schemaProps
	Items       *schemaProps
}

// examples finds the example of each field at and below a path.
func examples(t *testing.T, path string, schema schemaProps, found func(path string, example map[string]any)) {
	t.Helper()
	if slices.Contains(theirs, path) {
		return
	}
	properties := schema.Properties
	if schema.Items != nil {
		properties = schema.Items.Properties
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := properties[name]
		_, text, ok := strings.Cut(property.Description, "Example: ")
		if assert.True(t, ok, "%s.%s has no example", path, name) {
			example := map[string]any{}
			require.NoError(t, yaml.Unmarshal([]byte(text), &example), "%s.%s: %s", path, name, text)
			assert.Equal(t, []string{name}, slices.Collect(maps.Keys(example)), path)
			found(path, example)
		}
		examples(t, path+"."+name, property, found)
	}
}

// alongside are the fields without which others say nothing, by their paths.
var alongside = map[string]string{
	"spec.queue.preset":                     "{image: mine}",
	"spec.queue.keyPrefix":                  "{image: mine, queue: {preset: BullMQ}}",
	"spec.queue.prioritySteps":              "{image: mine, queue: {preset: Celery}}",
	"spec.queue.prioritySeparator":          "{image: mine, queue: {preset: Celery}}",
	"spec.queue.inFlight":                   "{image: mine, queue: {preset: Celery}}",
	"spec.queue.scheduled":                  "{image: mine, queue: {preset: RQ}}",
	"spec.autoScaling.utilization":          "{autoScaling: {policy: Utilization}}",
	"spec.redis.sentinelMaster":             "{redis: {mode: Sentinel}}",
	"spec.redis.usernameSecret":             "{redis: {passwordSecret: {name: redis-auth}}}",
	"spec.redis.sentinelUsernameSecret":     "{redis: {mode: Sentinel, sentinelMaster: m, sentinelPasswordSecret: {name: sentinel-auth}}}",
	"spec.redis.sentinelPasswordSecret":     "{redis: {mode: Sentinel, sentinelMaster: m}}",
	"spec.redis.sentinelTLS":                "{redis: {mode: Sentinel, sentinelMaster: m, tls: {}}}",
	"spec.redis.tls.enabled":                "{redis: {mode: Sentinel, sentinelMaster: m, sentinelTLS: true}}",
	"spec.redis.usernameSecret.key":         "{redis: {usernameSecret: {name: redis-auth}}}",
	"spec.redis.passwordSecret.key":         "{redis: {passwordSecret: {name: redis-auth}}}",
	"spec.redis.sentinelUsernameSecret.key": "{redis: {sentinelUsernameSecret: {name: sentinel-auth}}}",
	"spec.redis.sentinelPasswordSecret.key": "{redis: {sentinelPasswordSecret: {name: sentinel-auth}}}",
	"spec.redis.tls.caSecret.key":           "{redis: {tls: {caSecret: {name: redis-ca}}}}",
}

// complete adds what the field at a path, and those that it is in, are of no use without.
func complete(t *testing.T, object map[string]any, path string) {
	t.Helper()
	for end := range len(path) + 1 {
		if end < len(path) && path[end] != '.' {
			continue
		}
		if more := alongside[path[:end]]; more != "" {
			fields := map[string]any{}
			require.NoError(t, yaml.Unmarshal([]byte(more), &fields))
			merge(object["spec"].(map[string]any), fields)
		}
	}
}

// merge adds the fields that are not there.
func merge(object, fields map[string]any) {
	for name, value := range fields {
		inner, isObject := value.(map[string]any)
		present, there := object[name].(map[string]any)
		switch {
		case isObject && there:
			merge(present, inner)
		case object[name] == nil:
			object[name] = value
		}
	}
}

// put sets fields of the object at a path; those of a schedule, in one that is complete.
func put(object map[string]any, path []string, fields map[string]any) {
	for _, name := range path {
		if name == "schedules" {
			schedule := map[string]any{"name": "s", "timezone": "UTC", "start": "0 1 * * *", "end": "0 2 * * *", "minReplicas": int64(1)}
			object[name] = []any{schedule}
			object = schedule
			continue
		}
		next, ok := object[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[name] = next
		}
		object = next
	}
	maps.Copy(object, fields)
}

//go:build integration

package translator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// bounded is a field of the CRD whose Go type holds less than JSON does.
type bounded struct {
	path []string // "[]" is an item, "{}" a value of a map
	kind string   // integer, intOrString, quantity or time
}

func (b bounded) String() string { return strings.Join(b.path, ".") + " (" + b.kind + ")" }

// crdSchema is that of the generated CRD.
func crdSchema(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(channelCRDs, "pubsub.jawaracloud.io_pubsubchannels.yaml"))
	require.NoError(t, err)
	var crd unstructured.Unstructured
	require.NoError(t, yaml.Unmarshal(data, &crd.Object))
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	require.NoError(t, err)
	require.Len(t, versions, 1)
	schema, _, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
	require.NoError(t, err)
	return schema
}

// boundedFields walks a schema down to every such field.
func boundedFields(schema map[string]any, path ...string) (found []bounded) {
	at := func(more string) []string { return append(slices.Clone(path), more) }
	text, _ := schema["pattern"].(string)
	switch {
	case schema["x-kubernetes-int-or-string"] == true && strings.Contains(text, "numkMGTPE"):
		found = append(found, bounded{path, "quantity"})
	case schema["x-kubernetes-int-or-string"] == true:
		found = append(found, bounded{path, "intOrString"})
	case schema["type"] == "integer", schema["type"] == "number":
		found = append(found, bounded{path, "integer"})
	case schema["format"] == "date-time":
		found = append(found, bounded{path, "time"})
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		found = append(found, boundedFields(properties[name].(map[string]any), at(name)...)...)
	}
	if items, ok := schema["items"].(map[string]any); ok {
		found = append(found, boundedFields(items, at("[]")...)...)
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		found = append(found, boundedFields(values, at("{}")...)...)
	}
	return found
}

// besides is what has to be there beside a field for the channel to be legal: of the object
// that the path, as far as it is given, leads to.
var besides = map[string]map[string]any{
	"spec":                                   {"channelName": "messages", "image": "mine"},
	"spec.queue":                             {"preset": "Celery"},
	"spec.autoScaling":                       {"maxReplicas": 1000000, "scaleUpThreshold": 1000, "scaleDownThreshold": 1, "policy": "Utilization"},
	"spec.autoScaling.utilization":           {"target": 80, "scaleUp": 100, "scaleDown": 1},
	"spec.autoScaling.fallback":              {"failureThreshold": 1, "replicas": 1},
	"spec.autoScaling.schedules.[]":          {"name": "office", "timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 1},
	"spec.env.[]":                            {"name": "A"},
	"spec.env.[].valueFrom.resourceFieldRef": {"resource": "limits.cpu"},
	"status.conditions.[]":                   {"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-31T12:00:00Z"},
}

// with is an object that has nothing but a value at a path, and what has to be beside it.
func with(path []string, value any, at ...string) any {
	if len(path) == 0 {
		return value
	}
	inside := with(path[1:], value, append(slices.Clone(at), path[0])...)
	if path[0] == "[]" {
		return []any{inside}
	}
	object := maps.Clone(besides[strings.Join(at, ".")])
	if object == nil {
		object = map[string]any{}
	}
	name := path[0]
	if name == "{}" {
		name = "cpu"
	}
	object[name] = inside
	return object
}

// Whatever the API server lets into a channel, a v1.PubSubChannel can hold: of every number,
// quantity and time in the CRD, what is just beyond its Go type, and what is written so that
// a pattern may take it for one.
func TestEveryFieldIsBounded(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t)
	numbers := []string{"2147483648", "-2147483649", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e19", "1e300", "1.5", "0.1", "1e3"}
	values := map[string][]string{
		"integer":     numbers,
		"intOrString": append(numbers, `"99999999999%"`, `"99999999999"`, `"1e3%"`, `"٣%"`),
		"quantity": append(numbers, `"1e1.5"`, `"1e.5"`, `"1e"`, `"1."`, `"."`, `""`, `"1e99999999999"`, `"1e-99999999999"`, `"1E+9999"`, `"-1e999"`, `"1e9223372036854775808"`, `"1Ei"`,
			`"`+strings.Repeat("9", 70)+`"`, `"0.`+strings.Repeat("9", 70)+`"`, `"1 "`, `"٣"`, `"1\n"`, `"1Kim"`),
		"time": {`"2026-01-31t12:00:00z"`, `"2026-01-31 12:00:00Z"`, `"2026-01-31T12:00:00"`, `"2026-01-31T24:00:00Z"`, `"2026-01-31T23:59:60Z"`, `"2026-02-30T12:00:00Z"`, `"20260131T120000Z"`, `"2026-01-31T12:00:00+0100"`, `"2026-01-31T12:00:00.1234567891Z"`, `"99999-01-31T12:00:00Z"`},
	}
	legal := map[string]string{"integer": "2", "intOrString": `"20%"`, "quantity": `"1"`, "time": `"2026-01-31T12:00:00Z"`}
	legalOf := map[string]string{"spec.autoScaling.utilization.scaleUp": "90"} // 2 is too little there
	// patch tries a merge patch, and returns the channel as it would be.
	patch := func(t *testing.T, field bounded, value string) ([]byte, error) {
		t.Helper()
		data, err := json.Marshal(with(field.path, json.RawMessage(value)))
		require.NoError(t, err)
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannel"))
		u.SetNamespace(channel.Namespace)
		u.SetName(channel.Name)
		if field.path[0] == "status" {
			err = s.Status().Patch(t.Context(), u, client.RawPatch(types.MergePatchType, data), &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{"All"}}})
		} else {
			err = s.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, data), client.DryRunAll)
		}
		if err != nil {
			return nil, err
		}
		data, err = u.MarshalJSON()
		require.NoError(t, err)
		return data, nil
	}
	fields := boundedFields(crdSchema(t))
	require.GreaterOrEqual(t, len(fields), 25, "the walk finds the fields")
	for _, field := range fields {
		t.Run(field.String(), func(t *testing.T) {
			got, err := patch(t, field, cmp.Or(legalOf[strings.Join(field.path, ".")], legal[field.kind]))
			require.NoError(t, err, "the test reaches the field")
			require.Contains(t, string(got), fmt.Sprintf("%q", strings.NewReplacer("{}", "cpu").Replace(lastName(field.path))))
			for _, value := range values[field.kind] {
				got, err := patch(t, field, value)
				if err != nil {
					assert.Regexp(t, "nvalid|must be|cannot unmarshal|cannot parse", err.Error(), value)
					continue
				}
				read, err := reading.Channel(got)
				require.NoError(t, err)
				assert.Empty(t, reading.Unreadable(read), "the API server lets %s through", value)
			}
		})
	}
}

func lastName(path []string) string {
	name := path[len(path)-1]
	if name == "[]" {
		return path[len(path)-2]
	}
	return name
}

//go:build integration

package translator

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// The tests run on several versions of Kubernetes (make kubernetes-test). What one of them
// has not, the API server is asked for, and a test that does without it says so in the form
// of lacks, which that command gathers.

// lacks is how a test says what it does without.
func lacks(t *testing.T, config *rest.Config, what string) {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	version, err := client.ServerVersion()
	require.NoError(t, err)
	t.Logf("Kubernetes %s lacks %s", strings.TrimPrefix(version.GitVersion, "v"), what)
}

// notKept are the parts of a pod's spec, as YAML, that the API server does not keep in a
// Deployment: it drops them, because their feature is off there. An error is that it knows no
// such fields.
func notKept(t *testing.T, c client.Client, namespace, pod string) ([]string, error) {
	t.Helper()
	var spec map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(pod), &spec))
	containers, _ := spec["containers"].([]any)
	if len(containers) == 0 {
		containers = []any{map[string]any{"name": "probe"}}
	}
	containers[0].(map[string]any)["image"] = "probe:1"
	spec["containers"] = containers
	labels := map[string]any{"app": "probe"}
	deployment := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "probe", "namespace": namespace},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": spec},
		},
	}}
	sent := deployment.DeepCopy().Object["spec"]
	if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(deployment), client.FieldOwner("probe"), client.DryRunAll); err != nil {
		return nil, err
	}
	return ownership.Differences(sent, deployment.Object["spec"], ""), nil
}

// gates are those of these feature gates that the API server's program knows, as a flag has
// them.
func gates(t *testing.T, names ...string) string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-apiserver"), "--help").Output()
	require.NoError(t, err)
	var known []string
	for _, name := range names {
		if regexp.MustCompile(`\b` + name + `=true\|false`).Match(help) {
			known = append(known, name+"=true")
		}
	}
	return strings.Join(known, ",")
}

// podSchema is what the API server's OpenAPI document says of pods.
type podSchema map[string]any

func podSchemaOf(t *testing.T, config *rest.Config) podSchema {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	data, err := client.RESTClient().Get().AbsPath("/openapi/v3/apis/apps/v1").Do(t.Context()).Raw()
	require.NoError(t, err)
	var document struct {
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(data, &document))
	require.Contains(t, document.Components.Schemas, "io.k8s.api.core.v1.PodSpec")
	return document.Components.Schemas
}

// strip takes out of a value what the type that it is of has not, and returns the paths of
// what it took.
func (s podSchema) strip(value any, of string) []string {
	return s.stripAt(value, map[string]any{"$ref": "#/components/schemas/io.k8s.api.core.v1." + of}, "")
}

func (s podSchema) stripAt(value any, schema map[string]any, at string) (taken []string) {
	if all, ok := schema["allOf"].([]any); ok && len(all) == 1 {
		schema = all[0].(map[string]any)
	}
	if ref, ok := schema["$ref"].(string); ok {
		schema, _ = s[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	}
	switch value := value.(type) {
	case map[string]any:
		properties, ok := schema["properties"].(map[string]any)
		if !ok {
			return nil // a map, or a value of its own form
		}
		for key, child := range value {
			path := strings.TrimPrefix(at+"."+key, ".")
			property, known := properties[key].(map[string]any)
			if !known {
				delete(value, key)
				taken = append(taken, path)
				continue
			}
			taken = append(taken, s.stripAt(child, property, path)...)
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for _, item := range value {
			taken = append(taken, s.stripAt(item, items, at+"[]")...)
		}
	}
	slices.Sort(taken)
	return slices.Compact(taken)
}

// Where a test says what an API server has not, it asks rightly: what there is in each of the
// versions that are tested, and what there is in none.
func TestTheAPIServerIsAskedWhatItHas(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	for _, pod := range []string{`{nodeSelector: {a: b}}`, `{containers: [{name: probe, env: [{name: A, value: b}]}]}`} {
		parts, err := notKept(t, s, namespace, pod)
		require.NoError(t, err)
		require.Empty(t, parts, pod)
	}
	_, err := notKept(t, s, namespace, `{containers: [{name: probe, colour: red}]}`)
	require.ErrorContains(t, err, "colour")
	fields := map[string]any{"nodeSelector": map[string]any{"a": "b"}, "colour": "red", "volumes": []any{map[string]any{"name": "v", "colour": "red"}}}
	require.Equal(t, []string{"colour", "volumes[].colour"}, podSchemaOf(t, s.config).strip(fields, "PodSpec"))
	require.Equal(t, map[string]any{"nodeSelector": map[string]any{"a": "b"}, "volumes": []any{map[string]any{"name": "v"}}}, fields)
	require.Equal(t, "APIServerIdentity=true", gates(t, "APIServerIdentity", "Nonsense"))
}

package manifests

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// whole are values that templates take as a whole: what is in them is Kubernetes' own.
var whole = regexp.MustCompile(`(^|\.)(resources|podSecurityContext|containerSecurityContext|labels|annotations)$`)

// onlyInACluster are values of which nothing is rendered without a cluster. A render test with a cluster that is
// played holds each; the file is where.
var onlyInACluster = map[string]string{"keda.required": "checks_test.yaml"}

// random is what differs from one render to the next.
var random = regexp.MustCompile(`(?m)^( *(?:ca\.crt|tls\.crt|tls\.key|checksum/[a-z]+): ).*$`)

// Some template uses each value of values.yaml, and some test or profile sets it: without the value, what is
// rendered of those values differs.
func TestEveryValueIsUsedAndTested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	require.NoError(t, err)
	var defaults map[string]any
	require.NoError(t, yaml.Unmarshal(text, &defaults))
	sets := append(setsOfProfiles(t), setsOfTests(t)...)
	for _, path := range leaves("", defaults) {
		t.Run(path, func(t *testing.T) {
			if file, ok := onlyInACluster[path]; ok {
				text, err := os.ReadFile(filepath.Join(chart, "tests", file))
				require.NoError(t, err)
				require.Contains(t, string(text), path)
				return
			}
			keys, tested := strings.Split(path, "."), false
			for _, set := range sets {
				value, there := at(set, keys)
				if !there || equal(value, valueAt(defaults, keys)) {
					continue
				}
				tested = true
				with := render(t, set)
				without := clone(t, set)
				remove(without, keys)
				if with != render(t, without) {
					return
				}
			}
			if !tested {
				t.Fatalf("no test in %s/tests and no profile in %s/ci sets %s to anything but its default: add one", chart, chart, path)
			}
			t.Fatalf("tests set %s, but what is rendered is the same without it: no template uses it", path)
		})
	}
}

// leaves are the paths of all values, in their order.
func leaves(prefix string, values map[string]any) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := strings.TrimPrefix(prefix+"."+key, ".")
		if inner, ok := values[key].(map[string]any); ok && len(inner) > 0 && !whole.MatchString(path) {
			all = append(all, leaves(path, inner)...)
			continue
		}
		all = append(all, path)
	}
	return all
}

func setsOfProfiles(t *testing.T) []map[string]any {
	t.Helper()
	var sets []map[string]any
	for _, file := range profiles(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var values map[string]any
		require.NoError(t, yaml.Unmarshal(text, &values))
		sets = append(sets, values)
	}
	return sets
}

// setsOfTests are the values of each test of helm-unittest, whose keys are paths.
func setsOfTests(t *testing.T) []map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "tests", "*_test.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var sets []map[string]any
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var suite struct {
			Set   map[string]any
			Tests []struct{ Set map[string]any }
		}
		require.NoError(t, yaml.Unmarshal(text, &suite), file)
		for _, test := range suite.Tests {
			values := map[string]any{}
			for _, set := range []map[string]any{suite.Set, test.Set} {
				for _, path := range slices.Sorted(maps.Keys(set)) {
					put(values, strings.Split(path, "."), set[path])
				}
			}
			if len(values) > 0 {
				sets = append(sets, values)
			}
		}
	}
	return sets
}

// renders are what the chart made of values: many values are in the same test.
var renders = map[string]string{}

// render is what the chart makes of values, or why it refuses them.
func render(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(values)
	require.NoError(t, err)
	if out, ok := renders[string(text)]; ok {
		return out
	}
	command := exec.CommandContext(t.Context(), *helm, "template", "pubsub-operator", chart, "--namespace", "pubsub-system",
		"--kube-version", "1.36.0", "--values", "-")
	command.Stdin = strings.NewReader(string(text))
	out, _ := command.CombinedOutput() // a refusal is an answer, too
	renders[string(text)] = random.ReplaceAllString(string(out), "$1")
	return renders[string(text)]
}

func at(values map[string]any, keys []string) (any, bool) {
	value, ok := values[keys[0]]
	if !ok || len(keys) == 1 {
		return value, ok
	}
	inner, ok := value.(map[string]any)
	if !ok {
		return nil, false
	}
	return at(inner, keys[1:])
}

func valueAt(values map[string]any, keys []string) any {
	value, _ := at(values, keys)
	return value
}

// put sets a value; a map is put into one that is there.
func put(values map[string]any, keys []string, value any) {
	if given, ok := value.(map[string]any); ok && len(keys) > 0 {
		if there, ok := at(values, keys); ok {
			if _, ok := there.(map[string]any); ok {
				for key, inner := range given {
					put(values, append(slices.Clone(keys), key), inner)
				}
				return
			}
		}
	}
	if len(keys) == 1 {
		values[keys[0]] = value
		return
	}
	inner, ok := values[keys[0]].(map[string]any)
	if !ok {
		inner = map[string]any{}
		values[keys[0]] = inner
	}
	put(inner, keys[1:], value)
}

func remove(values map[string]any, keys []string) {
	if inner, ok := values[keys[0]].(map[string]any); ok && len(keys) > 1 {
		remove(inner, keys[1:])
		return
	}
	delete(values, keys[0])
}

func clone(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(values)
	require.NoError(t, err)
	var copied map[string]any
	require.NoError(t, json.Unmarshal(text, &copied))
	return copied
}

func equal(a, b any) bool { return assert.ObjectsAreEqual(a, b) }

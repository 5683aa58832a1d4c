//go:build integration

package translator

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// specFrom reads a channel's spec.
func specFrom(t *testing.T, manifest string) (spec v1.PubSubChannelSpec) {
	t.Helper()
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &spec))
	return spec
}

// maker makes channels: examples that together have every field, with random values, and
// with random parts cut out.
type maker struct {
	rand     *rand.Rand
	examples []string
	known    podSchema // what of a pod the API server has
}

func newMaker(t *testing.T, seed, stream uint64) *maker {
	t.Helper()
	m := &maker{rand: rand.New(rand.NewPCG(seed, stream))}
	data, err := os.ReadFile(filepath.Join("testdata", "pairs.yaml"))
	require.NoError(t, err)
	m.examples = strings.Split(string(data), "\n---\n")
	return m
}

// keepTo has the maker make nothing that the API server has not, and returns which paths of a
// channel those are.
func (m *maker) keepTo(t *testing.T, known podSchema) (unknown []string) {
	t.Helper()
	m.known = known
	for _, example := range m.examples[1:] {
		fields := map[string]any{}
		require.NoError(t, yaml.Unmarshal([]byte(m.examples[0]+"\n"+example), &fields))
		unknown = append(unknown, m.strip(fields)...)
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// strip takes out what the API server has not, and an item of a list that is nothing without.
func (m *maker) strip(fields map[string]any) (paths []string) {
	template, _ := fields["template"].(map[string]any)
	for _, part := range []struct {
		value    any
		of, path string
	}{{template["spec"], "PodSpec", "template.spec."}, {map[string]any{"env": fields["env"], "resources": fields["resources"]}, "Container", ""}} {
		for _, path := range m.known.strip(part.value, part.of) {
			paths = append(paths, part.path+path)
		}
	}
	if slices.Contains(paths, "template.spec.containers[].restartPolicyRules") { // what these rules are for
		for _, container := range template["spec"].(map[string]any)["containers"].([]any) {
			delete(container.(map[string]any), "restartPolicy")
		}
		paths = append(paths, "template.spec.containers[].restartPolicy")
	}
	m.without(fields, func(key string, value any) bool {
		object, ok := value.(map[string]any)
		from, isSource := object["valueFrom"].(map[string]any)
		return ok && key == "" && (len(object) == 0 || isSource && len(from) == 0)
	})
	return paths
}

// tokens stand for one of two values.
var tokens = map[string][]string{"ANY": {"1", "2"}, "TAG": {"1", "latest"}}

func (m *maker) make(t *testing.T) *wanted {
	example := m.examples[0] + "\n" + m.examples[1+m.rand.IntN(len(m.examples)-1)]
	for token, values := range tokens { // each a value of its own
		parts := strings.Split(example, token)
		for i := range parts[1:] {
			parts[i] += values[m.rand.IntN(len(values))]
		}
		example = strings.Join(parts, "")
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal([]byte(example), &fields); err != nil {
		t.Errorf("testdata/pairs.yaml: %v", err)
	}
	m.strip(fields)
	m.cut(fields, 0.25)
	for range m.rand.IntN(5) {
		m.cutOne(fields)
	}
	m.repair(fields)
	data, err := json.Marshal(fields)
	if err != nil {
		t.Errorf("testdata/pairs.yaml: %v", err)
	}
	w := &wanted{}
	if err := json.Unmarshal(data, &w.spec); err != nil {
		t.Errorf("testdata/pairs.yaml: %v", err)
	}
	if m.rand.IntN(2) == 0 {
		w.scaler.TLS, w.scaler.AuthenticationRef = true, "pubsub-scaler"
	}
	if m.rand.IntN(4) == 0 {
		w.annotations = map[string]string{"autoscaling.keda.sh/paused-replicas": "3"}
	}
	return w
}

// cut takes fields out of an object, and of those of its fields that are objects.
func (m *maker) cut(fields map[string]any, share float64) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if m.rand.Float64() < share {
			delete(fields, key)
			continue
		}
		if child, ok := fields[key].(map[string]any); ok && (key == "template" || key == "spec") {
			m.cut(child, share)
		}
	}
}

// cutOne takes one thing out, anywhere.
func (m *maker) cutOne(value any) (cut bool) {
	switch value := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(value))
		if len(keys) == 0 {
			return false
		}
		key := keys[m.rand.IntN(len(keys))]
		if m.rand.IntN(4) == 0 || !m.cutOne(value[key]) {
			delete(value, key)
		}
		return true
	case []any:
		return len(value) > 0 && m.cutOne(value[m.rand.IntN(len(value))])
	default:
		return false
	}
}

// repair takes out what is of no use without what was cut out.
func (m *maker) repair(fields map[string]any) {
	fields["channelName"] = cmp.Or[any](fields["channelName"], "m")
	if auto, ok := fields["autoScaling"].(map[string]any); ok {
		auto["enabled"] = m.rand.IntN(4) > 0
		if queue, _ := fields["queue"].(map[string]any); queue["type"] == "SortedSet" {
			delete(auto, "policy") // which such a queue may not have
		}
		if auto["policy"] == nil {
			delete(auto, "utilization")
		}
	}
	if m.rand.IntN(4) > 0 {
		delete(fields, "paused")
	}
	if redis, _ := fields["redis"].(map[string]any); redis["mode"] == nil {
		delete(fields, "redisAddress")
	}
	if queue, ok := fields["queue"].(map[string]any); ok && queue["type"] != "Stream" {
		fields["image"] = cmp.Or[any](fields["image"], "mine")
	}
	template, _ := fields["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	volumes, _ := pod["volumes"].([]any)
	scratch := slices.ContainsFunc(volumes, func(v any) bool { return v.(map[string]any)["name"] == "scratch" })
	m.without(fields, func(key string, value any) bool {
		inner, _ := value.(map[string]any)
		from, _ := inner["valueFrom"].(map[string]any)
		return !scratch && (key == "volumeMounts" || from["fileKeyRef"] != nil) || pod["resourceClaims"] == nil && key == "claims"
	})
}

// without takes out fields, and items of lists, whose key is empty.
func (m *maker) without(value any, drop func(key string, value any) bool) any {
	switch value := value.(type) {
	case map[string]any:
		for key, child := range value {
			if value[key] = m.without(child, drop); drop(key, child) {
				delete(value, key)
			}
		}
	case []any:
		value = slices.DeleteFunc(value, func(item any) bool { return drop("", item) })
		for i := range value {
			value[i] = m.without(value[i], drop)
		}
		return value
	}
	return value
}

// valuesOf are a spec's values in JSON, by path: those of lists' items under one.
func valuesOf(spec v1.PubSubChannelSpec) map[string]string {
	data, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		panic(err)
	}
	all := map[string]string{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		text, _ := json.Marshal(value)
		all[path] += string(text)
		switch value := value.(type) {
		case map[string]any:
			for key, child := range value {
				walk(strings.TrimPrefix(path+"."+key, "."), child)
			}
		case []any:
			for _, item := range value {
				walk(path+"[]", item)
			}
		}
	}
	walk("", fields)
	return all
}

func parent(path string) string {
	if list, ok := strings.CutSuffix(path, "[]"); ok {
		return list
	}
	return path[:max(0, strings.LastIndex(path, "."))]
}

// fieldsOfChannel are the paths of all fields that a channel's spec may have.
func fieldsOfChannel() []string {
	var all []string
	whole := []any{resource.Quantity{}, metav1.Duration{}, intstr.IntOrString{}, runtime.RawExtension{}}
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		for of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch {
		case slices.ContainsFunc(whole, func(w any) bool { return reflect.TypeOf(w) == of }):
		case of.Kind() == reflect.Slice:
			walk(path+"[]", of.Elem())
		case of.Kind() == reflect.Struct:
			for i := range of.NumField() {
				name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if name == "" { // embedded
					walk(path, of.Field(i).Type)
					continue
				}
				child := strings.TrimPrefix(path+"."+name, ".")
				all = append(all, child)
				walk(child, of.Field(i).Type)
			}
		}
	}
	walk("", reflect.TypeFor[v1.PubSubChannelSpec]())
	return all
}

// atomicFields are the paths, in a pod's spec, of what the API server's schema says is owned
// as a whole.
func atomicFields(t *testing.T) []string {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, corev1.AddToScheme(scheme))
	typed, err := applyconfigurations.NewTypeConverter(scheme).ObjectToTyped(&corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
	})
	require.NoError(t, err)
	var all []string
	var walk func(path string, ref schema.TypeRef)
	walk = func(path string, ref schema.TypeRef) {
		atom, ok := typed.Schema().Resolve(ref)
		switch {
		case !ok:
		case atom.Map != nil && atom.Map.ElementRelationship == schema.Atomic, atom.List != nil && atom.List.ElementRelationship == schema.Atomic:
			all = append(all, path)
		case atom.List != nil:
			walk(path+"[]", atom.List.ElementType)
		case atom.Map != nil:
			for _, field := range atom.Map.Fields {
				walk(strings.TrimPrefix(path+"."+field.Name, "."), field.Type)
			}
		}
	}
	atom, _ := typed.Schema().Resolve(typed.TypeRef())
	spec, found := atom.Map.FindField("spec")
	require.True(t, found)
	walk("", spec.Type)
	return slices.DeleteFunc(all, func(path string) bool {
		return slices.ContainsFunc(notOfTemplates, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	})
}

// notOfTemplates is what no pod template may have (Kubernetes 1.36,
// pkg/apis/core/validation), or what its API server has not yet.
var notOfTemplates = []string{
	"ephemeralContainers", "evictionResponders",
	"volumes[].ephemeral.volumeClaimTemplate.metadata.managedFields", "volumes[].ephemeral.volumeClaimTemplate.metadata.ownerReferences",
}

package translator

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

func yamlOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &value))
	return value
}

func TestDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		desired, current string
		want             []string
	}{
		"the same":                   {`{a: 1, b: [x, y]}`, `{a: 1, b: [x, y]}`, nil},
		"more is there":              {`{a: 1, b: [x]}`, `{a: 1, b: [x, y], c: 2}`, nil},
		"a field is not there":       {`{a: {b: 1, c: 2}}`, `{a: {b: 1}}`, []string{"a.c"}},
		"an object is not there":     {`{a: {b: {c: 1}}}`, `{a: {}}`, []string{"a.b"}},
		"another value":              {`{a: 1}`, `{a: 2}`, []string{"a"}},
		"a list is shorter":          {`{a: [x, y]}`, `{a: [x]}`, []string{"a"}},
		"within an item":             {`{a: [{name: x, b: {c: 1}}]}`, `{a: [{name: other}, {name: x, b: {}}]}`, []string{"a[0].b.c"}},
		"an item without a name":     {`{a: [{b: 1}]}`, `{a: [{b: 2}]}`, []string{"a[0].b"}},
		"of several, in their order": {`{b: 1, a: 1}`, `{}`, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, differences(yamlOf(t, test.desired), yamlOf(t, test.current), ""))
		})
	}
}

// An apply is futile until what is asked for, or what is there, changes; what changes by
// itself is no reason for another.
func TestFutileApplies(t *testing.T) {
	var f futileApplies
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "u", ResourceVersion: "7"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](1)}}
	desired := yamlOf(t, `{metadata: {labels: {a: b}}, spec: {template: {spec: {hostUsers: false}}}}`)
	needed := func(live *appsv1.Deployment, desired map[string]any) bool {
		t.Helper()
		needed, err := f.needed(nil, desired, live, now)
		require.NoError(t, err)
		return needed
	}
	add := func(version string, desired map[string]any) []string {
		t.Helper()
		paths, err := f.add(desired, live, version, now)
		require.NoError(t, err)
		return paths
	}
	assert.Empty(t, add("8", desired), "the apply changed something")
	assert.True(t, needed(live, desired))
	assert.Equal(t, []string{"metadata.labels", "spec.template.spec.hostUsers"}, add("7", desired))
	assert.False(t, needed(live, desired))
	assert.Empty(t, add("7", desired), "told once")

	later := live.DeepCopy()
	later.ResourceVersion, later.Generation, later.Spec.Replicas, later.Status.Replicas = "9", 3, ptr.To[int32](5), 5
	later.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager"}}
	assert.False(t, needed(later, desired), "it only scaled")
	later.Spec.Template.Spec.NodeName = "theirs"
	assert.True(t, needed(later, desired), "somebody changed it")
	assert.True(t, needed(live, yamlOf(t, `{metadata: {labels: {a: c}}}`)), "something else is asked for")
	other := live.DeepCopy()
	other.UID = "v"
	assert.True(t, needed(other, desired), "another object")
}

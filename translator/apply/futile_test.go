package apply

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// An apply is futile until what is asked for, or what is there, changes; what changes by
// itself is no reason for another.
func TestFutileApplies(t *testing.T) {
	var f futileApplies
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "u", ResourceVersion: "7"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](1)}}
	desired := channeltest.YAML(t, `{metadata: {labels: {a: b}}, spec: {template: {spec: {hostUsers: false}}}}`)
	needed := func(live *appsv1.Deployment, desired map[string]any) bool {
		t.Helper()
		needed, err := f.needed(nil, desired, live, channeltest.Now)
		require.NoError(t, err)
		return needed
	}
	add := func(version string, desired map[string]any) []string {
		t.Helper()
		paths, err := f.add(desired, live, version, channeltest.Now)
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
	assert.True(t, needed(live, channeltest.YAML(t, `{metadata: {labels: {a: c}}}`)), "something else is asked for")
	other := live.DeepCopy()
	other.UID = "v"
	assert.True(t, needed(other, desired), "another object")
}

// What was in the way of an apply may go: it is tried again.
func TestFutileAppliesAreTriedAgain(t *testing.T) {
	var f futileApplies
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "u", ResourceVersion: "7"}}
	desired := channeltest.YAML(t, `{metadata: {labels: {a: b}}}`)
	_, err := f.add(desired, live, "7", channeltest.Now) // a webhook undid it, and the event says: switch that off
	require.NoError(t, err)
	needed, err := f.needed(nil, desired, live, channeltest.Now.Add(futileRetry-time.Second))
	require.NoError(t, err)
	assert.False(t, needed)
	needed, err = f.needed(nil, desired, live, channeltest.Now.Add(futileRetry))
	require.NoError(t, err)
	assert.True(t, needed, "the webhook may be gone")
}

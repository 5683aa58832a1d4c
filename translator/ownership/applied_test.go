package ownership_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	applyconfigurations "k8s.io/client-go/applyconfigurations"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// appliedDeployment is a channel's Deployment as it is asked for, and as it is in the API server
// after the main owner applied it.
func appliedDeployment(tb testing.TB, channel *v1.PubSubChannel) (desired map[string]any, live *appsv1.Deployment) {
	tb.Helper()
	built, err := build.Deployment(plan.Of(channel))
	require.NoError(tb, err)
	desired, err = runtime.DefaultUnstructuredConverter.ToUnstructured(built)
	require.NoError(tb, err)
	data, err := json.Marshal(built)
	require.NoError(tb, err)
	live = &appsv1.Deployment{}
	require.NoError(tb, json.Unmarshal(data, live))

	scheme := runtime.NewScheme()
	require.NoError(tb, appsv1.AddToScheme(scheme))
	typed, err := applyconfigurations.NewTypeConverter(scheme).ObjectToTyped(&unstructured.Unstructured{Object: desired})
	require.NoError(tb, err)
	owned, err := typed.ToFieldSet()
	require.NoError(tb, err)
	fields, err := owned.Difference(identity).ToJSON()
	require.NoError(tb, err)
	live.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: ownership.Main, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(fields)),
	}}
	return desired, live
}

// identity is what the API server never counts as owned.
var identity = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"),
)

// What was applied is found again, and whatever is not as it was applied.
func TestApplied(t *testing.T) {
	channel := channeltest.Channel(channeltest.Templated(t, channeltest.RichTemplate))
	own := func(live *appsv1.Deployment, change func(fields string) string) {
		entry := &live.ManagedFields[0]
		changed := change(entry.FieldsV1.GetRawString())
		require.NotEqual(t, entry.FieldsV1.GetRawString(), changed)
		entry.FieldsV1 = metav1.NewFieldsV1(changed)
	}
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		want   bool
	}{
		"as it was applied":     {func(*appsv1.Deployment) {}, true},
		"somebody adds a label": {func(d *appsv1.Deployment) { d.Labels["theirs"] = "1" }, true},
		"a replica more":        {func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) }, true},
		"another container": {func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "theirs"})
		}, true},
		"another image":      {func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "theirs" }, false},
		"a variable's value": {func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Env[0].Value = "theirs" }, false},
		"a port's protocol": {func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.InitContainers[0].Ports[0].Protocol = corev1.ProtocolSCTP
		}, false},
		"a toleration more": {func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Tolerations = append(d.Spec.Template.Spec.Tolerations, corev1.Toleration{Key: "theirs"})
		}, false},
		"the order of containers": {func(d *appsv1.Deployment) { slices.Reverse(d.Spec.Template.Spec.Containers) }, false},
		"a field of ours is somebody's": {func(d *appsv1.Deployment) {
			own(d, func(fields string) string { return strings.Replace(fields, `"f:image":{},`, "", 1) })
		}, false},
		"a field that is not asked for any more": {func(d *appsv1.Deployment) {
			own(d, func(fields string) string {
				return strings.Replace(fields, `"f:spec":{`, `"f:spec":{"f:minReadySeconds":{},`, 1)
			})
		}, false},
		"nothing was applied": {func(d *appsv1.Deployment) { d.ManagedFields = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			desired, live := appliedDeployment(t, channel)
			test.change(live)
			got, err := new(ownership.Decoded).Applied(desired, live)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			owned := &ownership.Decoded{}
			live.ManagedFields = owned.Kept(live)
			got, err = owned.Applied(desired, live)
			require.NoError(t, err)
			assert.Equal(t, test.want, got, "as it is in the cache")
		})
	}
	desired, live := appliedDeployment(t, channel)
	live.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1("{")
	_, err := new(ownership.Decoded).Applied(desired, live)
	assert.ErrorContains(t, err, "reading managedFields of pubsub-operator")
}

// BenchmarkApplied is the look at a Deployment that is as it was applied: with what was decoded
// of its managedFields as it came into the cache, and without.
func BenchmarkApplied(b *testing.B) {
	for name, channel := range map[string]*v1.PubSubChannel{
		"plain": channeltest.Channel(channeltest.AutoScaled()), "template": channeltest.Channel(channeltest.Templated(b, channeltest.RichTemplate)),
	} {
		desired, live := appliedDeployment(b, channel)
		cached, owned := live.DeepCopy(), &ownership.Decoded{}
		cached.ManagedFields = owned.Kept(cached)
		b.Run(name+"/cached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				same, err := owned.Applied(desired, cached)
				require.NoError(b, err)
				require.True(b, same)
			}
		})
		b.Run(name+"/fresh", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				same, err := new(ownership.Decoded).Applied(desired, live)
				require.NoError(b, err)
				require.True(b, same)
			}
		})
	}
}

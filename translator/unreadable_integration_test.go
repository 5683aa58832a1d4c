//go:build integration

package translator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// withoutBounds is a folder with the CRD as it once was: no upper bound of a step, and
// controller-gen's own pattern of a quantity.
func withoutBounds(t *testing.T) string {
	t.Helper()
	name := "pubsub.jawaracloud.io_pubsubchannels.yaml"
	data, err := os.ReadFile(filepath.Join(channelCRDs, name))
	require.NoError(t, err)
	var crd any
	require.NoError(t, yaml.Unmarshal(data, &crd))
	weaken(crd)
	data, err = json.Marshal(crd)
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	return folder
}

func weaken(schema any) {
	switch part := schema.(type) {
	case map[string]any:
		if pattern, _ := part["pattern"].(string); strings.Contains(pattern, "numkMGTPE") {
			part["pattern"] = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`
		}
		for name, value := range part {
			if name == "maxScaleUpStep" {
				delete(value.(map[string]any), "x-kubernetes-validations")
			}
			weaken(value)
		}
	case []any:
		for _, value := range part {
			weaken(value)
		}
	}
}

func (p *plane) fault(t *testing.T, namespace, name string, mutate func(*string, map[string]any, map[string]any)) *unstructured.Unstructured {
	t.Helper()
	u := object(namespace, mutate)
	u.SetName(name)
	require.NoError(t, p.Create(t.Context(), u))
	return u
}

// readyOf is the Ready condition of a channel that may not be decoded, and its phase.
func (p *plane) readyOf(t *testing.T, u *unstructured.Unstructured) (condition metav1.Condition, phase string) {
	t.Helper()
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(u), u))
	phase, _, _ = unstructured.NestedString(u.Object, "status", "phase")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	data, err := json.Marshal(conditions)
	require.NoError(t, err)
	var all []metav1.Condition
	require.NoError(t, json.Unmarshal(data, &all))
	if ready := meta.FindStatusCondition(all, v1.ConditionReady); ready != nil {
		condition = *ready
	}
	return condition, phase
}

// faults are channels that can't be decoded, or not in time, by what is to be told of them.
func (p *plane) faults(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	limit := func(quantity string) func(*string, map[string]any, map[string]any) {
		return inSpec("resources", map[string]any{"limits": map[string]any{"cpu": quantity}})
	}
	bad := map[string]*unstructured.Unstructured{
		`spec.resources.limits[cpu] is "1e1.5": quantities must match`: p.fault(t, "shop", "no-quantity", limit("1e1.5")),
		"spec.autoScaling.maxScaleUpStep is 4294967296":                p.fault(t, "shop", "step", inAutoScaling("maxScaleUpStep", int64(4294967296))),
		"spec.template.spec.containers[0].resources.limits[cpu] is": p.fault(t, "shop", "template", inSpec("template", map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "subscriber", "resources": map[string]any{"limits": map[string]any{"cpu": "1e99999999999"}}}}}})),
	}
	for i := range 8 {
		u := p.fault(t, "shop", fmt.Sprintf("slow-%d", i), limit(fmt.Sprintf("1e%d9999999999", i+1)))
		bad[fmt.Sprintf(`spec.resources.limits[cpu] is "1e%d9999999999": a quantity has at most`, i+1)] = u
	}
	return bad
}

// allTold waits until each says in its status what is wrong with it; nothing is made of them.
func (p *plane) allTold(t *testing.T, bad map[string]*unstructured.Unstructured, when string) {
	t.Helper()
	for words, u := range bad {
		var ready metav1.Condition
		require.Eventually(t, func() bool {
			ready, _ = p.readyOf(t, u)
			return ready.Reason == v1.ReasonInvalidSpec
		}, soon, tick, "%s: %s: %s", when, u.GetName(), lazily(func() string { return fmt.Sprint(u.Object["status"]) }))
		_, phase := p.readyOf(t, u)
		assert.Equal(t, string(v1.PhaseFailed), phase)
		assert.Contains(t, ready.Message, words)
		err := p.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: u.GetName() + v1.SubscriberSuffix}, &appsv1.Deployment{})
		assert.Error(t, err, "nothing is made of %s", u.GetName())
	}
}

// warnedOnce looks for the events of controllers that have ended.
func (p *plane) warnedOnce(t *testing.T, names ...string) {
	t.Helper()
	var events eventsv1.EventList
	require.NoError(t, p.List(t.Context(), &events, client.InNamespace("shop")))
	told := map[string]int{}
	for _, event := range events.Items {
		if event.Reason == v1.ReasonInvalidSpec {
			assert.Equal(t, "Warning", event.Type)
			told[event.Regarding.Name]++
		}
	}
	for _, name := range names {
		assert.Equal(t, 1, told[name], name)
	}
}

// Channels that can't be decoded, or take a minute to compare with, say so in their status,
// and hold up no other, not even a controller that starts. Corrected, they go on.
func TestUnreadableChannels(t *testing.T) {
	t.Parallel()
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, withoutBounds(t), keda)
	p.namespace(t, "shop")
	stop := runController(t, p.config, holding{}, patient)
	good := p.fleet(t, "shop", "good", 20)
	p.allRight(t, good)
	// One that was good, and has children.
	spoilt := p.fleet(t, "shop", "spoilt", 1)[0]
	p.allRight(t, []*v1.PubSubChannel{spoilt})
	before := deploymentOf(spoilt)
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(before), before))

	bad := p.faults(t)
	step := []byte(`{"spec":{"image":"new","autoScaling":{"maxScaleUpStep":4294967296}}}`)
	spoiltRaw := object("shop", func(*string, map[string]any, map[string]any) {})
	spoiltRaw.SetName(spoilt.Name)
	require.NoError(t, p.Patch(t.Context(), spoiltRaw, client.RawPatch(types.MergePatchType, step)))
	var list v1.PubSubChannelList
	require.Error(t, p.List(t.Context(), &list), "the faults are such that a usual client can't list channels")

	for _, when := range []string{"while it runs", "after a restart"} {
		p.allTold(t, bad, when)
		require.Eventually(t, func() bool {
			ready, _ := p.readyOf(t, spoiltRaw)
			return ready.Reason == v1.ReasonInvalidSpec
		}, soon, tick)
		for _, channel := range good {
			require.NoError(t, p.patch(t.Context(), channel.DeepCopy(), fmt.Sprintf(`{"spec":{"image":%q}}`, strings.ReplaceAll(when, " ", "-"))))
		}
		p.allRight(t, good)
		stop()
		stop = runController(t, p.config, holding{}, patient)
	}
	after := deploymentOf(spoilt)
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(after), after))
	assert.Equal(t, before.Spec, after.Spec, "the workers of a channel that can't be read go on")

	p.warnedOnce(t, "no-quantity", "step", "slow-0", "slow-7", spoilt.Name)

	require.NoError(t, p.Patch(t.Context(), spoiltRaw, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"autoScaling":{"maxScaleUpStep":5}}}`))))
	for _, u := range bad {
		require.NoError(t, p.Patch(t.Context(), u, client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"template":null,"resources":null,"autoScaling":{"enabled":true,"maxScaleUpStep":null}}}`))))
		spoilt.Name = u.GetName()
		good = append(good, spoilt.DeepCopy())
	}
	spoilt.Name = spoiltRaw.GetName()
	p.allRight(t, append(good, spoilt))
}

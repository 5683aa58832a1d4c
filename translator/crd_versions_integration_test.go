//go:build integration

package translator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

const channelCRD = "pubsub.jawaracloud.io_pubsubchannels.yaml"

// changedCRD is a folder with today's CRD but for a change of its only version.
func changedCRD(t *testing.T, change func(version map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(channelCRDs, channelCRD))
	require.NoError(t, err)
	var crd map[string]any
	require.NoError(t, yaml.Unmarshal(data, &crd))
	change(crd["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any))
	data, err = json.Marshal(crd)
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, channelCRD), data, 0o600))
	return folder
}

// fieldsIn are the properties of a part of the CRD's schema.
func fieldsIn(t *testing.T, version map[string]any, path ...string) map[string]any {
	t.Helper()
	part := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	for _, name := range path {
		part = part["properties"].(map[string]any)[name].(map[string]any)
	}
	fields, ok := part["properties"].(map[string]any)
	require.True(t, ok, "%v has no fields", path)
	return fields
}

// put installs the CRD of another folder over the one that is there, as an upgrade does, and
// waits until the API server goes by it, as a test of a stored channel tells.
func (p *plane) put(t *testing.T, folder string, goesBy func(*unstructured.Unstructured) bool, channel client.Object) {
	t.Helper()
	_, err := envtest.InstallCRDs(p.config, envtest.CRDInstallOptions{Paths: []string{folder}, ErrorIfPathMissing: true, MaxTime: soon})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return goesBy(p.raw(t, channel)) }, soon, tick, "the API server goes by the other CRD")
}

// quiet fails where the controller writes anything in some rounds of questions about n
// channels to which nothing happens.
func (p *plane) quiet(t *testing.T, scaler *countingDown, n int64) {
	t.Helper()
	from, asked := p.audit(t), scaler.asked.Load()
	require.Eventually(t, func() bool { return scaler.asked.Load() >= asked+6*n }, 2*soon, tick)
	requests, _ := p.audited(t, from)
	assert.Empty(t, writesOf(requests), "nothing happened")
}

// scaleTo sets replicas as the HPA does: through the scale subresource.
func (p *plane) scaleTo(t *testing.T, deployment *appsv1.Deployment, replicas int32) {
	t.Helper()
	(&server{WithWatch: p.WithWatch}).scale(t, deployment, replicas)
}

// scalings are the notes of all Scaled events of a channel.
func (p *plane) scalings(t *testing.T, channel *v1.PubSubChannel) []string {
	t.Helper()
	return (&server{WithWatch: p.WithWatch}).events(t, channel)
}

// edited patches a channel as its author does.
func (p *plane) edited(t *testing.T, channel client.Object, patch string) {
	t.Helper()
	require.NoError(t, p.Patch(t.Context(), p.raw(t, channel), client.RawPatch(types.MergePatchType, []byte(patch))))
}

// raw is a channel as it is stored.
func (p *plane) raw(t *testing.T, channel client.Object) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannel"))
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(channel), u))
	return u
}

// A controller whose status has fields that the CRD does not know yet, as where the CRDs are
// not the chart's to upgrade: it works, tells what the CRD has room for, and says in its log
// which fields get lost; it writes no status for ever, and tells no scaling twice. With
// today's CRD put in, the status becomes whole.
func TestOlderCRD(t *testing.T) {
	t.Parallel()
	lost := []string{"desiredReplicas", "messageRate", "lastScaleTime"}
	older := changedCRD(t, func(version map[string]any) {
		fields := fieldsIn(t, version, "status")
		for _, name := range lost {
			require.Contains(t, fields, name)
			delete(fields, name)
		}
		decision := fieldsIn(t, version, "status", "decision")
		require.Contains(t, decision, "window")
		delete(decision, "window")
		version["additionalPrinterColumns"] = []any{}
		version["subresources"] = map[string]any{"status": map[string]any{}}
	})
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, older, keda)
	p.namespace(t, "shop")
	scaler, log := &countingDown{}, &lines{}
	runController(t, p.administrator(t, controllerUser), scaler, patient, func(m *manager.Options, _ *Options) { m.Logger = log.logger() })
	channels := p.fleet(t, "shop", "orders", 3)
	for _, channel := range channels {
		require.Eventually(t, func() bool {
			return p.Get(t.Context(), client.ObjectKeyFromObject(channel), channel) == nil && channel.Status.QueueDepth != nil && channel.Status.Selector != ""
		}, soon, tick)
	}
	p.takenUp(t, "shop", 3)
	p.settled(t)
	p.quiet(t, scaler, 3)

	deployment := deploymentOf(channels[0])
	p.scaleTo(t, deployment, 4)
	require.Eventually(t, func() bool { return len(p.scalings(t, channels[0])) > 0 }, soon, tick)
	p.settled(t)
	p.quiet(t, scaler, 3)
	assert.Equal(t, []string{"Scaled from 1 to 4 replicas (queue depth: 500)"}, p.scalings(t, channels[0]))
	p.edited(t, channels[1], `{"spec":{"image":"new"}}`)
	p.settled(t)
	assert.Empty(t, p.scalings(t, channels[1]), "an edit is no scaling")
	for _, name := range lost {
		assert.NotContains(t, p.raw(t, channels[0]).Object["status"], name)
	}
	decision := p.raw(t, channels[0]).Object["status"].(map[string]any)["decision"]
	assert.Contains(t, decision, "windowSeen")
	assert.NotContains(t, decision, "window")
	assert.Equal(t, 1, log.count("field\"=\"status.decision.window\""), "%v", log.kept)
	assert.Equal(t, 1, log.count("field\"=\"status.desiredReplicas"), "told once, for all channels: %v", log.kept)
	assert.Equal(t, 1, log.count("field\"=\"status.lastScaleTime"), "%v", log.kept)

	p.put(t, channelCRDs, func(stored *unstructured.Unstructured) bool {
		return p.Status().Patch(t.Context(), stored, client.RawPatch(types.MergePatchType, []byte(`{"status":{"desiredReplicas":7}}`)), client.DryRunAll) == nil &&
			stored.Object["status"].(map[string]any)["desiredReplicas"] == int64(7)
	}, channels[0])
	p.edited(t, channels[0], `{"spec":{"image":"new"}}`)
	require.Eventually(t, func() bool {
		return p.Get(t.Context(), client.ObjectKeyFromObject(channels[0]), channels[0]) == nil && channels[0].Status.DesiredReplicas == 4 && channels[0].Status.Decision.Window != nil
	}, soon, tick, "%s", lazily(func() string { return fmt.Sprintf("%+v", channels[0].Status) }))
	p.settled(t)
	p.quiet(t, scaler, 3)
	assert.Len(t, p.scalings(t, channels[0]), 1)
}

// The same for a channel that can't be decoded.
func TestOlderCRDAndAnUnreadableChannel(t *testing.T) {
	t.Parallel()
	older := changedCRD(t, func(version map[string]any) {
		delete(fieldsIn(t, version, "status"), "phase")
		delete(fieldsIn(t, version, "spec", "autoScaling")["maxScaleUpStep"].(map[string]any), "x-kubernetes-validations")
	})
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, older, keda)
	p.namespace(t, "shop")
	scaler, log := &countingDown{}, &lines{}
	runController(t, p.administrator(t, controllerUser), scaler, patient, func(m *manager.Options, _ *Options) { m.Logger = log.logger() })
	beyond := p.fault(t, "shop", "beyond", inAutoScaling("maxScaleUpStep", int64(4294967296)))
	p.fleet(t, "shop", "orders", 1)
	require.Eventually(t, func() bool { ready, _ := p.readyOf(t, beyond); return ready.Reason == v1.ReasonInvalidSpec }, soon, tick)
	p.takenUp(t, "shop", 1)
	p.settled(t)
	p.quiet(t, scaler, 1)
	assert.NotContains(t, p.raw(t, beyond).Object["status"], "phase")
	assert.Equal(t, 1, log.count("field\"=\"status.phase\""), "%v", log.kept)
}

// A status that the API server refuses, because an older CRD forbids a value: the children are
// made all the same, and a scaling is told once; an event and the log say what is wrong, once,
// and nothing is written for ever. The status arrives when the CRD has been corrected.
func TestAStatusThatTheCRDRefuses(t *testing.T) {
	t.Parallel()
	older := changedCRD(t, func(version map[string]any) {
		fieldsIn(t, version, "status")["phase"].(map[string]any)["enum"] = []any{"Running", "Failed"}
	})
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, older, keda)
	p.namespace(t, "shop")
	scaler, log := &countingDown{}, &lines{}
	runController(t, p.administrator(t, controllerUser), scaler, patient, func(m *manager.Options, _ *Options) { m.Logger = log.logger() })
	channel := p.fleet(t, "shop", "orders", 1)[0]
	require.Eventually(t, func() bool { return len(p.notes(t, channel, v1.ReasonRefused)) > 0 }, soon, tick)
	p.settled(t)
	p.childrenOf(t, []*v1.PubSubChannel{channel})
	p.takenUp(t, "shop", 1)
	p.scaleTo(t, deploymentOf(channel), 4)
	require.Eventually(t, func() bool { return len(p.scalings(t, channel)) > 0 }, soon, tick)
	p.settled(t)
	p.quiet(t, scaler, 1)
	assert.Equal(t, []string{"Scaled from 1 to 4 replicas (queue depth: 500)"}, p.scalings(t, channel))
	notes := p.notes(t, channel, v1.ReasonRefused)
	require.Len(t, notes, 1)
	assert.Contains(t, notes[0], `phase: Unsupported value: "Pending"`)
	assert.Equal(t, 1, log.count("refuses a status"), "%v", log.kept)
	assert.Equal(t, 0, log.count("Reconciler error"), "%v", log.kept)

	p.put(t, channelCRDs, func(stored *unstructured.Unstructured) bool {
		pending := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Pending"}}`))
		return p.Status().Patch(t.Context(), stored, pending, client.DryRunAll) == nil
	}, channel)
	p.edited(t, channel, `{"spec":{"image":"new"}}`)
	require.Eventually(t, func() bool {
		return p.Get(t.Context(), client.ObjectKeyFromObject(channel), channel) == nil && channel.Status.DesiredReplicas == 4 && channel.Status.Phase == v1.PhasePending
	}, soon, tick, "%s", lazily(func() string { return fmt.Sprintf("%+v", channel.Status) }))
	p.settled(t)
	p.quiet(t, scaler, 1)
}

// A CRD that is newer than the controller, as it is for a while in each upgrade, or after a
// rollback: what the controller does not know survives, wherever it stands; a channel that
// asks for what it can't do is told so, and holds up no other.
func TestNewerCRD(t *testing.T) {
	t.Parallel()
	newer := changedCRD(t, func(version map[string]any) {
		text := map[string]any{"type": "string"}
		fieldsIn(t, version, "spec")["priority"] = text
		fieldsIn(t, version, "spec", "autoScaling")["mood"] = text
		status := fieldsIn(t, version, "status")
		status["lag"] = map[string]any{"type": "integer", "format": "int64"}
		status["shards"] = map[string]any{"type": "array", "items": map[string]any{"type": "object", "properties": map[string]any{"id": text}}}
		kind := fieldsIn(t, version, "spec", "queue")["type"].(map[string]any)
		kind["enum"] = append(kind["enum"].([]any), "Topic")
		step := fieldsIn(t, version, "spec", "autoScaling")["maxScaleUpStep"].(map[string]any)
		delete(step, "x-kubernetes-validations") // beyond what today's Go types hold
	})
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, newer, keda)
	p.namespace(t, "shop")
	extra := func(queue string) func(*string, map[string]any, map[string]any) {
		return func(_ *string, spec, auto map[string]any) {
			spec["priority"], auto["mood"], spec["queue"] = "high", "calm", map[string]any{"type": queue}
		}
	}
	known := p.fault(t, "shop", "known", extra("List"))
	topic := p.fault(t, "shop", "topic", extra("Topic"))
	beyond := p.fault(t, "shop", "beyond", inAutoScaling("maxScaleUpStep", int64(4294967296)))
	spoilt := p.fault(t, "shop", "spoilt", extra("List"))
	all := []*unstructured.Unstructured{known, topic, beyond, spoilt}
	specs := map[string]any{}
	for _, u := range all {
		// As a newer controller left it.
		patch := `{"status":{"phase":"Draining","lag":7,"shards":[{"id":"a"}],"observedGeneration":1,"conditions":[
			{"type":"Sharded","status":"True","reason":"Fine","message":"","lastTransitionTime":"2026-01-31T12:00:00Z"}]}}`
		require.NoError(t, p.Status().Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(patch))))
		require.Equal(t, "Draining", u.Object["status"].(map[string]any)["phase"])
		specs[u.GetName()] = p.raw(t, u).Object["spec"]
	}
	scaler := &countingDown{}
	runController(t, p.administrator(t, controllerUser), scaler, patient)
	neighbours := p.fleet(t, "shop", "orders", 3)

	for _, channel := range append(neighbours, &v1.PubSubChannel{ObjectMeta: metaNamed("known", "shop")}) {
		require.Eventually(t, func() bool {
			return p.Get(t.Context(), client.ObjectKeyFromObject(channel), channel) == nil && channel.Status.QueueDepth != nil && channel.Status.Phase == v1.PhasePending
		}, soon, tick, "%s", lazily(func() string { return fmt.Sprintf("%+v", channel.Status) }))
	}
	p.allTold(t, map[string]*unstructured.Unstructured{
		`queueType is "Topic": it must be Auto, List, Stream`: topic,
		"spec.autoScaling.maxScaleUpStep is 4294967296":       beyond,
	}, "at first")
	require.NoError(t, p.Patch(t.Context(), spoilt, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"autoScaling":{"maxScaleUpStep":4294967296}}}`))))
	specs["spoilt"] = p.raw(t, spoilt).Object["spec"]
	require.Eventually(t, func() bool { ready, _ := p.readyOf(t, spoilt); return ready.Reason == v1.ReasonInvalidSpec }, soon, tick)

	p.takenUp(t, "shop", 5)
	p.settled(t)
	p.quiet(t, scaler, 4)
	for _, u := range all {
		stored := p.raw(t, u)
		assert.Equal(t, specs[u.GetName()], stored.Object["spec"], "%s: nobody but its author writes a spec", u.GetName())
		status := stored.Object["status"].(map[string]any)
		assert.Equal(t, int64(7), status["lag"], u.GetName())
		assert.Equal(t, []any{map[string]any{"id": "a"}}, status["shards"], u.GetName())
		assert.Contains(t, fmt.Sprint(status["conditions"]), "Sharded", u.GetName())
		assert.Contains(t, []string{"Pending", "Failed"}, status["phase"], u.GetName())
	}
}

// An upgrade from commit 533e26c: its CRD, and channels that only it let in, under today's
// controller; then today's CRD over it, while the controller runs and after a restart. What
// was made stays, and what can't be read any more is told.
func TestUpgradeFrom533e26c(t *testing.T) {
	t.Parallel()
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, nil, filepath.Join("testdata", "crds-533e26c"), keda)
	p.namespace(t, "shop")
	config := p.administrator(t, controllerUser)
	stop := runController(t, config, holding{}, patient)
	good := p.fleet(t, "shop", "good", 5)
	// More than today's CRD allows, and nothing that can't be read.
	many := p.fault(t, "shop", "many", func(_ *string, spec, _ map[string]any) {
		spec["replicas"], spec["autoScaling"] = int64(2000000), map[string]any{"enabled": false}
	})
	p.olderStatus = true // it has no policyInUse, workerImage or decision
	p.allRight(t, good)
	bad := p.faults(t)
	p.allTold(t, bad, "with the older CRD")
	p.settled(t)
	before := p.childrenOf(t, good)

	tooMany := []byte(`{"spec":{"replicas":3000000}}`)
	p.put(t, channelCRDs, func(stored *unstructured.Unstructured) bool {
		return apierrors.IsInvalid(p.Patch(t.Context(), stored, client.RawPatch(types.MergePatchType, tooMany), client.DryRunAll))
	}, many)
	for _, when := range []string{"while it runs", "after a restart"} {
		p.allRight(t, good)
		p.allTold(t, bad, when)
		p.settled(t)
		assert.Equal(t, before, p.childrenOf(t, good), "%s: the children stay as they are", when)
		stop()
		p.olderStatus = false // a controller that starts writes what is missing
		stop = runController(t, config, holding{}, patient)
	}

	// Of a channel that today's CRD would refuse, the status goes on, and what is not at fault
	// may be edited, one field at a time.
	p.edited(t, many, `{"spec":{"image":"new"}}`)
	for name, u := range map[string]*unstructured.Unstructured{"many": many, "step": bad["spec.autoScaling.maxScaleUpStep is 4294967296"]} {
		p.edited(t, u, `{"spec":{"paused":true}}`)
		nothing := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Pending"}}`))
		if err := p.Status().Patch(t.Context(), p.raw(t, u), nothing, client.DryRunAll); apierrors.IsInvalid(err) {
			lacks(t, p.config, "a status for channels that break a rule which came later")
			require.Eventually(t, func() bool {
				return len(p.notes(t, &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", UID: u.GetUID()}}, v1.ReasonRefused)) == 1
			}, soon, tick, "an event tells it: %s", name)
			continue
		}
		require.Eventually(t, func() bool {
			u = p.raw(t, u)
			observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
			return observed == u.GetGeneration()
		}, soon, tick, name)
	}
	for _, channel := range good {
		p.edited(t, channel, `{"spec":{"image":"new"}}`)
	}
	p.allRight(t, good)
	for _, u := range bad {
		p.edited(t, u, `{"spec":{"template":null,"resources":null,"paused":null,"autoScaling":{"enabled":true,"maxScaleUpStep":null}}}`)
		good = append(good, &v1.PubSubChannel{ObjectMeta: metaNamed(u.GetName(), "shop")})
	}
	p.allRight(t, good)
}

// childrenOf tells one state of channels' children from another.
func (p *plane) childrenOf(t *testing.T, channels []*v1.PubSubChannel) (states []string) {
	t.Helper()
	for _, channel := range channels {
		for _, child := range []client.Object{deploymentOf(channel), scaledObjectOf(channel), budgetOf(channel)} {
			require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(child), child))
			states = append(states, fmt.Sprintf("%T %s %s %d %s", child, child.GetName(), child.GetUID(), child.GetGeneration(), child.GetResourceVersion()))
		}
	}
	return states
}

//go:build integration

package translator

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// warnings collects the API server's warning headers.
type warnings struct {
	mu   sync.Mutex
	kept []string
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if code == 299 {
		w.kept = append(w.kept, text)
	}
}

// take returns what came since it was last called.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.kept
	w.kept = nil
	return kept
}

// policyServer is an API server with the policy of deploy/operator.yaml, and a client that
// hears its warnings.
func policyServer(t *testing.T) (client.Client, *warnings) {
	t.Helper()
	env, config, err := startAPI(withPubSub(t))
	if env != nil {
		t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	}
	require.NoError(t, err)
	heard := &warnings{}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = heard
	c, err := client.New(config, client.Options{})
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join("..", "deploy", "operator.yaml"))
	require.NoError(t, err)
	made := 0
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		u := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal(document, &u.Object))
		if strings.HasPrefix(u.GetKind(), "ValidatingAdmissionPolicy") {
			require.NoError(t, c.Create(t.Context(), u))
			made++
		}
	}
	require.Equal(t, 2, made, "the policy and its binding")
	return c, heard
}

// withPubSub is a folder with the CRD, whose queue.type may be PubSub.
func withPubSub(t *testing.T) string {
	t.Helper()
	name := "pubsub.jawaracloud.io_pubsubchannels.yaml"
	data, err := os.ReadFile(filepath.Join(channelCRDs, name))
	require.NoError(t, err)
	var crd unstructured.Unstructured
	require.NoError(t, yaml.Unmarshal(data, &crd.Object))
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	require.NoError(t, err)
	path := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties", "queue", "properties", "type", "enum"}
	version := versions[0].(map[string]any)
	types, _, err := unstructured.NestedStringSlice(version, path...)
	require.NoError(t, err)
	if !strings.Contains(strings.Join(types, " "), "PubSub") {
		require.NoError(t, unstructured.SetNestedStringSlice(version, append(types, "PubSub"), path...))
	}
	require.NoError(t, unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"))
	folder := t.TempDir()
	data, err = crd.MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	return folder
}

// What is legal but risky is accepted with a warning that says why and what to do; what is
// not risky, without.
func TestAdmissionWarnings(t *testing.T) {
	c, heard := policyServer(t)
	ns := &corev1.Namespace{}
	ns.Name = "warned"
	require.NoError(t, c.Create(t.Context(), ns))
	require.Eventually(t, func() bool { // a new policy takes a moment to count
		u := object("warned", inAutoScaling("cooldownPeriod", int64(1)))
		return c.Create(t.Context(), u, client.DryRunAll) == nil && len(heard.take()) == 1
	}, soon, tick)
	sleeping := func(activation int64) func(*string, map[string]any, map[string]any) {
		return func(_ *string, _, auto map[string]any) {
			auto["minReplicas"], auto["activationQueueDepth"] = int64(0), activation
		}
	}
	for name, test := range map[string]struct {
		mutate func(*string, map[string]any, map[string]any)
		want   []string // a part of each warning
	}{
		"defaults":               {func(*string, map[string]any, map[string]any) {}, nil},
		"cooldown of 14 s":       {inAutoScaling("cooldownPeriod", int64(14)), []string{"cooldownPeriod is 14 s: the HPA decides every 15 s"}},
		"cooldown of 15 s":       {inAutoScaling("cooldownPeriod", int64(15)), nil},
		"cooldown of 0, off":     {func(_ *string, _, auto map[string]any) { auto["enabled"], auto["cooldownPeriod"] = false, int64(0) }, nil},
		"no autoScaling":         {func(_ *string, spec, _ map[string]any) { delete(spec, "autoScaling") }, nil},
		"min equals max":         {inAutoScaling("minReplicas", int64(10)), []string{"minReplicas and maxReplicas are both 10"}},
		"unreachable activation": {sleeping(1500), []string{"activationQueueDepth is 1500, but 1500 messages"}},
		"reachable activation":   {sleeping(1499), nil},
		"never asleep":           {inAutoScaling("activationQueueDepth", int64(5000)), nil},
		"PubSub":                 {inSpec("queue", map[string]any{"type": "PubSub"}), []string{"queue.type is PubSub and autoScaling is enabled"}},
		"PubSub, not scaled": {func(_ *string, spec, auto map[string]any) {
			spec["queue"], auto["enabled"] = map[string]any{"type": "PubSub"}, false
		}, nil},
		"queue without a type": {inSpec("queue", map[string]any{}), nil},
		"the greatest numbers": {func(_ *string, _, auto map[string]any) {
			sleeping(1000000000)(nil, nil, auto)
			auto["targetQueueDepth"], auto["maxReplicas"], auto["scaleUpThreshold"] = int64(1000000000), int64(1000000), int64(1000)
		}, nil},
		"two at once": {func(_ *string, _, auto map[string]any) {
			auto["cooldownPeriod"], auto["minReplicas"] = int64(5), int64(10)
		},
			[]string{"cooldownPeriod is 5 s", "both 10"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.Create(t.Context(), object("warned", test.mutate), client.DryRunAll), "a warning refuses nothing")
			got := heard.take()
			require.Len(t, got, len(test.want), "%q", got)
			for i, words := range test.want {
				assert.Contains(t, got[i], words)
				assert.NotContains(t, got[i], "\n")
			}
		})
	}

	u := object("warned", inAutoScaling("cooldownPeriod", int64(5)))
	require.NoError(t, c.Create(t.Context(), u))
	assert.Len(t, heard.take(), 1)
	u.SetLabels(map[string]string{"team": "a"})
	require.NoError(t, c.Update(t.Context(), u))
	assert.Empty(t, heard.take(), "not for an edit of nothing but metadata")
	require.NoError(t, unstructured.SetNestedField(u.Object, int64(6), "spec", "autoScaling", "cooldownPeriod"))
	require.NoError(t, c.Update(t.Context(), u))
	assert.Len(t, heard.take(), 1)
}

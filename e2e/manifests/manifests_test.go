package manifests

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

var (
	helm = flag.String("helm", "helm", "the program helm")
	keda = flag.String("keda", "", "a file with KEDA's CRDs")
)

const chart = "../../charts/pubsub-operator"

// ofPrometheus are the kinds whose CRDs no API server here has. Their Go types stand for them.
var ofPrometheus = map[string]func() any{
	"ServiceMonitor": func() any { return &monitoringv1.ServiceMonitor{} },
	"PodMonitor":     func() any { return &monitoringv1.PodMonitor{} },
	"PrometheusRule": func() any { return &monitoringv1.PrometheusRule{} },
}

// profiles are the files of values in the chart's ci folder, by their names.
func profiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	all := map[string]string{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = file
	}
	return all
}

// rendered is what the chart makes of a profile, one text for each object.
func rendered(t *testing.T, values string) []string {
	t.Helper()
	args := []string{
		"template", "pubsub-operator", chart, "--namespace", "pubsub-system", "--kube-version", "1.36.0",
		"--api-versions", "keda.sh/v1alpha1/ClusterTriggerAuthentication", "--values", values,
	}
	out, err := exec.CommandContext(t.Context(), *helm, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("helm %s: %s", strings.Join(args, " "), failed.Stderr)
	}
	require.NoError(t, err)
	var all []string
	for text := range strings.SplitSeq(string(out), "\n---\n") {
		if text = strings.TrimPrefix(text, "---\n"); len(strings.TrimSpace(text)) > 0 {
			all = append(all, text)
		}
	}
	return all
}

// Every object of every profile is one that the API server takes, without a field that it does not know.
func TestManifestsFitTheAPIServersSchemas(t *testing.T) {
	server := startServer(t, filepath.Join(chart, "files", "crds"), *keda)
	location := filepath.Join(schemas(t, server, "pubsubchannel-pubsub-v1.json", "clustertriggerauthentication-keda-v1alpha1.json"), schemaLocation)
	skip := map[string]struct{}{}
	for kind := range ofPrometheus {
		skip[kind] = struct{}{}
	}
	conform, err := validator.New([]string{location}, validator.Opts{Strict: true, SkipKinds: skip})
	require.NoError(t, err)
	validate := func(text string) []validator.Result {
		return conform.Validate("chart", io.NopCloser(strings.NewReader(text)))
	}
	// What it would refuse, so that the rest proves something.
	for wrong, because := range map[string]string{
		"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterip: None}}":                                        "additional properties 'clusterip' not allowed",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: two}}":                                  "got string, want integer",
		"{apiVersion: keda.sh/v1alpha1, kind: ClusterTriggerAuthentication, metadata: {name: a}, spec: {secretRef: []}}":       "additional properties 'secretRef' not allowed",
		"{apiVersion: pubsub.jawaracloud.io/v1, kind: PubSubChannel, metadata: {name: a}, spec: {channelName: a, replica: 1}}": "additional properties 'replica' not allowed",
		"{apiVersion: apps/v2, kind: Deployment, metadata: {name: a}}":                                                         "could not find schema",
		"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {maxUnavailable: [1]}}":                 "got array, want integer or string",
	} {
		results := validate(wrong)
		require.Len(t, results, 1)
		assert.Contains(t, results[0].Err.Error(), because, wrong)
	}
	for name, file := range profiles(t) {
		t.Run(name, func(t *testing.T) {
			count := 0
			for _, text := range rendered(t, file) {
				for _, result := range validate(text) {
					count++
					if result.Status == validator.Skipped {
						assert.NoError(t, fitsPrometheus(text), text)
						continue
					}
					assert.Equal(t, validator.Valid, result.Status, "%.2000v\n%.300s", result.Err, text)
				}
			}
			assert.Greater(t, count, 10)
		})
	}
}

// fitsPrometheus is nil if an object of the Prometheus Operator has only fields that its type has.
func fitsPrometheus(text string) error {
	var kind struct{ Kind string }
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return err
	}
	return yaml.UnmarshalStrict([]byte(text), ofPrometheus[kind.Kind]())
}

// The pods of every profile meet the restricted Pod Security Standard, that of helm test as well.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	for name, file := range profiles(t) {
		t.Run(name, func(t *testing.T) {
			pods := 0
			for _, text := range rendered(t, file) {
				pod := podOf(t, text)
				if pod == nil {
					continue
				}
				pods++
				for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
					assert.True(t, result.Allowed, "%s: %s\n%s", result.ForbiddenReason, result.ForbiddenDetail, text)
				}
			}
			assert.Equal(t, 3, pods, "the controller's, the scaler's and helm test's")
		})
	}
}

// podOf is the pod that an object is, or makes; nil if it makes none.
func podOf(t *testing.T, text string) *corev1.PodTemplateSpec {
	t.Helper()
	var object struct {
		Kind string
		Spec struct {
			Template corev1.PodTemplateSpec
		}
	}
	require.NoError(t, yaml.Unmarshal(bytes.TrimSpace([]byte(text)), &object))
	switch object.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "Job":
		return &object.Spec.Template
	case "Pod":
		pod := &corev1.Pod{}
		require.NoError(t, yaml.Unmarshal([]byte(text), pod))
		return &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	}
	return nil
}

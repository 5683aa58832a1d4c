package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

// simulate runs the command.
func simulate(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	command := newSimulateCommand()
	command.SilenceErrors, command.SilenceUsage = true, true // as the root does
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetIn(strings.NewReader(stdin))
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const ordersManifest = `apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: pubsub.jawaracloud.io/v1
kind: PubSubChannel
metadata:
  name: orders
spec:
  channelName: orders
  autoScaling:
    enabled: true
    minReplicas: 2
    maxReplicas: 40
    targetQueueDepth: 200
    scaleUpThreshold: 120
    scaleDownThreshold: 30
    cooldownPeriod: 600
    activationQueueDepth: 7
    maxScaleUpStep: 5
    maxScaleDownStep: 10%
`

func TestSimulateAFile(t *testing.T) {
	arrivals := write(t, "orders.csv", "time,arrivals\n0,600\n60,30000\n120,600\n180,600\n")
	manifest := write(t, "orders.yaml", ordersManifest)
	text, err := simulate(t, "", "--trace", arrivals, "-f", manifest, "--max-replicas", "12", "--service-rate", "50", "--compare", "step", "-o", "json")
	require.NoError(t, err)
	var list []struct {
		Trace struct {
			Name     string  `json:"name"`
			Messages float64 `json:"messages"`
		} `json:"trace"`
		AutoScaling map[string]any `json:"autoScaling"`
		Results     []struct {
			Autoscaler  string `json:"autoscaler"`
			MaxReplicas int    `json:"maxReplicas"`
		} `json:"results"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &list))
	require.Len(t, list, 1)
	assert.Equal(t, "orders", list[0].Trace.Name)
	assert.InDelta(t, 31_800, list[0].Trace.Messages, 0, "counts are replayed exactly")
	assert.Equal(t, map[string]any{
		"minReplicas": 2.0, "maxReplicas": 12.0, "targetQueueDepth": 200.0, "scaleUpThreshold": 120.0, "scaleDownThreshold": 30.0,
		"cooldownPeriod": 600.0, "activationQueueDepth": 7.0, "maxScaleUpStep": "5", "maxScaleDownStep": "10%",
	}, list[0].AutoScaling)
	require.Len(t, list[0].Results, 2)
	assert.Equal(t, "threshold", list[0].Results[0].Autoscaler)
	assert.Equal(t, 7, list[0].Results[0].MaxReplicas, "2 and one step of 5, as the manifest says")
	assert.Equal(t, "step", list[0].Results[1].Autoscaler)

	piped, err := simulate(t, ordersManifest, "--trace", arrivals, "-f", "-", "--max-replicas", "12", "--service-rate", "50", "--compare", "step", "-o", "json")
	require.NoError(t, err)
	assert.Equal(t, text, piped)
}

func TestSimulateATrace(t *testing.T) {
	folder := t.TempDir()
	picture := filepath.Join(folder, "picture.svg")
	text, err := simulate(t, "", "--trace", "spike", "--cooldown-period", "30", "--max-scale-down-step", "", "--width", "60", "--svg", picture)
	require.NoError(t, err)
	assert.Contains(t, text, "2 to 50 replicas, target 100, thresholds 150 % and 50 %, cooldown 30s\n")
	for _, label := range []string{"this project", "KEDA redis scaler", "±1 per cooldown", "fixed "} {
		assert.Contains(t, text, "\n"+label)
	}
	drawn, err := os.ReadFile(picture)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(drawn, []byte("<svg")))

	again, err := simulate(t, "", "--trace", "spike", "--cooldown-period", "30", "--max-scale-down-step", "", "--width", "60")
	require.NoError(t, err)
	assert.Equal(t, text, again, "the same every time")
	other, err := simulate(t, "", "--trace", "spike", "--cooldown-period", "30", "--max-scale-down-step", "", "--width", "60", "--seed", "2")
	require.NoError(t, err)
	assert.NotEqual(t, text, other)

	flash, err := simulate(t, "", "--trace", "flash", "--compare", "fixed", "-o", "markdown", "--svg-dir", folder)
	require.NoError(t, err)
	assert.Contains(t, flash, "\n| fixed 20 |")
	assert.Contains(t, flash, "(flash.svg)")
	assert.FileExists(t, filepath.Join(folder, "flash.svg"))
	none, err := simulate(t, "", "--trace", "steady", "--compare", "none", "-o", "markdown")
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(none, "\n| this project |"))
	assert.NotContains(t, none, "KEDA")
	assert.NotContains(t, none, "![")
}

// The workers of a trace, and what flags replace: how long messages take, how many a worker has at
// once, and what the policy is told of that.
func TestSimulateWorkers(t *testing.T) {
	hours := func(args ...string) (float64, map[string]any) {
		t.Helper()
		text, err := simulate(t, "", append([]string{"--compare", "utilization", "-o", "json"}, args...)...)
		require.NoError(t, err)
		var list []struct {
			Model   map[string]any `json:"model"`
			Results []struct {
				Autoscaler string  `json:"autoscaler"`
				Hours      float64 `json:"replicaHours"`
			} `json:"results"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &list))
		assert.Equal(t, "utilization", list[0].Results[1].Autoscaler)
		return list[0].Results[1].Hours, list[0].Model
	}
	jobs, model := hours("--trace", "jobs-10s")
	assert.Equal(t, "exponential", model["serviceTime"])
	assert.InDelta(t, 0.1, model["serviceRate"], 0)
	fast, model := hours("--trace", "jobs-10s", "--service-rate", "0.2", "--service-time", "lognormal", "--service-time-variation", "0.5")
	assert.InDelta(t, 0.2, model["serviceRate"], 0)
	assert.InDelta(t, 0.5, model["serviceTimeVariation"], 0)
	assert.Less(t, fast, 0.8*jobs)
	wide, model := hours("--trace", "jobs-10s", "--concurrency", "4", "--service-rate", "0.4", "--target-queue-depth", "4")
	assert.InDelta(t, 4, model["concurrency"], 0)
	assert.Less(t, wide, 0.6*jobs)
	wrong, _ := hours("--trace", "jobs-10s", "--concurrency", "4", "--service-rate", "0.4", "--target-queue-depth", "4", "--worker-concurrency", "1")
	assert.Greater(t, wrong, 1.5*wide, "the policy believes that 4 messages need 4 workers")
	busy, _ := hours("--trace", "jobs-10s", "--utilization-target", "50", "--utilization-scale-down", "40", "--utilization-scale-up", "60", "--utilization-window", "5m")
	assert.Greater(t, busy, 1.2*jobs)
}

func TestSimulateLists(t *testing.T) {
	text, err := simulate(t, "", "--list")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^flash +3h30m0s +9\.0M +5–50 +500 +150/40 +30s +a flash sale`, text)
	assert.Regexp(t, `(?m)^jobs-2m +6h0m0s +720 +1–20 +1 +150/50 +1m0s +jobs of 2 minutes`, text)
	assert.Equal(t, 17, strings.Count(text, "\n"))
}

func TestSimulateErrors(t *testing.T) {
	csv := func(text string) string { return write(t, "orders.csv", text) }
	for name, test := range map[string]struct {
		args  []string
		words string
	}{
		"no trace":        {nil, "--trace is missing: name a CSV file, or one of flash, spike, steady, daily, batch, outage, diurnal, noisy, step, sawtooth, small, jobs-10s, jobs-2m, heavy, slowdown, concurrent (--list describes them)"},
		"unknown trace":   {[]string{"--trace", "flush"}, `--trace is "flush": there is no such file, and the built-in traces are flash`},
		"a folder":        {[]string{"--trace", t.TempDir()}, "reading the trace"},
		"bad file":        {[]string{"--trace", csv("time,rate\n0,1\n60,x\n")}, `orders.csv: line 3: column rate is "x"`},
		"invalid spec":    {[]string{"--trace", "flash", "--min-replicas", "60"}, "minReplicas is 60, greater than maxReplicas 50: lower minReplicas or raise maxReplicas"},
		"thresholds":      {[]string{"--trace", "flash", "--scale-down-threshold", "150"}, "scaleDownThreshold is 150: it must be from 1 to 100"},
		"bad step":        {[]string{"--trace", "flash", "--max-scale-up-step", "20 %"}, `--max-scale-up-step: "20 %" is neither a number`},
		"bad comparison":  {[]string{"--trace", "flash", "--compare", "keda,hpa"}, `--compare has "hpa": it must be a list of threshold, keda, keda-behavior, step, fixed, utilization, clairvoyant, or all or none alone`},
		"none and more":   {[]string{"--trace", "flash", "--compare", "none,keda"}, `--compare has "none"`},
		"bad output":      {[]string{"--trace", "flash", "-o", "yaml"}, `--output is "yaml": it must be table, json or markdown`},
		"narrow":          {[]string{"--trace", "flash", "--width", "39"}, "--width is 39: it must be from 40 to 500"},
		"one for all":     {[]string{"--trace", "all", "--svg", "x.svg"}, "--svg draws one trace, but --trace is all: use --svg-dir"},
		"no workers":      {[]string{"--trace", "flash", "--fixed", "-2"}, "--fixed is -2"},
		"no service":      {[]string{"--trace", "flash", "--service-rate", "0"}, "serviceRate is 0: it must be more than 0"},
		"service time":    {[]string{"--trace", "flash", "--service-time", "gamma"}, `serviceTime is "gamma": it must be fixed, exponential or lognormal`},
		"a narrow window": {[]string{"--trace", "flash", "--utilization-window", "1s"}, "utilization.window is 1s: it must be from 15s to 1h"},
		"no gap":          {[]string{"--trace", "flash", "--utilization-target", "95"}, "utilization has scaleDown 70, target 95 and scaleUp 90"},
		"no hands":        {[]string{"--trace", "flash", "--concurrency", "-1"}, "concurrency is -1: it must be from 1 to 10000"},
		"half a sync":     {[]string{"--trace", "flash", "--hpa-sync", "500ms"}, "hpaSync is 500ms: it must be whole seconds from 1s to 1h"},
		"no such folder":  {[]string{"--trace", "spike", "--compare", "none", "--svg-dir", filepath.Join(t.TempDir(), "none")}, "writing the picture"},
		"no manifest":     {[]string{"--trace", "flash", "-f", "none.yaml"}, "reading the manifest: open none.yaml"},
		"other manifest":  {[]string{"--trace", "flash", "-f", write(t, "m.yaml", "kind: ConfigMap\n")}, "m.yaml: there are 0 PubSubChannels: there must be exactly one"},
		"two channels":    {[]string{"--trace", "flash", "-f", write(t, "m.yaml", ordersManifest+"---\n"+ordersManifest)}, "there are 2 PubSubChannels"},
		"no autoscaling":  {[]string{"--trace", "flash", "-f", write(t, "m.yaml", "kind: PubSubChannel\nmetadata: {name: a}\nspec: {channelName: a}\n")}, "PubSubChannel a has no spec.autoScaling: add it"},
		"misspelt field":  {[]string{"--trace", "flash", "-f", write(t, "m.yaml", "kind: PubSubChannel\nspec: {channelName: a, autoScaling: {coolDown: 5}}\n")}, `unknown field "coolDown"`},
		"bad step there":  {[]string{"--trace", "flash", "-f", write(t, "m.yaml", "kind: PubSubChannel\nspec: {channelName: a, autoScaling: {maxScaleDownStep: 0}}\n")}, `spec.autoScaling.maxScaleDownStep: "0" is neither a number`},
		"no YAML":         {[]string{"--trace", "flash", "-f", write(t, "m.yaml", "{")}, "m.yaml: "},
		"words left over": {[]string{"flash"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := simulate(t, "", test.args...)
			assert.ErrorContains(t, err, test.words)
		})
	}
}

// What a manifest leaves out has the CRD's defaults (api/v1, AutoScalingSpec), as the
// controller fills them in.
func TestAManifestHasTheDefaultsOfTheCRD(t *testing.T) {
	spec, err := decodeManifest(strings.NewReader("kind: PubSubChannel\nspec: {channelName: a, autoScaling: {enabled: true}}\n"))
	require.NoError(t, err)
	assert.Equal(t, policy.DefaultSpec(), spec)

	spec, err = decodeManifest(strings.NewReader("kind: PubSubChannel\nspec: {channelName: a, autoScaling: {minReplicas: 0, cooldownPeriod: 0, maxScaleUpStep: 50%}}\n"))
	require.NoError(t, err)
	want := policy.DefaultSpec()
	want.MinReplicas, want.Cooldown, want.MaxScaleUpStep = 0, 0, policy.Step{Value: 50, Percent: true}
	assert.Equal(t, want, spec)
	assert.Equal(t, 60*time.Second, policy.DefaultSpec().Cooldown)
}

// The policy of a channel is the one that is replayed, with the workers that it says it has.
func TestThePolicyOfAManifestIsReplayed(t *testing.T) {
	builtIn, _ := trace.Lookup("concurrent")
	spec := policy.DefaultSpec()
	got := ofManifest(builtIn, spec)
	assert.Equal(t, builtIn.Work, got.Work)
	assert.Equal(t, builtIn.Spec.WorkerConcurrency, got.Spec.WorkerConcurrency, "for a comparison")
	spec.Policy, spec.WorkerConcurrency, spec.Utilization = policy.ByUtilization, 3, policy.UtilizationSpec{Target: 60, ScaleUp: 70, ScaleDown: 50, Window: time.Minute}
	got = ofManifest(builtIn, spec)
	assert.Equal(t, spec, got.Spec)
	assert.Equal(t, 3, got.Work.Concurrency)
}

func TestThePolicyIsChosenByAFlag(t *testing.T) {
	labels := func(args ...string) (labels []string) {
		t.Helper()
		out, err := simulate(t, "", append([]string{"--trace", "steady", "-o", "json"}, args...)...)
		require.NoError(t, err)
		var got []struct{ Results []struct{ Autoscaler string } }
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		for _, result := range got[0].Results {
			labels = append(labels, result.Autoscaler)
		}
		return labels
	}
	assert.Equal(t, []string{"threshold", "utilization"}, labels("--compare", "threshold,utilization"))
	assert.Equal(t, []string{"utilization", "threshold"}, labels("--policy", "Utilization", "--compare", "utilization,threshold"))
	_, err := simulate(t, "", "--trace", "steady", "--policy", "Busy")
	assert.ErrorContains(t, err, `policy is "Busy": it must be Threshold or Utilization`)
}

func TestTheSamplesCanBeReplayed(t *testing.T) {
	samples, err := filepath.Glob("../../deploy/samples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, samples)
	for _, sample := range samples {
		manifest, err := os.ReadFile(sample)
		require.NoError(t, err)
		if !strings.Contains(string(manifest), "autoScaling:") {
			continue
		}
		_, err = simulate(t, "", "--trace", "batch", "-f", sample, "--compare", "none", "-o", "json")
		assert.NoError(t, err, sample)
	}
}

// The README's numbers of the flash sale are those that the command prints, the mean too,
// which is worse than KEDA's.
func TestTheREADMETellsWhatFlashGives(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	out, err := simulate(t, "", "--trace", "flash", "--compare", "keda", "-o", "json")
	require.NoError(t, err)
	var traces []struct {
		Results []struct {
			WaitSeconds  struct{ P99, Mean float64 }
			ReplicaHours float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &traces))
	ours, kedas := traces[0].Results[0], traces[0].Results[1]
	words := fmt.Sprintf("the p99 is %.1f s instead of %.1f s, the replica-hours are %.0f instead of %.0f, but the mean is %.1f s instead of %.1f s.",
		ours.WaitSeconds.P99, kedas.WaitSeconds.P99, ours.ReplicaHours, kedas.ReplicaHours, ours.WaitSeconds.Mean, kedas.WaitSeconds.Mean)
	assert.Contains(t, strings.Join(strings.Fields(string(readme)), " "), words)
}

package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

func replay(t *testing.T, name string) Report {
	t.Helper()
	builtIn, ok := trace.Lookup(name)
	require.True(t, ok)
	return New(builtIn.Trace, 1, simulation.DefaultConfig(builtIn.Spec), []*simulation.Autoscaler{simulation.KEDA, simulation.Step, simulation.Fixed})
}

func TestTable(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, replay(t, "spike").Table(&text, 100, false))
	golden(t, "spike.txt", text.String())
}

func TestMarkdown(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, Markdown(&text, []Report{replay(t, "spike"), replay(t, "batch")}, func(name string) string {
		if name == "batch" {
			return ""
		}
		return name + ".svg"
	}))
	golden(t, "results.md", text.String())

	text.Reset()
	require.NoError(t, Markdown(&text, []Report{replay(t, "spike")}, func(string) string { return "" }))
	assert.NotContains(t, text.String(), "replica-hours / scalings", "no overview of one trace")
}

func TestJSON(t *testing.T) {
	r := replay(t, "batch")
	r.Config.Spec.MaxScaleUpStep = policy.Step{Value: 3}
	var text bytes.Buffer
	require.NoError(t, JSON(&text, []Report{r}))
	var list []map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &list))
	require.Len(t, list, 1)
	assert.Equal(t, map[string]any{"name": "batch", "description": r.Trace.Description, "lengthSeconds": 14400.0, "messages": 400000.0}, list[0]["trace"])
	assert.Equal(t, map[string]any{"serviceRate": 57.0, "podStartSeconds": 5.0, "hpaSyncSeconds": 15.0, "hpaKeepsTolerance": true}, list[0]["model"])
	assert.Equal(t, map[string]any{
		"minReplicas": 0.0, "maxReplicas": 50.0, "targetQueueDepth": 100.0, "scaleUpThreshold": 150.0, "scaleDownThreshold": 50.0,
		"cooldownPeriod": 60.0, "activationQueueDepth": 0.0, "maxScaleUpStep": "3", "maxScaleDownStep": "20%",
	}, list[0]["autoScaling"])
	results, ok := list[0]["results"].([]any)
	require.True(t, ok)
	require.Len(t, results, 4)
	first, ok := results[0].(map[string]any)
	require.True(t, ok)
	assert.Equal(t, "threshold", first["autoscaler"])
	assert.InDelta(t, r.Results[0].ReplicaHours, first["replicaHours"], 0.001)
	assert.InDelta(t, 50, first["maxReplicas"], 0)
	assert.InDelta(t, 0, first["left"], 0)
	wait, ok := first["waitSeconds"].(map[string]any)
	require.True(t, ok)
	assert.InDelta(t, r.Results[0].P99.Seconds(), wait["p99"], 0.001)
}

func TestFigure(t *testing.T) {
	r := replay(t, "batch")
	figure := r.Figure()
	assert.Equal(t, 4*time.Hour, figure.Length)
	var names []string
	for _, series := range figure.Panels[1].Series {
		names = append(names, series.Name)
	}
	assert.Equal(t, []string{"this project", "KEDA redis scaler", "±1 per cooldown", "needed to keep up"}, names, "no fixed fleet")
	assert.InDelta(t, 50, slices.Max(figure.Panels[1].Series[3].Values), 0, "cut off at maxReplicas")

	for i := range r.Results[0].Depth {
		r.Results[0].Depth[i] = 1
	}
	r.Results[0].Depth = append(r.Results[0].Depth, make([]float64, 1800)...)
	assert.Equal(t, 4*time.Hour+30*time.Minute, r.Figure().Length, "a queue that outlives its trace")
}

func TestWhatIsLeftIsTold(t *testing.T) {
	config := simulation.DefaultConfig(policy.DefaultSpec())
	config.Fixed = 1
	slow := trace.Trace{Name: "slow", Description: "too much", Ramps: []trace.Ramp{{Length: time.Minute, From: 300, To: 300}}}
	var text bytes.Buffer
	require.NoError(t, New(slow, 1, config, []*simulation.Autoscaler{simulation.Fixed}).Table(&text, 60, false))
	assert.Regexp(t, `fixed 1: 1\d,\d\d\d messages were still waiting when the replay ended, 1m after the end of the trace; their waits count until then\.`, text.String())
}

func TestNumbers(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		assert.Equal(t, want, thousands(value))
	}
	for value, want := range map[float64]string{0: "0.0", 0.04: "0.0", 9.96: "10.0", 1123.44: "1,123.4", 71.35: "71.4"} {
		assert.Equal(t, want, thousandsTenths(value))
	}
	for value, want := range map[time.Duration]string{0: "0s", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 65 * time.Second: "1m5s", 10 * time.Minute: "10m"} {
		assert.Equal(t, want, shortDuration(value))
	}
	assert.Equal(t, "A b", capitalized("a b"))
}

func TestNoLineOfTheTableIsWiderThanAsked(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, replay(t, "spike").Table(&text, 120, false))
	picture, _, found := strings.Cut(text.String(), "\n\n2 to 50 replicas")
	require.True(t, found)
	for line := range strings.Lines(picture) {
		assert.LessOrEqual(t, len([]rune(line)), 121, line)
	}
}

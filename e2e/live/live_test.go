package live

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
)

var zero = time.Unix(1_800_000_000, 0)

func second(at float64) time.Time { return zero.Add(time.Duration(at * float64(time.Second))) }

// made is a delivery of the message of that number, with times in seconds.
func made(number int64, worker string, sent, start, end float64) delivery {
	return delivery{number: number, worker: worker, sent: second(sent), start: second(start), end: second(end)}
}

func TestAccount(t *testing.T) {
	got := accountOf([]delivery{made(0, "a", 0, 1, 2), made(2, "a", 0, 3, 4), made(0, "b", 0, 5, 6), made(3, "a", 0, 70, 71)}, 5)
	assert.Equal(t, account{Published: 5, Delivered: 3, Lost: 2, Extra: 1, PeakMinute: 2}, got)
	assert.Equal(t, second(1), first([]delivery{made(0, "b", 0, 5, 6), made(0, "a", 0, 1, 2)})[0].start, "the first delivery counts")
}

func TestFigures(t *testing.T) {
	var f figures
	var deliveries []delivery
	for i := range 100 {
		deliveries = append(deliveries, made(int64(i), "a", 0, float64(i+1), float64(i+2)))
	}
	f.waits(deliveries)
	f.fleet([]int32{5, 5, 9, 9, 7})
	assert.Equal(t, figures{P50: 50, P99: 99, Mean: 50.5, Max: 100, ReplicaHours: 35.0 / 3600, Scalings: 2, MostReplicas: 9}, f)
	assert.Equal(t, []scaling{{2, 5, 9}, {4, 9, 7}}, scalingsOf([]int32{5, 5, 9, 9, 7}))
	got := offPeakOf([]float64{1, 50, 100, 90, 10}, []int32{5, 5, 9, 9, 7})
	assert.Equal(t, 2, got.Seconds)
	assert.InEpsilon(t, 12.0/3600, got.ReplicaHours, 1e-9)
}

// Only between two messages of one worker, of which the second was waiting, is the time its own.
func TestServiceIsMeasuredWhereMessagesWait(t *testing.T) {
	got := serviceOf([]delivery{
		made(0, "a", 0, 1, 2), made(2, "a", 0, 2.5, 3.5), // half a second
		made(1, "b", 0, 1, 4), made(3, "b", 10, 11, 12), // it had to wait for the message
	})
	assert.Equal(t, service{Work: 1500 * time.Millisecond, Turnaround: 500 * time.Millisecond}, got)
	assert.InDelta(t, 0.5, got.rate(), 1e-9)
}

func TestSecondBySecond(t *testing.T) {
	assert.Equal(t, []float64{2, 1, 0}, depths([]delivery{made(0, "a", 0, 0.5, 1.5), made(1, "a", 0.2, 1.5, 2.5)}, zero, 3))
	wanted, ready := perSecond([]sample{{second(-1), 2, 2, 0}, {second(0.5), 3, 2, 0}, {second(2.5), 3, 3, 0}}, zero, 4)
	assert.Equal(t, []int32{3, 3, 3, 3}, wanted)
	assert.Equal(t, []int32{2, 2, 3, 3}, ready)
	spec := policy.Spec{TargetQueueDepth: 10, ScaleUpThreshold: 150}
	assert.InDelta(t, 3, reactionOf(spec, []float64{30, 31, 40, 50, 60}, []int32{2, 2, 2, 2, 4}), 0)
	assert.Zero(t, reactionOf(spec, []float64{30, 31}, []int32{2, 2}))
}

func TestPodStartsOfTheRunCount(t *testing.T) {
	s := &sampler{starts: map[string]podStart{"early": {second(-5), time.Second}, "a": {second(1), 4 * time.Second}, "b": {second(2), 6 * time.Second}}}
	assert.Equal(t, 5*time.Second, s.podStart(zero))
	assert.Equal(t, 11*time.Second/3, s.podStart(second(9)), "all, if there was none")
}

func TestScenariosNeedTheSameFleetAtAnyScale(t *testing.T) {
	for name, want := range map[string]struct {
		start  int32
		target int64
		length time.Duration
	}{"flash": {9, 50, 10 * time.Minute}, "steady": {9, 10, 8 * time.Minute}, "peak": {10, 1000, 90 * time.Second}} {
		s, err := newScenario(name, 0.1)
		require.NoError(t, err, name)
		assert.Equal(t, want.start, s.Start, name)
		assert.Equal(t, want.target, s.Spec.TargetQueueDepth, name)
		assert.Equal(t, want.length, s.Trace.Length(), name)
	}
	_, err := newScenario("wave", 1)
	require.ErrorContains(t, err, `--trace is "wave": set it to one of flash, steady, peak`)
	_, err = newScenario("flash", 0)
	require.ErrorContains(t, err, `--scale is "0"`)
}

func TestPrediction(t *testing.T) {
	s, err := newScenario("steady", 0.1)
	require.NoError(t, err)
	workers := service{Work: s.WorkTime, Turnaround: 5 * time.Millisecond}
	of := conditions{arrivals: s.Trace.Arrivals(1), workers: workers, podStart: 5 * time.Second, hpaSync: 15 * time.Second, phase: -1}
	p, err := predict(s, 1, simulation.Threshold, of)
	require.NoError(t, err)
	assert.Nil(t, p.SamePhase)
	assert.Equal(t, p.Median, p.figures())
	assert.LessOrEqual(t, p.Least.ReplicaHours, p.Median.ReplicaHours)
	assert.LessOrEqual(t, p.Median.ReplicaHours, p.Most.ReplicaHours)
	assert.InDelta(t, p.Median.ReplicaHours, p.Nearest.ReplicaHours, 1e-9)
	assert.Positive(t, p.Median.P99)
	of.phase = 0.4
	p, err = predict(s, 1, simulation.Threshold, of)
	require.NoError(t, err)
	require.NotNil(t, p.SamePhase)
	assert.Equal(t, *p.SamePhase, p.figures())
	assert.InDelta(t, p.SamePhase.ReplicaHours, p.Nearest.ReplicaHours, 1e-9)
	for _, at := range scalingsOf(p.Nearest.Replicas) {
		assert.Equal(t, 6.0, math.Mod(at.At, 15)) //nolint:testifylint // whole seconds
	}
	of.workers = service{}
	_, err = predict(s, 1, simulation.Threshold, of)
	require.ErrorContains(t, err, "serviceRate")
}

func TestPhase(t *testing.T) {
	scalings := func(seconds ...float64) (all []scaling) {
		for _, s := range seconds {
			all = append(all, scaling{At: s})
		}
		return all
	}
	assert.Equal(t, -1.0, phaseOf(nil, 15*time.Second)) //nolint:testifylint // it is set so
	assert.InDelta(t, 10.0/15, phaseOf(scalings(10, 265, 280), 15*time.Second), 1e-6)
	assert.InDelta(t, 0, math.Mod(phaseOf(scalings(14, 31), 15*time.Second)+0.5, 1)-0.5, 1e-6, "around the end of a period")
	assert.Less(t, phaseOf([]scaling{{At: -1e-16}}, 15*time.Second), 1.0, "a period has no such part")
}

// What a run wrote is enough to predict it again.
func TestAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "steady-threshold")
	require.NoError(t, os.Mkdir(dir, 0o700))
	began := time.Unix(0, 0)
	l := live{Options: Options{Trace: "steady", Policy: "threshold", Scale: 0.1, Seed: 1, HPASync: 15 * time.Second, Out: dir}}
	var distinct []delivery
	for i := range int64(40) {
		sent := began.Add(time.Duration(i) * 100 * time.Millisecond)
		distinct = append(distinct, delivery{number: i, sent: sent, start: sent, end: sent.Add(time.Second)})
	}
	run := series{began: began, wanted: []int32{9, 9, 8, 8}, ready: []int32{9, 9, 8, 8}, depth: []float64{1, 2, 3, 4}}
	result := Result{Trace: "steady", Policy: "threshold", Scale: 0.1, Seed: 1, HPASync: 15, WorkSeconds: 0.2, PodStartSeconds: 3, Scalings: scalingsOf(run.wanted)}
	require.NoError(t, l.write(result, run, distinct, "events"))

	require.NoError(t, Again(dir, io.Discard))
	text, err := os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(t, err)
	var again Result
	require.NoError(t, json.Unmarshal(text, &again))
	require.NotNil(t, again.Simulation.SamePhase)
	assert.Positive(t, again.Simulation.SamePhase.ReplicaHours)
	hours := again.Simulation.SamePhase.ReplicaHours
	again.Simulation = prediction{}
	assert.Equal(t, result, again)
	messages, err := readColumns(filepath.Join(dir, "messages.csv"))
	require.NoError(t, err)
	assert.Len(t, messages[1], 40)
	require.ErrorContains(t, Again(t.TempDir(), io.Discard), "result.json")

	result.HPAFirstSaw = new(int32(30))
	require.NoError(t, l.write(result, run, distinct, "events"))
	require.NoError(t, Again(dir, io.Discard))
	text, err = os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &again))
	assert.Greater(t, again.Simulation.SamePhase.ReplicaHours, hours)
}

func TestManifests(t *testing.T) {
	v := values{Name: "orders", Namespace: "ns", ImageTag: "v1", HandlerURL: "http://h:1", Policy: "threshold", Spec: policy.DefaultSpec(), Start: 7, CooldownSeconds: 30, WorkTime: time.Second, Seed: 3}
	for name, wants := range map[string][]string{
		"channel.yaml":   {"jawaracloud/subscriber:v1", "value: http://h:1", "cooldownPeriod: 30"},
		"keda.yaml":      {"jawaracloud/subscriber:v1", "address: dragonfly.ns.svc:6379", "listName: orders", `listLength: "100"`, "replicas: 7 "},
		"publisher.yaml": {"jawaracloud/publisher:v1", "--work-time=1s", "--seed=3"},
		"redis.yaml":     {"namespace: ns"},
	} {
		text, err := render(name, v)
		require.NoError(t, err)
		for _, want := range wants {
			assert.Contains(t, text, want, name)
		}
		for part := range strings.SplitSeq(text, "\n---\n") {
			var object map[string]any
			require.NoError(t, yaml.UnmarshalStrict([]byte(part), &object), name)
			assert.NotEmpty(t, object["kind"])
		}
		assert.NotContains(t, text, "Utilization")
	}
	v.Policy = "utilization"
	text, err := render("channel.yaml", v)
	require.NoError(t, err)
	assert.Contains(t, text, "    policy: Utilization\n    workerConcurrency: 1\n")
}

func TestRecorderWorksAsLongAsTheMessageSays(t *testing.T) {
	r := &recorder{now: time.Now}
	url, stop, err := r.listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	defer stop()
	post := func(body string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	assert.Equal(t, http.StatusNoContent, post(`{"run":"a","number":7,"sentMicros":1800000000000000,"workMicros":20000}`))
	require.Len(t, r.all(), 1)
	assert.EqualValues(t, 7, r.all()[0].number)
	assert.Equal(t, zero, r.all()[0].sent.Local())
	assert.GreaterOrEqual(t, r.all()[0].end.Sub(r.all()[0].start), 20*time.Millisecond)
	assert.Equal(t, http.StatusBadRequest, post("something else"))
	assert.Equal(t, 1, r.strange)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		require.NoError(t, wait(t.Context(), time.Hour))
		assert.Equal(t, time.Hour, time.Since(before))
	})
}

func TestComparison(t *testing.T) {
	dir := t.TempDir()
	require.ErrorContains(t, Compare(dir, "flash"), "has no run of flash")
	for _, name := range []string{"threshold", "keda"} {
		folder := filepath.Join(dir, "flash-"+name)
		require.NoError(t, os.Mkdir(folder, 0o750))
		encoded, err := json.Marshal(Result{Trace: "flash", Policy: name, Live: figures{P99: 10, ReplicaHours: 2}, Simulation: prediction{Median: figures{P99: 11, ReplicaHours: 1.8}}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "result.json"), encoded, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "seconds.csv"), []byte("second,depth,replicas,ready\n0,5,2,2\n1,9,3,2\n"), 0o600))
	}
	require.NoError(t, Compare(dir, "flash"))
	table, err := os.ReadFile(filepath.Join(dir, "flash.md"))
	require.NoError(t, err)
	assert.Contains(t, string(table), "| Threshold | measured | 0.0 s | 10.0 s |")
	assert.Contains(t, string(table), "| | off by | – | +10 % | – | -10 % |")
	picture, err := os.ReadFile(filepath.Join(dir, "flash.svg"))
	require.NoError(t, err)
	assert.True(t, bytes.Contains(picture, []byte("KEDA redis scaler")))
}

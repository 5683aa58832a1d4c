package trigger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// with is metadata of a list, with more pairs of a key and its value.
func with(pairs ...string) map[string]string {
	metadata := map[string]string{KeyChannelName: "q"}
	for i := 0; i < len(pairs); i += 2 {
		metadata[pairs[i]] = pairs[i+1]
	}
	return metadata
}

// Utilization comes with its defaults, all of which are written; Threshold is written as it always was.
func TestUtilizationHasDefaults(t *testing.T) {
	got, err := Parse(with(KeyPolicy, "Utilization"))
	require.NoError(t, err)
	assert.Equal(t, policy.ByUtilization, got.Policy.Policy)
	assert.EqualValues(t, 1, got.Policy.WorkerConcurrency)
	assert.Equal(t, policy.UtilizationSpec{Target: 80, ScaleUp: 90, ScaleDown: 70, Window: 2 * time.Minute}, got.Policy.Utilization)
	written := got.Metadata()
	for key, value := range map[string]string{
		KeyPolicy: "Utilization", KeyWorkerConcurrency: "1", KeyUtilizationTarget: "80", KeyUtilizationScaleUp: "90",
		KeyUtilizationScaleDown: "70", KeyUtilizationWindow: "2m0s",
	} {
		assert.Equal(t, value, written[key], key)
		assert.NotContains(t, Trigger{ChannelName: "q", Policy: policy.DefaultSpec()}.Metadata(), key, "a scaler that does not know it yet would refuse it")
	}
	// What a controller leaves to the defaults is written as they are.
	spec := policy.DefaultSpec()
	spec.Policy = policy.ByUtilization
	assert.Equal(t, written[KeyUtilizationWindow], Trigger{ChannelName: "q", Policy: spec}.Metadata()[KeyUtilizationWindow])
	// The concurrency may be told though the policy has no use for it.
	got, err = Parse(with(KeyPolicy, "Threshold", KeyWorkerConcurrency, "4"))
	require.NoError(t, err)
	assert.Equal(t, "4", got.Metadata()[KeyWorkerConcurrency])
}

func TestUtilizationNamesKeyValueAndRemedy(t *testing.T) {
	const order = "utilizationScaleDown, utilizationTarget and utilizationScaleUp must be from 1 to 100, each greater than the one before; they are "
	for name, test := range map[string]struct {
		pairs []string
		want  string
	}{
		"no such policy":        {[]string{KeyPolicy, "Busy"}, `policy is "Busy": it must be Threshold or Utilization`},
		"concurrency 0":         {[]string{KeyWorkerConcurrency, "0"}, `workerConcurrency is "0": it must be from 1 to 10000`},
		"concurrency too large": {[]string{KeyPolicy, "Utilization", KeyWorkerConcurrency, "10001"}, `workerConcurrency is "10001": it must be from 1 to 10000`},
		"concurrency no number": {[]string{KeyWorkerConcurrency, "x"}, `workerConcurrency is "x": it must be a whole number, for example 1`},
		"target of another":     {[]string{KeyUtilizationTarget, "80"}, `utilizationTarget is "80": it belongs to the policy Utilization, and this trigger's is Threshold: set policy to Utilization, or leave utilizationTarget out`},
		"window of another":     {[]string{KeyPolicy, "Threshold", KeyUtilizationWindow, "120s"}, `utilizationWindow is "120s": it belongs to the policy Utilization`},
		"up of another":         {[]string{KeyUtilizationScaleUp, "90"}, `utilizationScaleUp is "90": it belongs`},
		"down of another":       {[]string{KeyUtilizationScaleDown, "70"}, `utilizationScaleDown is "70": it belongs`},
		"target above up":       {[]string{KeyPolicy, "Utilization", KeyUtilizationTarget, "95"}, `utilizationTarget is "95": ` + order + "70, 95 and 90"},
		"down at the target":    {[]string{KeyPolicy, "Utilization", KeyUtilizationScaleDown, "80"}, order + "80, 80 and 90"},
		"down 0":                {[]string{KeyPolicy, "Utilization", KeyUtilizationScaleDown, "0"}, order + "0, 80 and 90"},
		"up above 100":          {[]string{KeyPolicy, "Utilization", KeyUtilizationScaleUp, "101"}, order + "70, 80 and 101"},
		"secret":                {[]string{KeyPolicy, "Utilization", KeyUtilizationTarget + FromEnvSuffix, "95"}, `utilizationTarget is "…": ` + order + "70, … and 90"},
		"window too short":      {[]string{KeyPolicy, "Utilization", KeyUtilizationWindow, "14s"}, `utilizationWindow is "14s": it must be from 15s to 1h`},
		"window too long":       {[]string{KeyPolicy, "Utilization", KeyUtilizationWindow, "3601s"}, `utilizationWindow is "3601s": it must be from 15s to 1h`},
		"window without a unit": {[]string{KeyPolicy, "Utilization", KeyUtilizationWindow, "120"}, `utilizationWindow is "120": it must be a duration with its unit`},
		"sorted set":            {[]string{KeyPolicy, "Utilization", KeyQueueType, "SortedSet"}, `policy is "Utilization": nothing on the server shows the work in flight of a SortedSet, so nobody can tell how busy its workers are; set policy to Threshold, or use a Stream`},
		"Pub/Sub":               {[]string{KeyPolicy, "Utilization", KeyQueueType, "PubSub"}, "the work in flight of a PubSub"},
		"Arq":                   {[]string{KeyPolicy, "Utilization", KeyPreset, "Arq"}, "the work in flight of the preset Arq, so nobody can tell how busy its workers are; set policy to Threshold, or use one of the presets Sidekiq, Celery, "},
		"Celery without":        {[]string{KeyPolicy, "Utilization", KeyPreset, "Celery", KeyInFlight, "None"}, `with inFlight None no work in flight counts, so nobody can tell how busy the workers are; set policy to Threshold, or inFlight to Queue`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(with(test.pairs...))
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n", "one error")
		})
	}
}

// All that may show work in flight is let through: a list may have our workers.
func TestUtilizationIsForQueuesThatShowWork(t *testing.T) {
	for _, pairs := range [][]string{{}, {KeyQueueType, "List"}, {KeyQueueType, "Stream"}, {KeyPreset, "Celery", KeyInFlight, "Queue"}} {
		_, err := Parse(with(append(pairs, KeyPolicy, "Utilization", KeyUtilizationWindow, "15s")...))
		assert.NoError(t, err, "%v", pairs)
	}
	for _, f := range framework.All() {
		_, err := Parse(with(KeyPreset, f.Name, KeyPolicy, "Utilization"))
		assert.Equal(t, f.Name != "Arq", err == nil, "%s: %v", f.Name, err)
	}
}

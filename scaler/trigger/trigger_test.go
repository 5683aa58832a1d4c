package trigger

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

func TestParseDefaults(t *testing.T) {
	got, err := Parse(map[string]string{"channelName": "orders"})
	require.NoError(t, err)
	assert.Equal(t, Trigger{
		ChannelName: "orders",
		Queue:       Queue{Type: Auto, InFlight: InFlightOfDatabase, Scheduled: ScheduledCount, Score: AnyScore},
		Redis:       Redis{Address: "dragonfly:6379", Mode: Standalone},
		Policy: policy.Spec{
			Policy: policy.ByThreshold, MinReplicas: 1, MaxReplicas: 10, TargetQueueDepth: 100, ScaleUpThreshold: 150, ScaleDownThreshold: 50,
			Cooldown: 60 * time.Second, MaxScaleDownStep: policy.Step{Value: 20, Percent: true},
		},
	}, got)
}

func complete() map[string]string {
	return map[string]string{
		"channelName": "orders", "redisAddress": "[::1]:6380", "queueType": "Stream", "consumerGroup": "workers",
		"minReplicas": "0", "maxReplicas": "50", "targetQueueDepth": "500", "scaleUpThreshold": "150",
		"scaleDownThreshold": "40", "cooldownPeriod": "30", "activationQueueDepth": "5",
		"maxScaleUpStep": "10", "maxScaleDownStep": "25%",
	}
}

func TestMetadataIsTheInverseOfParse(t *testing.T) {
	tests := map[string]func(map[string]string){
		"every key":        func(map[string]string) {},
		"no limit down":    func(m map[string]string) { m["maxScaleDownStep"] = "none" },
		"no limit up":      func(m map[string]string) { delete(m, "maxScaleUpStep") },
		"state in the key": func(m map[string]string) { m["currentReplicas"] = "3"; m["lastScaleTime"] = "2026-01-02T15:04:05Z" },
	}
	for name, mutate := range tests {
		t.Run(name, func(t *testing.T) {
			metadata := complete()
			mutate(metadata)
			parsed, err := Parse(metadata)
			require.NoError(t, err)
			assert.Equal(t, metadata, parsed.Metadata())
		})
	}
}

func TestKEDAsOwnKeysArePassedOver(t *testing.T) {
	metadata := complete()
	want, err := Parse(metadata)
	require.NoError(t, err)
	maps.Copy(metadata, map[string]string{"scalerAddress": "scaler:9090", "enableTLS": "true", "unsafeSsl": "false"})
	got, err := Parse(metadata)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestKeysFromTheEnvironment(t *testing.T) {
	metadata := complete()
	want, err := Parse(metadata)
	require.NoError(t, err)
	for _, key := range []string{"redisAddress", "channelName", "maxReplicas"} {
		metadata[key+"FromEnv"] = metadata[key]
		_, err = Parse(metadata)
		require.ErrorContains(t, err, key+"FromEnv gives it too")
		delete(metadata, key)
	}
	before := maps.Clone(metadata)
	got, err := Parse(metadata)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, before, metadata, "the caller's map is left alone")
	assert.Equal(t, []string{"channelNameFromEnv", "maxReplicasFromEnv", "redisAddressFromEnv"}, FromEnv(metadata))
	_, err = Parse(map[string]string{"channelName": "q", "sizeFromEnv": "5"})
	require.ErrorContains(t, err, `sizeFromEnv is "…": there is no such key`)
}

func TestParseNamesKeyValueAndRemedy(t *testing.T) {
	tests := map[string]struct{ key, value, want string }{
		"no channel":         {"channelName", "", `channelName is "": it must be the key of the list, stream or sorted set`},
		"scheme":             {"redisAddress", "redis://dragonfly:6379", `redisAddress is "redis://dragonfly:6379": it must be host:port without a scheme`},
		"no port":            {"redisAddress", "dragonfly", `redisAddress is "dragonfly": it must be host:port`},
		"port too large":     {"redisAddress", "dragonfly:70000", `the port "70000" must be a number from 1 to 65535`},
		"unknown type":       {"queueType", "Set", `queueType is "Set": it must be Auto, List, Stream, SortedSet or PubSub`},
		"not a number":       {"targetQueueDepth", "many", `targetQueueDepth is "many": it must be a whole number, for example 100`},
		"fraction":           {"cooldownPeriod", "1.5", `cooldownPeriod is "1.5": it must be a whole number, for example 60`},
		"too large a number": {"maxReplicas", "99999999999", `maxReplicas is "99999999999": it must be a whole number`},
		"target 0":           {"targetQueueDepth", "0", "targetQueueDepth is 0: it must be from 1"},
		"down not below up":  {"scaleUpThreshold", "40", "scaleDownThreshold is 40, not less than scaleUpThreshold 40"},
		"min above max":      {"minReplicas", "51", "minReplicas is 51, greater than maxReplicas 50"},
		"step":               {"maxScaleDownStep", "-3", `maxScaleDownStep is "-3": it must be a number of replicas from 1, a percentage such as "20%", or "none"`},
		"misspelt key":       {"targetQueuDepth", "5", `targetQueuDepth is "…": there is no such key; the keys are activationQueueDepth, caFromSecret, channelName`},
		"a line break":       {"tlsServerName", "red\nis", `tlsServerName is "red\nis": it holds a line break`},
		"a control":          {"sentinelMaster", "m\x00", `sentinelMaster is "m\x00": it holds a line break or another control character`},
		"time":               {"lastScaleTime", "yesterday", `lastScaleTime is "yesterday": it must be a time of RFC 3339`},
		"replicas":           {"currentReplicas", "-1", `currentReplicas is "-1": it must be from 0 to 1000000`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			metadata := complete()
			metadata[test.key] = test.value
			_, err := Parse(metadata)
			require.ErrorContains(t, err, test.want)
		})
	}
	t.Run("a list has no group", func(t *testing.T) {
		metadata := complete()
		metadata["queueType"] = "List"
		_, err := Parse(metadata)
		require.ErrorContains(t, err, `consumerGroup is "workers": only a stream has consumer groups`)
	})
	t.Run("all errors at once", func(t *testing.T) {
		_, err := Parse(map[string]string{"redisAddress": "x", "maxReplicas": "y"})
		require.ErrorContains(t, err, "channelName")
		require.ErrorContains(t, err, "redisAddress")
		require.ErrorContains(t, err, "maxReplicas")
	})
}

func FuzzParse(f *testing.F) {
	f.Add("orders", "dragonfly:6379", "Auto", "100", "20%")
	f.Add("", "::::", "auto", "-1", "%%")
	f.Fuzz(func(t *testing.T, channel, address, queueType, number, step string) {
		parsed, err := Parse(map[string]string{
			"channelName": channel, "redisAddress": address, "queueType": queueType,
			"targetQueueDepth": number, "maxReplicas": number, "maxScaleUpStep": step,
		})
		if err != nil {
			return
		}
		again, err := Parse(parsed.Metadata())
		require.NoError(t, err)
		require.Equal(t, parsed, again)
	})
}

package trigger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
)

// Each value that there is can be named, and is read and written as it is.
func TestEveryValueIsRead(t *testing.T) {
	for _, value := range declared.Values[QueueType](t) {
		assert.Equal(t, value, again(t, KeyQueueType, string(value)).Queue.Type)
	}
	for _, value := range declared.Values[Preset](t) {
		assert.Equal(t, value, again(t, KeyPreset, string(value)).Queue.Preset)
	}
	for _, value := range declared.Values[Score](t) {
		assert.Equal(t, value, again(t, KeyScore, string(value)).Queue.Score)
	}
	for _, value := range declared.Values[Mode](t) {
		got := again(t, KeyRedisMode, string(value), KeySentinelMaster, map[bool]string{true: "mymaster"}[value == Sentinel])
		assert.Equal(t, value, got.Redis.Mode)
	}
}

// again reads metadata, and once more what was rendered of it.
func again(t *testing.T, pairs ...string) Trigger {
	t.Helper()
	metadata := map[string]string{KeyChannelName: "q"}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			metadata[pairs[i]] = pairs[i+1]
		}
	}
	first, err := Parse(metadata)
	require.NoError(t, err)
	second, err := Parse(first.Metadata())
	require.NoError(t, err)
	require.Equal(t, first, second)
	return second
}

// What does not go with a preset is refused for each of them, the next one included.
func TestWhatAPresetAllows(t *testing.T) {
	type rules struct{ cluster, age, prefix bool }
	tests := map[Preset]rules{
		"":      {cluster: true, age: true},
		Sidekiq: {age: true, prefix: true},
		Celery:  {prefix: true},
		BullMQ:  {age: true, prefix: true}, // a cluster only with a hash tag
		Asynq:   {cluster: true, age: true},
		RQ:      {age: true},
	}
	for _, preset := range append(declared.Values[Preset](t), "") {
		t.Run(string(preset), func(t *testing.T) {
			require.Contains(t, tests, preset, "does it work on a cluster, with maxAge, with a prefix?")
			allows := func(key, value string) bool {
				_, err := Parse(map[string]string{KeyChannelName: "q", KeyPreset: string(preset), key: value})
				return err == nil
			}
			assert.Equal(t, tests[preset], rules{cluster: allows(KeyRedisMode, "Cluster"), age: allows(KeyMaxAge, "1m"), prefix: allows(KeyKeyPrefix, "p")})
		})
	}
	for _, preset := range []Preset{Sidekiq, Celery, RQ} {
		_, err := Parse(map[string]string{KeyChannelName: "q", KeyPreset: string(preset), KeyRedisMode: "Cluster"})
		assert.ErrorContains(t, err, "its keys are on several nodes")
	}
	p := parser{metadata: map[string]string{}}
	p.checkClusterQueue(Trigger{Queue: Queue{Preset: "Resque"}})
	assert.Len(t, p.errs, 1, "of a preset without a rule it is not known")
}

// Each key is read, and its value shown unless it is a password.
func TestEveryKeyIsKnown(t *testing.T) {
	keys := declared.Strings(t, "github.com/jawaracloud/pubsub-operator/scaler/trigger", "Key")
	ours := 0
	for name, key := range keys {
		if kedaKeys[key] {
			assert.False(t, known[key], "%s means something to the scaler, or to KEDA alone", name)
			continue
		}
		ours++
		assert.True(t, known[key], name)
		password := strings.HasSuffix(name, "Password")
		assert.Equal(t, password, hidden[key], name)
		p := parser{metadata: map[string]string{key: "value"}}
		p.fail(key, "it is wrong")
		assert.Equal(t, password, !strings.Contains(p.errs[0].Error(), "value"), "%v", p.errs[0])
	}
	assert.Len(t, known, ours)
	passed := []string{"scalerAddress", "enableTLS", "unsafeSsl", KeyCertificatesHash} // the first three: KEDA 2.21, externalScalerMetadata
	for _, key := range passed {
		_, err := Parse(map[string]string{KeyChannelName: "q", key: "x"})
		assert.NoError(t, err)
	}
	assert.Len(t, kedaKeys, len(passed))
}

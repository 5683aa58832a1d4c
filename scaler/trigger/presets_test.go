package trigger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// Each value that there is can be named, and is read and written as it is.
func TestEveryValueIsRead(t *testing.T) {
	for _, value := range declared.Values[QueueType](t) {
		assert.Equal(t, value, again(t, KeyQueueType, string(value)).Queue.Type)
	}
	for _, f := range framework.All() {
		assert.Equal(t, Preset(f.Name), again(t, KeyPreset, f.Name).Queue.Preset)
	}
	for _, value := range declared.Values[Score](t) {
		assert.Equal(t, value, again(t, KeyScore, string(value)).Queue.Score)
	}
	for _, value := range declared.Values[InFlight](t) {
		assert.Equal(t, value, again(t, KeyPreset, "Celery", KeyInFlight, string(value)).Queue.InFlight)
	}
	for _, value := range declared.Values[Scheduled](t) {
		assert.Equal(t, value, again(t, KeyPreset, "RQ", KeyScheduled, string(value)).Queue.Scheduled)
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

// What does not go with a preset is refused for each of them, and nothing else is.
func TestWhatAPresetAllows(t *testing.T) {
	parse := func(pairs ...string) error {
		metadata := map[string]string{KeyChannelName: "q"}
		for i := 0; i < len(pairs); i += 2 {
			metadata[pairs[i]] = pairs[i+1]
		}
		_, err := Parse(metadata)
		return err
	}
	allowed := func(t *testing.T, is bool, words string, pairs ...string) {
		t.Helper()
		err := parse(pairs...)
		assert.Equal(t, is, err == nil, "%v", err)
		if !is {
			assert.ErrorContains(t, err, words)
		}
	}
	for _, f := range framework.All() {
		t.Run(f.Name, func(t *testing.T) {
			allowed(t, f.HasAges(), "nothing records when a message of "+f.Name+" came", KeyPreset, f.Name, KeyMaxAge, "1m")
			allowed(t, f.Prefix != nil, "; leave it out: the keys of "+f.Name+" have none", KeyPreset, f.Name, KeyKeyPrefix, "p")
			allowed(t, f.SharesInFlight(), `inFlight is "None": it belongs to the preset Celery; leave it out`, KeyPreset, f.Name, KeyInFlight, "None")
			allowed(t, true, "", KeyPreset, f.Name, KeyInFlight, "Database")
			allowed(t, f.HasScheduler(), `scheduled is "Ignore": it belongs to the preset RQ; leave it out`, KeyPreset, f.Name, KeyScheduled, "Ignore")
			for key, value := range map[string]string{KeyPrioritySteps: "0,5", KeyPrioritySeparator: ":"} {
				allowed(t, f.Priorities != nil, key+" is \""+value+"\": it belongs to the preset Celery; leave it out", KeyPreset, f.Name, key, value)
			}
			words := map[framework.Cluster]string{framework.SeveralNodes: "its keys are on several nodes", framework.TaggedByUser: "on a cluster " + f.Name + " needs a hash tag, so", framework.TaggedByPrefix: "on a cluster " + f.Name + " needs a hash tag in it, so"}[f.Cluster]
			allowed(t, f.Cluster == framework.OneNode, words, KeyPreset, f.Name, KeyRedisMode, "Cluster")
			allowed(t, f.Cluster == framework.OneNode || f.Cluster == framework.TaggedByUser, words, KeyPreset, f.Name, KeyRedisMode, "Cluster", KeyChannelName, "{q}")
			if f.Cluster == framework.TaggedByUser || f.Cluster == framework.TaggedByPrefix {
				assert.ErrorContains(t, parse(KeyPreset, f.Name, KeyRedisMode, "Cluster"), "make it "+f.Prefix.Tagged+", for example")
				assert.NoError(t, parse(KeyPreset, f.Name, KeyRedisMode, "Cluster", KeyKeyPrefix, f.Prefix.Tagged))
			}
		})
	}
	allowed(t, false, "it belongs to the presets Sidekiq, Celery, BullMQ, RQ, Laravel, Bull and BeeQueue; leave it out, and write keys in full", KeyKeyPrefix, "p")
	allowed(t, false, "it must be Sidekiq, Celery", KeyPreset, "sidekiq")
	p := parser{metadata: map[string]string{}}
	p.checkClusterQueue(Trigger{Queue: Queue{Preset: "Resque"}})
	assert.Len(t, p.errs, 1, "of a preset without a value it is not known")
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

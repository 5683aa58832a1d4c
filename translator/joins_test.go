package translator

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/declared"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// What a channel may name, the scaler's trigger knows by the same name, and nothing else.
func TestEveryValueOfTheAPIReachesTheTrigger(t *testing.T) {
	parsed := func(change func(*v1.PubSubChannelSpec)) trigger.Trigger {
		t.Helper()
		channel := testChannel(func(c *v1.PubSubChannel) { change(&c.Spec) })
		require.NoError(t, checkTrigger(triggerFor(channel)))
		got, err := trigger.Parse(triggerFor(channel).Metadata())
		require.NoError(t, err)
		return got
	}
	for _, value := range declared.Values[v1.QueueType](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) { s.Queue = &v1.QueueSpec{Type: value} })
		assert.Equal(t, string(value), string(got.Queue.Type))
	}
	for _, value := range declared.Values[v1.QueuePreset](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) { s.Queue = &v1.QueueSpec{Preset: value} })
		assert.Equal(t, string(value), string(got.Queue.Preset))
	}
	for _, value := range declared.Values[v1.SortedSetScore](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) {
			s.Queue = &v1.QueueSpec{Type: v1.QueueTypeSortedSet, Score: value}
		})
		assert.Equal(t, string(value), string(got.Queue.Score))
	}
	for _, value := range declared.Values[v1.InFlight](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) {
			s.Queue = &v1.QueueSpec{Preset: v1.PresetCelery, InFlight: value}
		})
		assert.Equal(t, string(value), string(got.Queue.InFlight))
	}
	for _, value := range declared.Values[v1.Scheduled](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) {
			s.Queue = &v1.QueueSpec{Preset: v1.PresetRQ, Scheduled: value}
		})
		assert.Equal(t, string(value), string(got.Queue.Scheduled))
	}
	for _, value := range declared.Values[v1.RedisMode](t) {
		got := parsed(func(s *v1.PubSubChannelSpec) {
			s.Redis = &v1.RedisSpec{Mode: value}
			if value == v1.RedisModeSentinel {
				s.Redis.SentinelMaster = "mymaster"
			}
		})
		assert.Equal(t, string(value), string(got.Redis.Mode))
	}
	assert.Len(t, declared.Values[v1.QueueType](t), len(declared.Values[trigger.QueueType](t)))
	assert.Len(t, declared.Values[v1.QueuePreset](t), len(framework.All()))
	assert.Len(t, declared.Values[v1.SortedSetScore](t), len(declared.Values[trigger.Score](t)))
	assert.Len(t, declared.Values[v1.InFlight](t), len(declared.Values[trigger.InFlight](t)))
	assert.Len(t, declared.Values[v1.Scheduled](t), len(declared.Values[trigger.Scheduled](t)))
	assert.Len(t, declared.Values[v1.RedisMode](t), len(declared.Values[trigger.Mode](t)))
}

// conditionReason is what the API server takes as a condition's reason (metav1.Condition).
var conditionReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// Each reason of the scaler's, also of one that is newer than this controller, is one that the
// API server takes: it would refuse the status as a whole.
func TestEveryReasonOfTheScalersFitsACondition(t *testing.T) {
	for number := range inspectv1.Reason_name {
		assert.Regexp(t, conditionReason, reasonName(inspectv1.Reason(number)))
	}
	assert.Equal(t, v1.ReasonDecisionUnknown, reasonName(99))
}

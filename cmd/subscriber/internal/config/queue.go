package config

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// queueType refuses what this worker can't consume, and says who can.
func (p *parser) queueType() QueueType {
	if p.getenv(EnvQueuePreset) != "" {
		p.fail(EnvQueuePreset, "only a framework's own workers can process its jobs: set the channel's image to your own workers")
		return Auto
	}
	if p.getenv(EnvQueueType) == string(trigger.SortedSet) {
		p.fail(EnvQueueType, "this image does not consume sorted sets: without a script on the server no message can be taken from one "+
			"and kept at the same time, so that it would be lost with its worker: set the channel's image to workers of your own")
		return Auto
	}
	return QueueType(p.oneOf(EnvQueueType, string(Auto), string(List), string(Stream), string(PubSub)))
}

// keys are the queue's; c is complete except for them.
func (p *parser) keys(c Config) []string {
	keys := []string{c.Channel}
	name := EnvChannel
	if value := p.getenv(EnvQueueKeys); value != "" {
		name, keys = EnvQueueKeys, nil
		if err := json.Unmarshal([]byte(value), &keys); err != nil {
			p.fail(name, `set it to a JSON array of strings, for example ["orders","payments"]`)
			return nil
		}
	}
	sorted := slices.Sorted(slices.Values(keys))
	switch {
	case len(keys) == 0 || len(keys) > trigger.MaxKeys:
		p.fail(name, "set it to 1 to %d keys", trigger.MaxKeys)
	case name == EnvQueueKeys && slices.Contains(keys, ""):
		p.fail(name, "one of the keys is empty: leave it out")
	case len(slices.Compact(sorted)) < len(keys):
		p.fail(name, "a key is named twice: name each once")
	}
	if c.Redis.Mode != connection.Cluster || c.QueueType == PubSub {
		return keys
	}
	for _, key := range keys {
		if slotPart(key) != slotPart(queue.ConsumersKey(key)) {
			p.fail(name, "in a cluster the key %q can't be the hash tag of its other keys: use a key without } or with a hash tag such as {orders}", key)
		}
	}
	return keys
}

// slotPart is the part of a key that decides its slot (Redis Cluster specification, "Hash
// tags").
func slotPart(key string) string {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open:], '}'); length > 1 {
			return key[open+1 : open+length]
		}
	}
	return key
}

package queue_test

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// These are fixtures that follow bee-queue's layout (lib/lua); it is run for real in an integration
// test.
func TestBeeQueueFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	testPreset(t, client, framework.BeeQueue, false, map[string]presetCase{
		"nothing": {names: []string{"a"}},
		"two queues, and one that is not asked about": {names: []string{"a", "b"}, ready: 5,
			prepare: steps{push(2, "bq:a:waiting"), push(3, "bq:b:waiting"), push(9, "bq:c:waiting")}},
		"trap: what may be stalled is active already": {names: []string{"a"}, ready: 1, inFlight: 2,
			prepare: steps{push(1, "bq:a:waiting"), do("LPUSH", "bq:a:active", "8", "9"), do("SADD", "bq:a:stalling", "8", "9")}},
		"delayed jobs that are due, and not those later": {names: []string{"a"}, ready: 3,
			prepare: steps{push(1, "bq:a:waiting"), do("ZADD", "bq:a:delayed", ms(-60), "d1", ms(0), "d2", ms(0.001), "d3", ms(60), "d4")}},
		"trap: what is done does not count": {names: []string{"a"},
			prepare: steps{do("HSET", "bq:a:jobs", "1", "{}", "2", "{}"), do("SADD", "bq:a:succeeded", "1"), do("SADD", "bq:a:failed", "2"), do("SET", "bq:a:id", "2")}},
		"prefix": {prefix: "shop", names: []string{"a"}, ready: 3, inFlight: 1,
			prepare: steps{push(3, "shop:a:waiting"), push(1, "shop:a:active"), push(9, "bq:a:waiting")}},
	})
	words := ", as it does for BeeQueue: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.BeeQueue, "", []string{"a"}, false), map[string]string{
		"bq:a:waiting": "hold a list" + words, "bq:a:active": "hold a list" + words, "bq:a:delayed": "hold a sorted set" + words,
	})
}

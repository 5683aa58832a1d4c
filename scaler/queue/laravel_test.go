package queue_test

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// These are fixtures that follow Laravel's layout (illuminate/queue, RedisQueue.php,
// LuaScripts.php); it is run for real in an integration test.
func TestLaravelFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	testPreset(t, client, framework.Laravel, false, map[string]presetCase{
		"nothing": {names: []string{"a"}},
		"two queues, and one that is not asked about": {names: []string{"a", "b"}, ready: 5,
			prepare: steps{push(2, "queues:a"), push(3, "queues:b"), push(9, "queues:c")}},
		"trap: what wakes the workers is no job": {names: []string{"a"}, ready: 2,
			prepare: steps{push(2, "queues:a"), push(2, "queues:a:notify")}},
		"delayed jobs that are due, and not those later": {names: []string{"a"}, ready: 3,
			prepare: steps{push(1, "queues:a"), do("ZADD", "queues:a:delayed", seconds(-60), "d1", seconds(0), "d2", seconds(0.001), "d3", seconds(60), "d4")}},
		"reserved jobs are in work": {names: []string{"a"}, ready: 1, inFlight: 2,
			prepare: steps{push(1, "queues:a"), do("ZADD", "queues:a:reserved", seconds(30), "r1", seconds(90), "r2")}},
		"trap: a reservation that has ended is ready, and counts once": {names: []string{"a"}, ready: 2, inFlight: 1,
			prepare: steps{do("ZADD", "queues:a:reserved", seconds(-60), "r1", seconds(0), "r2", seconds(0.001), "r3")}},
		"the connection's prefix": {prefix: "shop_database_", names: []string{"a"}, ready: 3, inFlight: 1,
			prepare: steps{push(2, "shop_database_queues:a"), do("ZADD", "shop_database_queues:a:delayed", seconds(-1), "d"),
				do("ZADD", "shop_database_queues:a:reserved", seconds(9), "r"), push(9, "queues:a")}},
		"a name in braces, as on a cluster": {names: []string{"{a}"}, ready: 2, prepare: steps{push(2, "queues:{a}")}},
	})
	words := ", as it does for Laravel: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.Laravel, "", []string{"a"}, false), map[string]string{
		"queues:a": "hold a list" + words, "queues:a:delayed": "hold a sorted set" + words, "queues:a:reserved": "hold a sorted set" + words,
	})
}

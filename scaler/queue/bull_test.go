package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// These are fixtures that follow Bull's layout (lib/commands); it is run for real in an integration
// test.
func TestBullFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	job := func(list, id string, added time.Time) steps {
		return steps{do("LPUSH", "bull:a:"+list, id), do("HSET", "bull:a:"+id, "name", "x", "timestamp", added.UnixMilli())}
	}
	delayed := func(after time.Duration, counter int64) string {
		return fmt.Sprint(now.Add(after).UnixMilli()<<12 + counter)
	}
	waiting := all(job("wait", "1", ago(45*time.Second)), job("wait", "2", ago(5*time.Second)))
	later := do("ZADD", "bull:a:delayed", delayed(-60*time.Second, 7), "d1", delayed(0, 4095), "d2", delayed(time.Millisecond, 0), "d3", delayed(time.Hour, 1), "d4")
	working := do("LPUSH", "bull:a:active", "8", "9")
	testPreset(t, client, framework.Bull, true, map[string]presetCase{
		"nothing":                             {names: []string{"a"}},
		"waiting":                             {names: []string{"a"}, prepare: waiting, ready: 2, oldest: ago(45 * time.Second)},
		"trap: a priority is in wait already": {names: []string{"a"}, ready: 2, oldest: ago(45 * time.Second), prepare: all(waiting, steps{do("ZADD", "bull:a:priority", 5, "2")})},
		"active":                              {names: []string{"a"}, ready: 2, inFlight: 2, oldest: ago(45 * time.Second), prepare: all(waiting, steps{working, do("SADD", "bull:a:stalled", "8")})},
		"delayed jobs that are due":           {names: []string{"a"}, ready: 2, oldest: ago(60 * time.Second), prepare: steps{later}},
		"what is done does not count":         {names: []string{"a"}, prepare: steps{do("ZADD", "bull:a:completed", ms(-1), "1"), do("ZADD", "bull:a:failed", ms(-1), "2")}},
		"trap: of a paused queue only what is in work counts": {names: []string{"a"}, inFlight: 2,
			prepare: all(job("paused", "3", ago(time.Hour)), steps{later, working, do("SET", "bull:a:meta-paused", 1), do("HSET", "bull:a:meta", "paused", 1)})},
		"trap: a job that a worker put back while the queue is paused": {names: []string{"a"},
			prepare: all(waiting, steps{do("SET", "bull:a:meta-paused", 1)})},
		"n8n's queue with a prefix of its own": {prefix: "n8n", names: []string{"jobs"}, ready: 3, inFlight: 1,
			prepare: steps{push(3, "n8n:jobs:wait"), push(1, "n8n:jobs:active"), push(9, "bull:jobs:wait")}},
		"prefix in braces, as on a cluster": {prefix: "{bull}", names: []string{"a"}, ready: 2, prepare: steps{push(2, "{bull}:a:wait")}},
	})
	words := ", as it does for Bull: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.Bull, "", []string{"a"}, true), map[string]string{
		"bull:a:wait": "hold a list" + words, "bull:a:active": "hold a list" + words,
		"bull:a:delayed": "hold a sorted set" + words, "bull:a:id": "hold a string" + words,
	})
}

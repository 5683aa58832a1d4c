//go:build integration

package brokertest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// fixture is queues of one kind, filled as their framework or Redis's documentation says,
// and what they come to.
type fixture struct {
	name     string
	queues   []queue.Queue
	fill     func(t *testing.T, d *deployment)
	ready    int64
	inFlight int64
	atLeast  bool   // ready is a lower bound
	alone    string // why it can't be in a cluster; empty: it can
}

// Each has something that a naive reading gets wrong: work in flight, what is not due yet,
// markers, priorities, registries of what is done.
func fixtures() []fixture {
	return []fixture{
		{name: "List", queues: []queue.Queue{{Key: "jobs", Kind: queue.List}}, fill: fillList("jobs"), ready: 2, inFlight: 1},
		{name: "Stream", queues: []queue.Queue{{Key: "events", Kind: queue.Stream, Group: "g"}}, fill: fillStream("events"), ready: 3, inFlight: 2},
		{name: "SortedSet", queues: []queue.Queue{{Key: "due", Kind: queue.SortedSet, Score: queue.UnixSeconds}}, fill: fillSortedSet("due"), ready: 2},
		{name: "PubSub", queues: []queue.Queue{{Key: "news", Kind: queue.PubSub}}, fill: fillPubSub("news"), ready: 1, atLeast: true},
		{
			name:   "Auto",
			queues: []queue.Queue{{Key: "auto-list", Kind: queue.Auto}, {Key: "auto-stream", Kind: queue.Auto}, {Key: "auto-none", Kind: queue.Auto}},
			fill: func(t *testing.T, d *deployment) {
				fillList("auto-list")(t, d)
				fillStream("auto-stream")(t, d)
			},
			ready: 5, inFlight: 3,
		},
		{
			name: "Sidekiq", queues: queue.OfPreset(framework.Sidekiq, "", []string{"default", "mailers"}, false), fill: fillSidekiq,
			ready: 5, inFlight: 2, alone: "its keys share no hash tag",
		},
		{
			name: "Celery", queues: queue.OfPreset(framework.Celery, "", []string{"celery"}, false), fill: fillCelery,
			ready: 5, inFlight: 2, alone: "kombu does not speak to a cluster",
		},
		{name: "BullMQ", queues: queue.OfPreset(framework.BullMQ, "", []string{"{mail}"}, false), fill: fillBullMQ, ready: 4, inFlight: 1},
		{name: "Asynq", queues: queue.OfPreset(framework.Asynq, "", []string{"mail"}, false), fill: fillAsynq, ready: 4, inFlight: 1},
		{
			name: "RQ", queues: queue.OfPreset(framework.RQ, "", []string{"mail"}, false), fill: fillRQ,
			ready: 3, inFlight: 1, alone: "its keys share no hash tag",
		},
	}
}

func seconds(in time.Duration) string { return strconv.FormatInt(time.Now().Add(in).Unix(), 10) }

func fillList(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		run(t, d.client,
			[]any{"LPUSH", key, "a", "b", "c"},
			[]any{"ZADD", queue.ConsumersKey(key), seconds(0), "worker-1"},
			[]any{"LMOVE", key, queue.ProcessingKey(key, "worker-1"), "RIGHT", "LEFT"})
	}
}

func fillStream(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		for range 5 {
			run(t, d.client, []any{"XADD", key, "*", "a", "b"})
		}
		run(t, d.client, []any{"XGROUP", "CREATE", key, "g", "0"}, []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", key, ">"})
	}
}

func fillSortedSet(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		run(t, d.client, []any{"ZADD", key, seconds(-time.Hour), "a", seconds(-time.Minute), "b", seconds(time.Hour), "c"})
	}
}

// holding is a client for which the server holds something.
var holding = regexp.MustCompile(` omem=[1-9]`)

// fillPubSub has a subscriber that does not read, and publishes until the server keeps
// what the kernel's buffers don't take.
func fillPubSub(channel string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		node := d.nodeOf(channel).Client()
		subscriber := node.Subscribe(t.Context(), channel)
		t.Cleanup(func() { _ = subscriber.Close() })
		_, err := subscriber.Receive(t.Context())
		require.NoError(t, err)
		message := strings.Repeat("x", 1<<20)
		held := 0 // looks in a row at which the server had something: it writes what it can in between
		require.Eventually(t, func() bool {
			list, err := node.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text()
			if !assert.NoError(t, err) {
				return true
			}
			if held++; !holding.MatchString(list) {
				held = 0
				assert.NoError(t, node.Publish(t.Context(), channel, message).Err())
			}
			return held == 20
		}, deadline, poll)
	}
}

func fillSidekiq(t *testing.T, d *deployment) {
	job := func(queue string) string {
		return fmt.Sprintf(`{"class":"Mail","args":[],"queue":%q,"jid":"1","created_at":1,"enqueued_at":1}`, queue)
	}
	run(t, d.client,
		[]any{"SADD", "queues", "default", "mailers"},
		[]any{"LPUSH", "queue:default", job("default"), job("default")},
		[]any{"LPUSH", "queue:mailers", job("mailers")},
		[]any{"ZADD", "schedule", seconds(-time.Minute), job("default"), seconds(time.Hour), job("mailers")},
		[]any{"ZADD", "retry", seconds(-time.Minute), job("mailers")},
		[]any{"ZADD", "dead", seconds(-time.Minute), job("mailers")},
		[]any{"SADD", "processes", "host:1:a", "host:2:b", "host:3:gone"},
		[]any{"HSET", "host:1:a", "info", `{"queues":["default"]}`, "busy", "2"},
		[]any{"HSET", "host:2:b", "info", `{"queues":["another"]}`, "busy", "4"})
}

func fillCelery(t *testing.T, d *deployment) {
	run(t, d.client,
		[]any{"LPUSH", "celery", "{}", "{}"},
		[]any{"LPUSH", "celery\x06\x163", "{}"}, []any{"LPUSH", "celery\x06\x166", "{}"}, []any{"LPUSH", "celery\x06\x169", "{}"},
		[]any{"HSET", "unacked", "tag-1", "[]", "tag-2", "[]"},
		[]any{"ZADD", "unacked_index", seconds(0), "tag-1", seconds(0), "tag-2"})
}

func fillBullMQ(t *testing.T, d *deployment) {
	score := func(in time.Duration) string { return strconv.FormatInt(time.Now().Add(in).UnixMilli()*4096, 10) }
	run(t, d.client,
		[]any{"LPUSH", "bull:{mail}:wait", "0:123", "1", "2"}, // jobs come on the left; the marker is at the tail
		[]any{"ZADD", "bull:{mail}:prioritized", "1", "3"},
		[]any{"ZADD", "bull:{mail}:delayed", score(-time.Minute), "4", score(time.Hour), "5"},
		[]any{"LPUSH", "bull:{mail}:active", "6"},
		[]any{"ZADD", "bull:{mail}:completed", "1", "7"}, []any{"ZADD", "bull:{mail}:failed", "1", "8"},
		[]any{"SET", "bull:{mail}:id", "8"}, []any{"HSET", "bull:{mail}:meta", "opts.maxLenEvents", "10000"})
}

func fillAsynq(t *testing.T, d *deployment) {
	run(t, d.client,
		[]any{"SADD", "asynq:queues", "mail"},
		[]any{"LPUSH", "asynq:{mail}:pending", "1", "2"},
		[]any{"ZADD", "asynq:{mail}:scheduled", seconds(-time.Minute), "3", seconds(time.Hour), "4"},
		[]any{"ZADD", "asynq:{mail}:retry", seconds(-time.Minute), "5"},
		[]any{"LPUSH", "asynq:{mail}:active", "6"}, []any{"ZADD", "asynq:{mail}:lease", seconds(time.Minute), "6"},
		[]any{"ZADD", "asynq:{mail}:completed", seconds(time.Hour), "7", seconds(time.Hour), "8"},
		[]any{"ZADD", "asynq:{mail}:archived", seconds(-time.Hour), "9"})
}

func fillRQ(t *testing.T, d *deployment) {
	run(t, d.client,
		[]any{"SADD", "rq:queues", "rq:queue:mail"},
		[]any{"RPUSH", "rq:queue:mail", "1", "2"},
		[]any{"ZADD", "rq:wip:mail", seconds(time.Minute), "3", seconds(-time.Minute), "4"}, // that one's worker is gone
		[]any{"ZADD", "rq:scheduled:mail", seconds(-time.Minute), "5", seconds(time.Hour), "6"},
		[]any{"ZADD", "rq:finished:mail", seconds(time.Hour), "7"}, []any{"ZADD", "rq:failed:mail", seconds(time.Hour), "8"})
}

package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// These are fixtures that follow Sidekiq's layout (lib/sidekiq/api.rb,
// launcher.rb, client.rb).

// enqueue pushes jobs as Sidekiq's client does.
func enqueue(key string, at ...string) steps {
	var all steps
	for _, enqueuedAt := range at {
		all = append(all, do("LPUSH", key, fmt.Sprintf(`{"class":"Job","jid":"x","args":[],"enqueued_at":%s}`, enqueuedAt)))
	}
	return all
}

// process is a beat of a Sidekiq process.
func process(prefix, identity, info string, busy int) steps {
	return steps{do("SADD", prefix+"processes", identity), do("HSET", prefix+identity, "info", info, "busy", busy, "beat", seconds(-3), "quiet", "false")}
}

func serving(queues string) string {
	return `{"hostname":"app-1","pid":7,"concurrency":5,"queues":[` + queues + `],"labels":[]}`
}

func all(parts ...steps) (joined steps) {
	for _, part := range parts {
		joined = append(joined, part...)
	}
	return joined
}

func TestSidekiqFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	waiting := enqueue("queue:a", seconds(-60), seconds(-20), seconds(-10))
	testPreset(t, client, framework.Sidekiq, true, map[string]presetCase{
		"nothing": {names: []string{"a"}},
		"two queues, and one that is not asked about": {names: []string{"a", "b"}, ready: 5, oldest: ago(90 * time.Second),
			prepare: all(waiting, enqueue("queue:b", seconds(-90), seconds(-5)), enqueue("queue:c", seconds(-900)))},
		"milliseconds, as since Sidekiq 8": {names: []string{"a"}, ready: 2, oldest: ago(70 * time.Second),
			prepare: enqueue("queue:a", ms(-70), ms(-2))},
		"namespace": {prefix: "shop", names: []string{"a"}, ready: 2, inFlight: 2, oldest: ago(30 * time.Second),
			prepare: all(enqueue("shop:queue:a", seconds(-30), seconds(-2)), process("shop:", "app-1:7:ab", serving(`"a"`), 2), waiting)},
		"due jobs are ready, once, and others are not": {names: []string{"a", "b"}, ready: 6, oldest: ago(80 * time.Second),
			prepare: all(waiting, steps{
				do("ZADD", "schedule", seconds(-80), "s1", seconds(-1), "s2", seconds(60), "s3"),
				do("ZADD", "retry", seconds(-15), "r1", seconds(600), "r2", seconds(900), "r3")})},
		"jobs in work, of the processes that serve a queue": {names: []string{"a", "b"}, inFlight: 3 + 4,
			prepare: all(process("", "app-1:7:ab", serving(`"a","low"`), 3), process("", "app-2:9:cd", serving(`"b"`), 4),
				process("", "app-3:1:ef", serving(`"mail"`), 50))},
		"trap: a dead process stays in the set, and its hash has expired": {names: []string{"a"}, inFlight: 3,
			prepare: all(process("", "app-1:7:ab", serving(`"a"`), 3), steps{do("SADD", "processes", "app-0:1:dead")})},
		"a process that does not say whom it serves counts": {names: []string{"a"}, inFlight: 2 + 4 + 8,
			prepare: all(process("", "p:1", "not JSON", 2), process("", "p:2", `{"pid":1}`, 4), steps{
				do("SADD", "processes", "p:3"), do("HSET", "p:3", "busy", 8)})},
		"trap: a queue that is paused (Sidekiq Pro) does not scale": {names: []string{"a", "b"}, ready: 2, inFlight: 1, oldest: ago(9 * time.Second),
			prepare: all(waiting, enqueue("queue:b", seconds(-9), seconds(-5)), steps{do("SADD", "paused", "a", "c")}, process("", "p:1", serving(`"a"`), 1))},
		"trap: what a super_fetch process left behind (Sidekiq Pro) waits": {names: []string{"a", "b"}, ready: 2 + 1, inFlight: 3,
			prepare: all(process("", "p:1:alive", serving(`"a"`), 3), steps{
				do("SADD", "super_processes", "p:1:alive", "p:2:gone", "p:3:gone"), push(3, "queue:sq|p:1:alive|a"),
				push(2, "queue:sq|p:2:gone|a"), push(1, "queue:sq|p:3:gone|b"), push(9, "queue:sq|p:3:gone|other")})},
		"super_fetch in a namespace": {prefix: "shop", names: []string{"a"}, ready: 4,
			prepare: steps{do("SADD", "shop:super_processes", "p:2:gone"), push(4, "shop:queue:sq|p:2:gone|a"), push(9, "queue:sq|p:2:gone|a")}},
		"another's keys of the names of Sidekiq Pro's": {names: []string{"a"}, ready: 3, oldest: ago(60 * time.Second),
			prepare: all(waiting, steps{do("SET", "paused", "x"), do("SET", "super_processes", "x")})},
		"queues by capsules": {names: []string{"a"}, inFlight: 2,
			prepare: all(process("", "p:1", `{"capsules":{"default":{"weights":{"a":1}}}}`, 2),
				process("", "p:2", `{"capsules":{"default":{"weights":{"mail":0}}}}`, 4))},
	})
	wrongTypes(t, client, queue.OfPreset(framework.Sidekiq, "", []string{"a"}, true), map[string]string{
		"queue:a":   "hold a list, as it does for Sidekiq: correct channelName, keys, keyPrefix or preset",
		"schedule":  "hold a sorted set, as it does for Sidekiq: correct channelName, keys, keyPrefix or preset",
		"retry":     "hold a sorted set, as it does for Sidekiq: correct channelName, keys, keyPrefix or preset",
		"processes": "hold a set, as it does for Sidekiq: correct channelName, keys, keyPrefix or preset",
	})
}

// Known processes are asked in the round that asks who they are: one more where the set
// has changed, and none of the work is missed in that read.
func TestSidekiqProcessesComeAndGo(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	queues := queue.OfPreset(framework.Sidekiq, "", []string{"a"}, false)
	reader := newReader(queues[1])
	batch := queue.NewBatch([]*queue.Reader{reader})
	stages := []struct {
		change   steps
		inFlight int64
		rounds   int
	}{
		{nil, 0, 1},
		{process("", "p:1", serving(`"a"`), 1), 1, 2},
		{process("", "p:1", serving(`"a"`), 2), 2, 1},
		{process("", "p:2", serving(`"a"`), 4), 6, 2},
		{process("", "p:2", serving(`"b"`), 4), 2, 1},
		{steps{do("DEL", "p:1")}, 0, 1},
		{steps{do("DEL", "processes")}, 0, 2},
	}
	for i, stage := range stages {
		for _, step := range stage.change {
			step(t, client)
		}
		assert.Equal(t, stage.rounds, readAt(t, client, batch), "stage %d", i)
		depth, err := reader.Result()
		require.NoError(t, err)
		assert.Equal(t, queue.Depth{Kind: queue.SharedKindOf(framework.Sidekiq), InFlight: stage.inFlight, Added: -1}, depth, "stage %d", i)
	}
}

// What a process holds is busy while it lives, and waits once it is gone, until another puts it back: at no time
// nothing.
func TestSidekiqProcessesLeaveJobsBehind(t *testing.T) {
	client := redistest.Start(t).Client()
	reader := newReader(queue.OfPreset(framework.Sidekiq, "", []string{"a", "b"}, false)[2])
	batch := queue.NewBatch([]*queue.Reader{reader})
	stages := []struct {
		change          steps
		ready, inFlight int64
		rounds          int
	}{
		{nil, 0, 0, 1},
		{all(process("", "p:1", serving(`"a"`), 2), steps{do("SADD", "super_processes", "p:1"), push(2, "queue:sq|p:1|a")}), 0, 2, 2},
		{nil, 0, 2, 1},
		{steps{do("DEL", "p:1")}, 2, 0, 2},
		{nil, 2, 0, 1},
		{steps{push(1, "queue:sq|p:1|b")}, 3, 0, 1},
		{process("", "p:1", serving(`"a"`), 3), 0, 3, 1},
		{steps{do("DEL", "p:1"), do("RPOP", "queue:sq|p:1|b")}, 2, 0, 2},
		{steps{do("SREM", "super_processes", "p:1"), do("DEL", "queue:sq|p:1|a")}, 0, 0, 2},
	}
	for i, stage := range stages {
		stage.change.take(t, client)
		assert.Equal(t, stage.rounds, readAt(t, client, batch), "stage %d", i)
		depth, err := reader.Result()
		require.NoError(t, err)
		assert.Equal(t, queue.Depth{Kind: queue.SharedKindOf(framework.Sidekiq), Ready: stage.ready, InFlight: stage.inFlight, Added: -1}, depth, "stage %d", i)
	}
}

// A user whose rule has Sidekiq's own keys alone reads on: without Sidekiq Pro there are no others.
func TestSidekiqWithoutTheRightToReadPros(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client()
	do("ACL", "SETUSER", "narrow", "on", ">secret", "%R~queue:*", "%R~schedule", "%R~retry", "%R~processes", "+@all")(t, admin)
	enqueue("queue:a", seconds(-5)).take(t, admin)
	do("SADD", "paused", "a")(t, admin)
	narrow := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "narrow", Password: "secret", Protocol: 2})
	t.Cleanup(func() { _ = narrow.Close() })
	assert.EqualValues(t, 1, sum(t, narrow, queue.OfPreset(framework.Sidekiq, "", []string{"a"}, false)).Ready)
}

func TestPresetsQueues(t *testing.T) {
	names := []string{"a", "b"}
	type part struct {
		key  string
		kind queue.Kind
		age  bool
		node string // the key by which its node is found
	}
	tests := map[string]struct {
		prefix string
		want   []part
	}{
		"Sidekiq": {"ns", []part{{"a", "sidekiq", true, "ns:queue:a"}, {"b", "sidekiq", true, "ns:queue:b"}, {"a,b", "sidekiq-shared", true, "ns:schedule"}}},
		"Celery":  {"p_", []part{{"a", "celery", true, "p_a"}, {"b", "celery", true, "p_b"}, {"a,b", "celery-shared", false, "p_unacked"}}},
		"BullMQ":  {"", []part{{"a", "bullmq", true, "bull:a:wait"}, {"b", "bullmq", true, "bull:b:wait"}}},
		"Asynq":   {"", []part{{"a", "asynq", true, "asynq:{a}:pending"}, {"b", "asynq", true, "asynq:{b}:pending"}}},
		"RQ":      {"", []part{{"a", "rq", true, "rq:queue:a"}, {"b", "rq", true, "rq:queue:b"}}},
	}
	for name, test := range tests {
		f, ok := framework.Named(name)
		require.True(t, ok, name)
		got := queue.OfPreset(f, test.prefix, names, true)
		require.Len(t, got, len(test.want), name)
		for i, want := range test.want {
			assert.Equal(t, queue.Queue{Key: want.key, Kind: want.kind, Prefix: test.prefix, Age: want.age}, got[i])
			assert.Equal(t, want.node, got[i].RoutingKey())
			assert.Equal(t, strings.Contains(string(want.kind), "shared"), got[i].IsShared())
		}
	}
	assert.Equal(t, "orders", queue.Queue{Key: "orders", Kind: queue.Auto}.RoutingKey())
}

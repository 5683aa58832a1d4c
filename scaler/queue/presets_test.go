package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// These are fixtures that follow kombu's layout (kombu,
// transport/redis.py).
func TestCeleryFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	testPreset(t, client, framework.Celery, false, map[string]presetCase{
		"nothing": {names: []string{"celery"}},
		"trap: each priority has a list of its own": {names: []string{"celery"}, ready: 1 + 2 + 3 + 4,
			prepare: steps{push(1, "celery"), push(2, "celery\x06\x163"), push(3, "celery\x06\x166"), push(4, "celery\x06\x169"), push(9, "other")}},
		"trap: what workers hold is of all queues, and counts once": {names: []string{"celery", "mail"}, ready: 3, inFlight: 2,
			prepare: steps{push(1, "celery"), push(2, "mail"), do("HSET", "unacked", "t1", "x", "t2", "x"), do("ZADD", "unacked_index", 1, "t1", 2, "t2")}},
		"priority_steps and sep, of the Celery docs' own example": {names: []string{"celery"}, options: framework.Options{Steps: "0,1,2,3,4,5,6,7,8,9", Separator: ":"}, ready: 1 + 2 + 3,
			prepare: steps{push(1, "celery"), push(2, "celery:5"), push(3, "celery:9"), push(9, "celery\x06\x163"), push(9, "celery:10")}},
		"four queues of ten steps": {names: []string{"a", "b", "c", "d"}, options: framework.Options{Steps: "0,1,2,3,4,5,6,7,8,9"}, ready: 1 + 1 + 1 + 1,
			prepare: steps{push(1, "a\x06\x161"), push(1, "b\x06\x164"), push(1, "c\x06\x167"), push(1, "d\x06\x169")}},
		"global_keyprefix": {prefix: "shop_", names: []string{"celery"}, ready: 5, inFlight: 1,
			prepare: steps{push(2, "shop_celery"), push(3, "shop_celery\x06\x169"), do("HSET", "shop_unacked", "t1", "x"), push(9, "celery"), do("HSET", "unacked", "t", "x")}},
	})
	wrongTypes(t, client, queue.OfPreset(framework.Celery, "", []string{"celery"}, false), map[string]string{
		"celery":          "hold a list, as it does for Celery: correct channelName, keys, keyPrefix or preset",
		"celery\x06\x169": "hold a list, as it does for Celery: correct channelName, keys, keyPrefix or preset",
		"unacked":         "hold a hash, as it does for Celery: correct channelName, keys, keyPrefix or preset",
	})
}

// These are fixtures that follow the layout of RQ (rq/queue.py, registry.py,
// job.py).
func TestRQFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	job := func(id string, enqueued time.Time) steps {
		return steps{do("RPUSH", "rq:queue:a", id), do("HSET", "rq:job:"+id, "enqueued_at", enqueued.Format("2006-01-02T15:04:05.000000Z"))}
	}
	waiting := all(job("j1", ago(45*time.Second)), job("j2", ago(5*time.Second)))
	testPreset(t, client, framework.RQ, true, map[string]presetCase{
		"nothing": {names: []string{"a"}},
		"jobs are pushed on the right: the first is the oldest": {names: []string{"a"}, prepare: waiting, ready: 2, oldest: ago(45 * time.Second)},
		"trap: expired entries of wip are of workers that died": {names: []string{"a"}, inFlight: 2,
			prepare: steps{do("ZADD", "rq:wip:a", seconds(-300), "j0:e", seconds(300), "j1:e", "+inf", "j2:e")}},
		"a worker whose time ends just now is believed dead, as by RQ": {names: []string{"a"}, inFlight: 1,
			prepare: steps{do("ZADD", "rq:wip:a", seconds(0), "j0:e", seconds(0.001), "j1:e")}},
		"a job between the queue and wip": {names: []string{"a"}, ready: 2, inFlight: 1, oldest: ago(45 * time.Second),
			prepare: all(waiting, steps{do("RPUSH", "rq:queue:a:intermediate", "j0")})},
		"due jobs are ready, and others are not": {names: []string{"a"}, ready: 3, oldest: ago(65 * time.Second),
			prepare: all(waiting, steps{do("ZADD", "rq:scheduled:a", seconds(-65), "s1", seconds(30), "s2", seconds(60), "s3")})},
		"trap: due jobs without a scheduler wait for ever, and drive no age": {names: []string{"a"}, ready: 2, oldest: ago(45 * time.Second), options: framework.Options{Scheduled: framework.ScheduledIgnore},
			prepare: all(waiting, steps{do("ZADD", "rq:scheduled:a", seconds(-65), "s1")})},
		"trap: while workers are suspended, only what is in work counts": {names: []string{"a"}, inFlight: 1,
			prepare: all(waiting, steps{do("SET", "rq:suspended", 1), do("ZADD", "rq:wip:a", seconds(30), "j:e"), do("ZADD", "rq:scheduled:a", seconds(-65), "s1")})},
		"a connection's prefix": {prefix: "{rq}:", names: []string{"a"}, ready: 1, oldest: ago(9 * time.Second), prepare: all(waiting, steps{do("SET", "rq:suspended", 1),
			do("RPUSH", "{rq}:rq:queue:a", "j1"), do("HSET", "{rq}:rq:job:j1", "enqueued_at", ago(9*time.Second).Format("2006-01-02T15:04:05.000000Z"))})},
		"a job that expired in the queue has no age": {names: []string{"a"}, ready: 1, prepare: steps{do("RPUSH", "rq:queue:a", "gone")}},
		"finished and failed ones do not count": {names: []string{"a"},
			prepare: steps{do("ZADD", "rq:finished:a", seconds(500), "f"), do("ZADD", "rq:failed:a", seconds(500), "f")}},
	})
	words := ", as it does for RQ: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.RQ, "", []string{"a"}, true), map[string]string{
		"rq:queue:a": "hold a list" + words, "rq:wip:a": "hold a sorted set" + words, "rq:scheduled:a": "hold a sorted set" + words,
	})
}

// A user whose rule was written before suspensions counted, with the keys of the queues alone, reads on.
func TestRQWithoutTheRightToReadSuspensions(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client()
	do("ACL", "SETUSER", "narrow", "on", ">secret", "%R~rq:queue:*", "%R~rq:scheduled:*", "%R~rq:wip:*", "%R~rq:job:*", "+@all")(t, admin)
	steps{do("RPUSH", "rq:queue:a", "j1"), do("SET", "rq:suspended", 1)}.take(t, admin)
	narrow := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "narrow", Password: "secret", Protocol: 2})
	t.Cleanup(func() { _ = narrow.Close() })
	assert.EqualValues(t, 1, sum(t, narrow, queue.OfPreset(framework.RQ, "", []string{"a"}, false)).Ready)
}

// These are fixtures that follow Asynq's layout (internal/base/base.go, internal/rdb); it
// is run for real in an integration test.
func TestAsynqFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	task := func(id string, since time.Time) steps {
		return steps{do("LPUSH", "asynq:{a}:pending", id), do("HSET", "asynq:{a}:t:"+id, "msg", "x", "state", "pending", "pending_since", since.UnixNano())}
	}
	waiting := all(task("t1", ago(45*time.Second)), task("t2", ago(5*time.Second)))
	later := steps{do("ZADD", "asynq:{a}:scheduled", seconds(-10), "s1", seconds(100), "s2"), do("ZADD", "asynq:{a}:retry", seconds(-80), "r1", seconds(200), "r2", seconds(300), "r3")}
	working := do("LPUSH", "asynq:{a}:active", "t3", "t4", "t5")
	testPreset(t, client, framework.Asynq, true, map[string]presetCase{
		"nothing":                        {names: []string{"a"}},
		"pending":                        {names: []string{"a"}, prepare: waiting, ready: 2, oldest: ago(45 * time.Second)},
		"active":                         {names: []string{"a"}, prepare: all(waiting, steps{working}), ready: 2, inFlight: 3, oldest: ago(45 * time.Second)},
		"due tasks, and not those later": {names: []string{"a"}, prepare: all(waiting, later), ready: 4, oldest: ago(80 * time.Second)},
		"trap: of a paused queue, only what is in work counts": {names: []string{"a"}, inFlight: 3,
			prepare: all(waiting, later, steps{working, do("SET", "asynq:{a}:paused", now.Unix())})},
		"trap: what is done or given up is no backlog": {names: []string{"a"},
			prepare: steps{do("ZADD", "asynq:{a}:completed", seconds(-5), "c"), do("ZADD", "asynq:{a}:archived", seconds(-5), "d")}},
		"a task that vanished has no age": {names: []string{"a"}, ready: 1, prepare: steps{do("LPUSH", "asynq:{a}:pending", "gone")}},
	})
	words := ", as it does for Asynq: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.Asynq, "", []string{"a"}, true), map[string]string{
		"asynq:{a}:pending": "hold a list" + words, "asynq:{a}:active": "hold a list" + words,
		"asynq:{a}:scheduled": "hold a sorted set" + words, "asynq:{a}:retry": "hold a sorted set" + words,
	})
}

// These are fixtures that follow BullMQ's layout (src/commands); it is run for real in an
// integration test.
func TestBullMQFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	job := func(list, id string, added time.Time) steps {
		return steps{do("LPUSH", "bull:a:"+list, id), do("HSET", "bull:a:"+id, "name", "x", "timestamp", added.UnixMilli())}
	}
	delayed := func(after time.Duration, counter int64) string {
		return fmt.Sprint(now.Add(after).UnixMilli()<<12 + counter)
	}
	waiting := all(job("wait", "1", ago(45*time.Second)), job("wait", "2", ago(5*time.Second)))
	marked := steps{do("LPUSH", "bull:a:wait", "0:1777")}
	later := do("ZADD", "bull:a:delayed", delayed(-60*time.Second, 7), "d1", delayed(0, 4095), "d2", delayed(time.Millisecond, 0), "d3", delayed(time.Hour, 1), "d4")
	working := do("LPUSH", "bull:a:active", "8", "9")
	testPreset(t, client, framework.BullMQ, true, map[string]presetCase{
		"nothing":                       {names: []string{"a"}},
		"waiting":                       {names: []string{"a"}, prepare: waiting, ready: 2, oldest: ago(45 * time.Second)},
		"waiting, active, prioritized":  {names: []string{"a"}, ready: 5, inFlight: 2, oldest: ago(45 * time.Second), prepare: all(waiting, steps{working, do("ZADD", "bull:a:prioritized", 1<<32, "p1", 2<<32, "p2", 3<<32, "p3")})},
		"delayed jobs that are due":     {names: []string{"a"}, ready: 2, oldest: ago(60 * time.Second), prepare: steps{later}},
		"trap: a marker is no job":      {names: []string{"a"}, prepare: marked},
		"trap: a marker behind jobs":    {names: []string{"a"}, prepare: all(marked, waiting), ready: 2, oldest: ago(45 * time.Second)},
		"a job whose id begins with 0":  {names: []string{"a"}, prepare: job("wait", "01", ago(time.Second)), ready: 1, oldest: ago(time.Second)},
		"a job that was removed":        {names: []string{"a"}, prepare: steps{do("LPUSH", "bull:a:wait", "77")}, ready: 1},
		"what is done does not count":   {names: []string{"a"}, prepare: steps{do("ZADD", "bull:a:completed", ms(-1), "1"), do("ZADD", "bull:a:failed", ms(-1), "2")}},
		"trap: paused jobs do not wait": {names: []string{"a"}, inFlight: 2, prepare: all(waiting, job("paused", "3", ago(time.Hour)), steps{later, working, do("HSET", "bull:a:meta", "paused", 1)})},
		"prefix, and a name in braces": {prefix: "shop", names: []string{"{a}"}, ready: 3, inFlight: 1,
			prepare: all(waiting, steps{push(3, "shop:{a}:wait"), push(1, "shop:{a}:active")})},
	})
	words := ", as it does for BullMQ: correct channelName, keys, keyPrefix or preset"
	wrongTypes(t, client, queue.OfPreset(framework.BullMQ, "", []string{"a"}, true), map[string]string{
		"bull:a:wait": "hold a list" + words, "bull:a:active": "hold a list" + words, "bull:a:meta": "hold a hash" + words,
		"bull:a:delayed": "hold a sorted set" + words, "bull:a:prioritized": "hold a sorted set" + words, "bull:a:id": "hold a string" + words,
	})
}

// BullMQ counts the jobs that were added, so arrivals are exact, whatever became of them.
func TestBullMQCountsArrivals(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	reader := newReader(queue.Queue{Key: "a", Kind: queue.KindOf(framework.BullMQ)})
	batch := queue.NewBatch([]*queue.Reader{reader})
	added := func() int64 {
		readAt(t, client, batch)
		depth, err := reader.Result()
		require.NoError(t, err)
		return depth.Added
	}
	assert.EqualValues(t, 0, added(), "none yet")
	push(2, "bull:a:wait")(t, client)
	assert.EqualValues(t, -1, added(), "another library's jobs, which it does not count")
	do("SET", "bull:a:id", 12)(t, client)
	assert.EqualValues(t, 12, added())
	do("DEL", "bull:a:wait")(t, client)
	assert.EqualValues(t, 12, added())
}

// A job that is taken while its age is asked for is nobody's: no error, and where another
// is the oldest by then, its age.
func TestAJobVanishesBetweenTwoRounds(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	for id, age := range map[string]time.Duration{"1": 40 * time.Second, "2": 30 * time.Second} {
		do("HSET", "bull:a:"+id, "timestamp", ago(age).UnixMilli())(t, client)
	}
	do("LPUSH", "bull:a:wait", "1", "2")(t, client)
	reader := newReader(queue.Queue{Key: "a", Kind: queue.KindOf(framework.BullMQ), Age: true})
	batch := queue.NewBatch([]*queue.Reader{reader})
	readWith := func(between ...step) queue.Depth {
		t.Helper()
		batch.Begin(now)
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			for _, command := range commands {
				_ = client.Process(t.Context(), command)
			}
			batch.Answer(nil)
			if len(between) > 0 {
				between[0](t, client)
				between = between[1:]
			}
		}
		depth, err := reader.Result()
		require.NoError(t, err)
		return depth
	}
	depth := readWith(func(t *testing.T, c *redis.Client) {
		do("RPOP", "bull:a:wait")(t, c)
		do("DEL", "bull:a:1")(t, c)
	})
	assert.Equal(t, ago(30*time.Second), utc(depth.Oldest), "that of the next one")
	do("RPUSH", "bull:a:wait", "1")(t, client)
	depth = readWith(func(t *testing.T, c *redis.Client) { do("DEL", "bull:a:wait", "bull:a:2")(t, c) })
	assert.Zero(t, depth.Oldest)
	assert.Zero(t, depth.Ready)
}

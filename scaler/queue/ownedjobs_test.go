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

// held puts tasks into unacked as kombu does (QoS.append), n of them, each with a payload.
func held(n int, exchange, routingKey string, payload int) steps {
	var all steps
	for i := range n {
		tag := fmt.Sprintf("%s-%s-%d", exchange, routingKey, i)
		message := fmt.Sprintf(`[{"body":%q,"properties":{"delivery_info":{}}},%q,%q]`, strings.Repeat("x", payload), exchange, routingKey)
		all = append(all, do("HSET", "unacked", tag, message), do("ZADD", "unacked_index", i, tag))
	}
	return all
}

// The tasks that workers hold are of all queues of the database: what a channel counts of them is its to say.
func TestCelerysQueuesShareWhatIsInFlight(t *testing.T) {
	client := redistest.Start(t).Client()
	ofQueues, none := framework.Options{InFlight: framework.InFlightOfQueues}, framework.Options{InFlight: framework.InFlightNone}
	both := all(held(2, "", "celery", 10), held(200, "", "mail", 10))
	testPreset(t, client, framework.Celery, false, map[string]presetCase{
		"all of them, by default":                         {names: []string{"celery"}, prepare: both, inFlight: 202},
		"those of the queue":                              {names: []string{"celery"}, prepare: both, options: ofQueues, inFlight: 2},
		"those of several queues":                         {names: []string{"celery", "mail"}, prepare: both, options: ofQueues, inFlight: 202},
		"trap: a queue whose name is a part of another's": {names: []string{"mail", "x"}, prepare: held(3, "", "ma", 1), options: ofQueues},
		"none":    {names: []string{"celery"}, prepare: all(both, steps{push(3, "celery")}), options: none, ready: 3},
		"nothing": {names: []string{"celery"}, options: ofQueues},
		"trap: an exchange of a name, whose bindings alone tell the queue": {names: []string{"celery"}, prepare: held(3, "topics", "mail.new", 1), options: ofQueues, inFlight: 3},
		"what does not say whose it is": {names: []string{"celery"}, options: ofQueues, inFlight: 5, prepare: steps{
			do("HSET", "unacked", "t1", "not JSON", "t2", "[]", "t3", `[{},"",7]`, "t4", `{"a":1}`, "t5", `[{},"",""]`, "t6", `[{},"","mail"]`),
			do("ZADD", "unacked_index", 1, "t1", 2, "t2", 3, "t3", 4, "t4", 5, "t5", 6, "t6")}},
		"global_keyprefix": {names: []string{"celery"}, prefix: "shop_", options: ofQueues, inFlight: 1, prepare: all(both, steps{
			do("HSET", "shop_unacked", "t1", `[{},"","celery"]`, "t2", `[{},"","mail"]`), do("ZADD", "shop_unacked_index", 1, "t1", 2, "t2")})},
		"an index that has more than there is": {names: []string{"celery"}, options: ofQueues, inFlight: 2,
			prepare: append(held(2, "", "celery", 1), do("ZADD", "unacked_index", 9, "gone"))},
	})
	for key, words := range map[string]string{"unacked": "a hash", "unacked_index": "a sorted set"} {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		push(1, key)(t, client)
		_, err := readOwned(t, client, newReader(owned("celery")), now)
		assert.EqualError(t, err, fmt.Sprintf("key %q does not hold %s, as it does for Celery: correct channelName, keys, keyPrefix or preset", key, words))
	}
	assert.Len(t, queue.WithOptions(queue.OfPreset(framework.Celery, "", []string{"a", "b"}, false), none), 2, "nothing is shared then")
}

func owned(names string) queue.Queue {
	return queue.Queue{Key: names, Kind: queue.SharedKindOf(framework.Celery), Options: framework.Options{InFlight: framework.InFlightOfQueues}}
}

// readOwned reads once, at a time, and counts the commands that fetch tasks.
func readOwned(t *testing.T, client *redis.Client, reader *queue.Reader, at time.Time) (fetched []int, err error) {
	t.Helper()
	batch := queue.NewBatch([]*queue.Reader{reader})
	batch.Begin(at)
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		for _, command := range commands {
			_ = client.Process(t.Context(), command)
			if command.Name() == "hmget" {
				fetched = append(fetched, len(command.Args())-2)
			}
		}
		batch.Answer(nil)
	}
	_, err = reader.Result()
	return fetched, err
}

// Whose a task is, its payload tells, so each is read once, at a pace; until all are known, the depth is a lower bound.
func TestTasksInFlightAreReadOnceAndAtAPace(t *testing.T) {
	client := redistest.Start(t).Client()
	reader, at := newReader(owned("celery")), now
	read := func() (depth queue.Depth, tasks int) {
		t.Helper()
		fetched, err := readOwned(t, client, reader, at)
		require.NoError(t, err)
		depth, _ = reader.Result()
		for _, n := range fetched {
			tasks += n
		}
		return depth, tasks
	}
	all(held(40, "", "celery", 4<<10), held(60, "", "mail", 4<<10)).take(t, client)
	depth, tasks := read()
	assert.True(t, depth.AtLeast(), "so nothing may shrink by it")
	assert.Less(t, tasks, 40, "64 KiB at once, and a page more")
	total, reads := tasks, 0
	for ; depth.LowerBound && reads < 60; reads++ {
		at = at.Add(time.Second)
		depth, tasks = read()
		total += tasks
	}
	assert.Equal(t, queue.Depth{Kind: reader.Queue().Kind, InFlight: 40, Added: -1}, depth)
	assert.Equal(t, 100, total, "each once")
	assert.InDelta(t, 100*4/64, reads, 3, "64 KiB a second")
	_, tasks = read()
	assert.Zero(t, tasks, "a steady read fetches none")

	for _, tag := range []string{"-celery-0", "-celery-1", "-mail-0"} {
		do("HDEL", "unacked", tag)(t, client)
		do("ZREM", "unacked_index", tag)(t, client)
	}
	depth, tasks = read()
	assert.EqualValues(t, 38, depth.InFlight)
	assert.False(t, depth.LowerBound)
	assert.Zero(t, tasks)

	do("HSET", "unacked", "not in the index", "[]")(t, client)
	depth, _ = read()
	assert.EqualValues(t, 38, depth.InFlight)
	assert.True(t, depth.AtLeast(), "of what the index has not, it is not known whose it is")
}

// A reply that is too large ends the read of all queues of a server, so how large tasks are is known before any is fetched.
func TestLargeTasksAreFetchedOneByOneOrNotAtAll(t *testing.T) {
	client := redistest.Start(t).Client()
	reader, at := newReader(owned("celery")), now
	held(16, "", "celery", 10).take(t, client)
	_, err := readOwned(t, client, reader, at) // small ones, by which many might be fetched at once
	require.NoError(t, err)
	all(held(40, "", "mail", 900<<10), held(2, "", "video", 9<<20)).take(t, client)

	for range 1000 {
		at = at.Add(time.Second)
		batch := queue.NewBatch([]*queue.Reader{reader})
		batch.Begin(at)
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			for _, command := range commands {
				_ = client.Process(t.Context(), command)
				if jobs, ok := command.(*redis.SliceCmd); ok {
					require.Less(t, len(fmt.Sprint(jobs.Val())), 2<<20, "bytes of one reply")
				}
			}
			batch.Answer(nil)
		}
		depth, err := reader.Result()
		require.NoError(t, err)
		if !depth.LowerBound {
			break
		}
	}
	depth, err := reader.Result()
	require.NoError(t, err)
	assert.Equal(t, queue.Depth{Kind: reader.Queue().Kind, InFlight: 16 + 2, Added: -1}, depth,
		"what is too large to be read does not say whose it is, and counts")
}

// A task that runs is not in unacked without task_acks_late. Redis does not tell which, so where nothing is, the words say so.
func TestCeleryWithoutTasksInFlight(t *testing.T) {
	client := redistest.Start(t).Client()
	remark := func(o framework.Options) (words string) {
		for _, q := range queue.WithOptions(queue.OfPreset(framework.Celery, "", []string{"celery"}, false), o) {
			words += readOne(t, client, newReader(q), now).Remark
		}
		return words
	}
	words := "no task is in Celery's unacked, where one that runs is only with task_acks_late: without it a task is acknowledged as it begins, and does not keep its worker"
	assert.Equal(t, words, remark(framework.Options{}))
	assert.Empty(t, remark(framework.Options{InFlight: framework.InFlightNone}), "who says that none counts knows")
	held(2, "", "mail", 1).take(t, client)
	assert.Empty(t, remark(framework.Options{}))
	assert.Empty(t, remark(framework.Options{InFlight: framework.InFlightOfQueues}), "another queue's tasks are there")
	held(2, "", "celery", 1).take(t, client)
	assert.Empty(t, remark(framework.Options{InFlight: framework.InFlightOfQueues}))
}

// What is beyond the limit of the index is not looked at.
func TestTheIndexOfTasksIsBounded(t *testing.T) {
	client := redistest.Start(t).Client()
	pipe := client.Pipeline()
	for i := range 5000 {
		pipe.HSet(t.Context(), "unacked", fmt.Sprint(i), `[{},"","mail"]`)
		pipe.ZAdd(t.Context(), "unacked_index", redis.Z{Score: float64(i), Member: fmt.Sprint(i)})
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	reader, total := newReader(owned("celery")), 0
	for second := range 20 {
		fetched, err := readOwned(t, client, reader, now.Add(time.Duration(second)*time.Second))
		require.NoError(t, err)
		for _, n := range fetched {
			assert.LessOrEqual(t, n, 256)
			total += n
		}
	}
	depth, err := reader.Result()
	require.NoError(t, err)
	assert.Equal(t, 4096, total)
	assert.True(t, depth.AtLeast())
}

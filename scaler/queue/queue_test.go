package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// read reads once, and counts the rounds.
func read(ctx context.Context, client *redis.Client, reader *queue.Reader) (queue.Depth, int, error) {
	rounds := readAll(ctx, client, queue.NewBatch([]*queue.Reader{reader}))
	depth, err := reader.Result()
	return depth, rounds, err
}

func newReader(q queue.Queue) *queue.Reader {
	reader := queue.NewReader(q)
	return &reader
}

// readAll reads a batch once, and counts the rounds.
func readAll(ctx context.Context, client *redis.Client, batch *queue.Batch) (rounds int) {
	batch.Begin(time.Now())
	for {
		commands := batch.Ask() //nolint:contextcheck // the commands outlive this read
		if len(commands) == 0 {
			return rounds
		}
		rounds++
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(ctx, commands...)
		_, err := pipe.Exec(ctx)
		batch.Answer(err) //nolint:contextcheck // so do those that it makes
	}
}

func push(n int, key string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) {
		for i := range n {
			require.NoError(t, c.LPush(t.Context(), key, i).Err())
		}
	}
}

func add(n int, key string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) {
		for i := range n {
			require.NoError(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", i}}).Err())
		}
	}
}

func do(args ...any) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) { require.NoError(t, c.Do(t.Context(), args...).Err(), "%v", args) }
}

func readGroup(n int, key, group string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) {
		require.NoError(t, c.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "a", Streams: []string{key, ">"}, Count: int64(n)}).Err())
	}
}

// giveUp has the group's first pending entry wait for another delivery.
func giveUp(key, group string) step {
	return func(t *testing.T, c *redis.Client) {
		pending, err := c.XPending(t.Context(), key, group).Result()
		require.NoError(t, err)
		do("XCLAIM", key, group, queue.WaitingConsumer, 0, pending.Lower, "JUSTID")(t, c)
	}
}

type step = func(*testing.T, *redis.Client)

type steps []step

// take takes the steps in turn.
func (s steps) take(t *testing.T, client *redis.Client) {
	t.Helper()
	for _, step := range s {
		step(t, client)
	}
}

// TestDepth covers what depth means, with the traps of streams: each row that says
// "trap" fails where lag is taken at its word.
func TestDepth(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	tests := map[string]struct {
		prepare steps
		queue   queue.Queue
		want    queue.Depth
	}{
		"absent key":              {nil, queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.None, Added: -1}},
		"absent key, as a list":   {nil, queue.Queue{Kind: queue.List}, queue.Depth{Kind: queue.List, Added: -1}},
		"absent key, as a stream": {nil, queue.Queue{Kind: queue.Stream}, queue.Depth{Kind: queue.None, Added: -1}},
		"list":                    {steps{push(7, "q")}, queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.List, Ready: 7, Added: -1}},
		"list with work in flight": {steps{push(7, "q"), do("ZADD", queue.ConsumersKey("q"), 1, "a", 2, "b"),
			do("LMOVE", "q", queue.ProcessingKey("q", "a"), "RIGHT", "LEFT"), do("LMOVE", "q", queue.ProcessingKey("q", "b"), "RIGHT", "LEFT")},
			queue.Queue{Kind: queue.List}, queue.Depth{Kind: queue.List, Ready: 5, InFlight: 2, Consumed: true, Added: -1}},
		"all of a list in flight": {steps{push(1, "q"), do("ZADD", queue.ConsumersKey("q"), 1, "a"),
			do("LMOVE", "q", queue.ProcessingKey("q", "a"), "RIGHT", "LEFT")},
			queue.Queue{Kind: queue.List}, queue.Depth{Kind: queue.List, InFlight: 1, Consumed: true, Added: -1}},
		"all of it in flight, of a kind not known yet": {steps{push(1, "q"), do("ZADD", queue.ConsumersKey("q"), 1, "a"),
			do("LMOVE", "q", queue.ProcessingKey("q", "a"), "RIGHT", "LEFT")},
			queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.List, InFlight: 1, Consumed: true, Added: -1}},
		"a list's messages in work, waiting for another delivery, and on their way to a worker": {steps{push(7, "q"),
			do("LMOVE", "q", queue.NextKey("q"), "RIGHT", "LEFT"),
			do("ZADD", queue.TakenKey("q"), 1_700_000_000_000, "waits", queue.InWork+1_700_000_000_000, "a", queue.InWork+1_700_000_000_000, "b")},
			queue.Queue{Kind: queue.List}, queue.Depth{Kind: queue.List, Ready: 8, InFlight: 2, Added: -1}},
		"nothing but a message on its way": {steps{push(1, queue.NextKey("q"))},
			queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.List, Ready: 1, Added: -1}},
		"nothing but a message in work": {steps{do("ZADD", queue.TakenKey("q"), queue.InWork+1_700_000_000_000, "a")},
			queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.List, InFlight: 1, Added: -1}},
		"stream without a group": {steps{add(5, "q")}, queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.Stream, Ready: 5, Added: 5}},
		"stream with another group than the one named": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "other", "$")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 5, Added: 5,
				Remark: `stream "q" has no consumer group "g", so all its entries count as waiting; it has other: correct consumerGroup, unless that one is yet to be made`}},
		"stream without any group, where one is named": {steps{add(5, "q")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 5, Added: 5,
				Remark: `stream "q" has no consumer group "g", so all its entries count as waiting; it has no groups yet`}},
		"stream, un-acked messages count": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(2, "q", "g")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 3, InFlight: 2, Added: 5}},
		"stream, entries that wait for another delivery are ready": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(3, "q", "g"), giveUp("q", "g")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 3, InFlight: 2, Added: 5}},
		"stream, its only group": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(5, "q", "g")},
			queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.Stream, InFlight: 5, Added: 5}},
		"stream, read and acked": {steps{add(1, "q"), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g"), do("XTRIM", "q", "MAXLEN", "0")},
			queue.Queue{Kind: queue.Auto}, queue.Depth{Kind: queue.Stream, InFlight: 1, Added: 1}},
		"trap: group created at $ has a lag of nil until it reads": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "g", "$")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Added: 5}},
		"trap: group created at $, and then messages": {steps{add(5, "q"), do("XGROUP", "CREATE", "q", "g", "$"), add(3, "q")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 3, Added: 8}},
		"trap: lag counts what was trimmed before delivery": {steps{add(10, "q"), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g"), do("XTRIM", "q", "MAXLEN", "2")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 2, InFlight: 1, Added: 10}},
		"trap: lag counts what was deleted to the last": {steps{add(3, "q"), do("XGROUP", "CREATE", "q", "g", "0"), do("XTRIM", "q", "MAXLEN", "0")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Added: 3}},
		"trap: an XDEL tombstone makes lag nil": {steps{
			do("XADD", "q", "1-1", "a", "1"), do("XADD", "q", "2-1", "a", "1"), do("XADD", "q", "3-1", "a", "1"), do("XADD", "q", "4-1", "a", "1"),
			do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g"), do("XDEL", "q", "3-1")},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 2, InFlight: 1, Added: 4}},
		"an estimate, by what came after what was read": {steps{add(1100, "q"), do("XADD", "q", "*", "a", "1"), do("XGROUP", "CREATE", "q", "g", "1-0"),
			readGroup(1, "q", "g"), tombstone},
			queue.Queue{Kind: queue.Stream, Group: "g"}, queue.Depth{Kind: queue.Stream, Ready: 1099, InFlight: 1, Estimate: true, Added: 1101}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			test.queue.Key = "q"
			got, _, err := read(t.Context(), client, newReader(test.queue))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

// tombstone deletes the newest entry but one, after which Redis can't tell the lag.
func tombstone(t *testing.T, c *redis.Client) {
	entries, err := c.XRevRangeN(t.Context(), "q", "+", "-", 2).Result()
	require.NoError(t, err)
	require.NoError(t, c.XDel(t.Context(), "q", entries[1].ID).Err())
}

func TestErrorsNameTheKeyAndTheRemedy(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	tests := map[string]struct {
		prepare steps
		queue   queue.Queue
		want    string
	}{
		"a set is not a queue":  {steps{do("SADD", "q", "a")}, queue.Queue{Kind: queue.Auto}, `key "q" holds a set, which is not a queue: name a list, a stream or a sorted set as channelName or in keys`},
		"list wanted":           {steps{add(1, "q")}, queue.Queue{Kind: queue.List}, `key "q" holds a stream, not a list: correct channelName or keys, or set queueType to Stream or Auto`},
		"stream wanted":         {steps{push(1, "q")}, queue.Queue{Kind: queue.Stream}, `key "q" holds a list, not a stream: correct channelName or keys, or set queueType to List or Auto`},
		"list wanted of scores": {steps{do("ZADD", "q", 1, "a")}, queue.Queue{Kind: queue.List}, `key "q" holds a sorted set, not a list: correct channelName or keys, or set queueType to SortedSet or Auto`},
		"two groups, none named": {steps{add(1, "q"), do("XGROUP", "CREATE", "q", "g", "0"), do("XGROUP", "CREATE", "q", "h", "0")}, queue.Queue{Kind: queue.Auto},
			`stream "q" has 2 consumer groups (g, h): set consumerGroup to one of them`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			test.queue.Key = "q"
			reader := newReader(test.queue)
			for range 2 { // a second read must not forget what was wanted
				_, _, err := read(t.Context(), client, reader)
				assert.EqualError(t, err, test.want)
			}
		})
	}
	t.Run("another command error is passed on", func(t *testing.T) {
		require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "blind", "on", "nopass", "~*", "+ping").Err())
		blind := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "blind", Password: "x", Protocol: 2})
		t.Cleanup(func() { _ = blind.Close() })
		_, _, err := read(t.Context(), blind, newReader(queue.Queue{Key: "q", Kind: queue.Auto}))
		assert.True(t, redis.HasErrorPrefix(err, "NOPERM"), "%v", err)
	})
}

// A module may give its type any name, also the one that the scaler has for sorted sets.
func TestAModulesTypeIsNoSortedSet(t *testing.T) {
	reader := newReader(queue.Queue{Key: "q", Kind: queue.Auto})
	script{"type q": "sortedset", "exists {q}:consumers {q}:next {q}:taken": 0}.play(t, queue.NewBatch([]*queue.Reader{reader}), now)
	depth, err := reader.Result()
	assert.ErrorAs(t, err, new(*queue.WrongTypeError))
	assert.Zero(t, depth)
}

// A reader keeps what it learned: a steady queue costs one round, a change one or two more.
func TestReaderFollowsTheKey(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	reader := newReader(queue.Queue{Key: "q", Kind: queue.Auto})
	stages := []struct {
		name   string
		change func(*testing.T, *redis.Client)
		kind   queue.Kind
		total  int64
		rounds int
	}{
		{"absent", func(*testing.T, *redis.Client) {}, queue.None, 0, 1},
		{"a list appears", push(3, "q"), queue.List, 3, 2},
		{"and stays", push(1, "q"), queue.List, 4, 1},
		{"a consumer comes", do("ZADD", queue.ConsumersKey("q"), 1, "a"), queue.List, 4, 3},
		{"and stays", do("LMOVE", "q", queue.ProcessingKey("q", "a"), "RIGHT", "LEFT"), queue.List, 4, 1},
		{"all is taken", do("LTRIM", "q", 1, 0), queue.List, 1, 1},
		{"a stream takes its place", add(2, "q"), queue.Stream, 2, 3},
		{"and stays", add(2, "q"), queue.Stream, 4, 1},
		{"all is gone, as the length must confirm", do("FLUSHALL"), queue.None, 0, 2},
		{"and stays", func(*testing.T, *redis.Client) {}, queue.None, 0, 1},
	}
	for _, stage := range stages {
		stage.change(t, client)
		depth, rounds, err := read(t.Context(), client, reader)
		require.NoError(t, err, stage.name)
		assert.Equal(t, stage.kind, depth.Kind, stage.name)
		assert.Equal(t, stage.total, depth.Total(), stage.name)
		assert.Equal(t, stage.rounds, rounds, stage.name)
	}
}

func TestNamesShareTheKeysHashTag(t *testing.T) {
	for key, want := range map[string]string{"orders": "{orders}", "{a}:b": "{a}:b", "{}x": "{{}x}", "a{b}c": "a{b}c"} {
		assert.Equal(t, want+":processing:p", queue.ProcessingKey(key, "p"))
		assert.Equal(t, want+":consumers", queue.ConsumersKey(key))
	}
}

func TestConnectionErrorsAreErrors(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	for _, kind := range []queue.Kind{queue.Auto, queue.List, queue.Stream} {
		reader := newReader(queue.Queue{Key: "q", Kind: kind})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		depth, _, err := read(ctx, client, reader)
		require.Error(t, err, fmt.Sprint(kind))
		assert.Zero(t, depth)
	}
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// counter counts the commands of each pipeline.
type counter struct{ names []map[string]int }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		names := map[string]int{}
		for _, command := range commands {
			names[command.Name()]++
		}
		if names["client"] == 0 { // go-redis greets the server with these
			c.names = append(c.names, names)
		}
		return next(ctx, commands)
	}
}

// lists are readers of n lists q0, q1, …
func lists(n int, kind queue.Kind) []*queue.Reader {
	readers := make([]*queue.Reader, n)
	for i := range readers {
		readers[i] = newReader(queue.Queue{Key: fmt.Sprint("q", i), Kind: kind})
	}
	return readers
}

func TestABatchOfListsSharesTheQuestionForConsumers(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	for i := range 250 {
		push(1+i%3, fmt.Sprint("q", i))(t, client)
	}
	readers := lists(250, queue.Auto)
	batch := queue.NewBatch(readers)
	counts := &counter{}
	client.AddHook(counts)
	check := func(reader int, ready, inFlight int64) {
		t.Helper()
		depth, err := readers[reader].Result()
		require.NoError(t, err)
		assert.Equal(t, queue.Depth{Kind: queue.List, Ready: ready, InFlight: inFlight, Consumed: inFlight > 0, Added: -1}, depth)
	}

	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"type": 250, "exists": 3}, {"llen": 250, "exists": 3}}, counts.names, "their kind is asked for once")
	counts.names = nil
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"llen": 250, "exists": 3}}, counts.names)
	check(0, 1, 0)
	check(5, 3, 0)

	// Among 100 that share a question, one has a consumer: that very read finds it.
	do("ZADD", queue.ConsumersKey("q5"), 1, "a")(t, client)
	do("LMOVE", "q5", queue.ProcessingKey("q5", "a"), "RIGHT", "LEFT")(t, client)
	counts.names = nil
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{
		{"llen": 250, "exists": 3}, {"llen": 200, "zcount": 100, "zcard": 100, "zrange": 100},
		{"llen": 4, "zcount": 1, "zcard": 1, "zrange": 2, "get": 1},
	}, counts.names)
	check(5, 2, 1)
	check(4, 2, 0)
	counts.names = nil
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"llen": 253, "exists": 3, "zcount": 1, "zcard": 1, "zrange": 2, "get": 1}}, counts.names, "and from then on it is asked alone")
	check(5, 2, 1)

	// When its consumers are gone it shares the question again.
	do("DEL", queue.ConsumersKey("q5"), queue.ProcessingKey("q5", "a"))(t, client)
	readAll(t.Context(), client, batch)
	counts.names = nil
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"llen": 250, "exists": 3}}, counts.names)
	check(5, 2, 0)
}

// Redis deletes an empty list: of queues that are absent, one may be all in flight.
func TestABatchOfAbsentKeysFindsTheOneInFlight(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	readers := lists(150, queue.Auto)
	batch := queue.NewBatch(readers)
	counts := &counter{}
	client.AddHook(counts)
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"type": 150, "exists": 2}}, counts.names)

	do("ZADD", queue.ConsumersKey("q7"), 1, "a")(t, client)
	do("LPUSH", queue.ProcessingKey("q7", "a"), "x")(t, client)
	readAll(t.Context(), client, batch)
	for i, reader := range readers {
		depth, err := reader.Result()
		require.NoError(t, err)
		want := queue.Depth{Kind: queue.None, Added: -1}
		if i == 7 {
			want = queue.Depth{Kind: queue.List, InFlight: 1, Consumed: true, Added: -1}
		}
		assert.Equal(t, want, depth, "q%d", i)
	}
	counts.names = nil
	readAll(t.Context(), client, batch)
	assert.Equal(t, []map[string]int{{"type": 149, "exists": 2, "llen": 4, "zcount": 1, "zcard": 1, "zrange": 2, "get": 1}}, counts.names)
}

// A server of a cluster takes no command with keys of several slots.
func TestABatchOnAClusterAsksEachListAlone(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	client := server.Client()
	do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)(t, client)
	require.Eventually(t, func() bool { return client.LPush(t.Context(), "q0", "x").Err() == nil }, deadline, poll)
	do("ZADD", queue.ConsumersKey("q1"), 1, "a")(t, client)
	do("LPUSH", queue.ProcessingKey("q1", "a"), "x", "y")(t, client)
	readers := lists(3, queue.List)
	batch := queue.NewBatch(readers)
	counts := &counter{}
	client.AddHook(counts)
	for range 2 {
		counts.names = nil
		readAll(t.Context(), client, batch)
		var totals []int64
		for _, reader := range readers {
			depth, err := reader.Result()
			require.NoError(t, err)
			totals = append(totals, depth.Total())
		}
		assert.Equal(t, client.LLen(t.Context(), "q0").Val(), totals[0])
		assert.Equal(t, []int64{2, 0}, totals[1:])
	}
	assert.Equal(t, []map[string]int{{"llen": 6, "exists": 2, "zcount": 1, "zcard": 1, "zrange": 2, "get": 1}}, counts.names, "and it is not tried again")
}

// Each reply holds two whole entries, which the server keeps until the last command has
// come.
func TestABatchReadsManyStreamsInSeveralRounds(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	const streams = 2100
	readers := make([]*queue.Reader, streams)
	_, err := client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range readers {
			key := fmt.Sprint("s", i)
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"a", "1"}})
			readers[i] = newReader(queue.Queue{Key: key, Kind: queue.Stream})
		}
		return nil
	})
	require.NoError(t, err)
	counts := &counter{}
	client.AddHook(counts)
	assert.Equal(t, 3, readAll(t.Context(), client, queue.NewBatch(readers)))
	assert.Equal(t, []map[string]int{{"xinfo": 2000}, {"xinfo": 2000}, {"xinfo": 200}}, counts.names)
	for _, reader := range readers {
		depth, err := reader.Result()
		require.NoError(t, err)
		assert.EqualValues(t, 1, depth.Total())
	}
}

func TestAFailedBatchHasNoDepth(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	push(3, "q0")(t, client)
	readers := lists(2, queue.List)
	batch := queue.NewBatch(readers)
	readAll(t.Context(), client, batch)
	batch.Begin(time.Now())
	require.NotEmpty(t, batch.Ask())
	batch.Fail(assert.AnError)
	assert.Empty(t, batch.Ask())
	for _, reader := range readers {
		depth, err := reader.Result()
		assert.ErrorIs(t, err, assert.AnError)
		assert.Zero(t, depth, "not that of the read before")
	}
	readAll(t.Context(), client, batch)
	depth, err := readers[0].Result()
	assert.NoError(t, err)
	assert.EqualValues(t, 3, depth.Total())
}

// go-redis sets no error on the commands of a pipeline whose connection the server refused.
// What they hold from the read before is no answer.
func TestACommandWithoutReplyIsNoDepth(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	push(3, "list")(t, client)
	push(2, "busy")(t, client)
	do("ZADD", queue.ConsumersKey("busy"), 1, "a")(t, client)
	add(1, "stream")(t, client)
	readers := append(lists(2, queue.Auto),
		newReader(queue.Queue{Key: "list", Kind: queue.Auto}),
		newReader(queue.Queue{Key: "busy", Kind: queue.Auto}),
		newReader(queue.Queue{Key: "stream", Kind: queue.Auto}))
	batch := queue.NewBatch(readers)
	check := func(err error, words string) {
		t.Helper()
		batch.Begin(time.Now())
		for range 10 {
			if len(batch.Ask()) == 0 {
				break
			}
			batch.Answer(err)
		}
		for _, reader := range readers {
			depth, err := reader.Result()
			assert.EqualError(t, err, words)
			assert.Zero(t, depth)
		}
	}
	refused := errors.New("WRONGPASS invalid username-password pair or user is disabled.")
	check(refused, refused.Error()) // before the first read
	readAll(t.Context(), client, batch)
	for _, reader := range readers {
		_, err := reader.Result()
		require.NoError(t, err)
	}
	check(refused, refused.Error())
	check(nil, "no reply")
}

// A steady read allocates for its pipeline, and not for each list.
func TestASteadyListCostsNoAllocation(t *testing.T) {
	readers := lists(1000, queue.List)
	batch := queue.NewBatch(readers)
	read := func() {
		batch.Begin(time.Now())
		for _, command := range batch.Ask() {
			if length, ok := command.(*redis.IntCmd); ok {
				length.SetVal(0)
				length.SetErr(nil)
			}
		}
		batch.Answer(nil)
	}
	read()
	// For 10 questions with 100 keys each: the command, its arguments, their growth.
	assert.LessOrEqual(t, testing.AllocsPerRun(10, read), 50.0)
}

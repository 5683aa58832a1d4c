//go:build integration

package samplingtest

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// During a takeover each command is answered with LOADING. Who looks at the value alone
// sees an empty queue.
func TestTrapOfLoading(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	model := dragonflytest.Front(t, d.nodes[0], dragonflytest.All(0)...)
	server := broker.Server{Address: model.Addr}
	pool := d.pool(t, sampling.Options{})
	all := fixtures(t)
	var queues []queue.Queue
	for _, fixture := range all {
		if !fixture.atLeast {
			fixture.fill(t, d)
			queues = append(queues, fixture.queues...)
		}
	}
	_, err := depths(t, pool, server, queues...)
	require.NoError(t, err)

	model.SetLoading(true)
	assert.Zero(t, model.Client().LLen(t.Context(), "jobs").Val(), "the naive reading")
	for _, q := range append(queues, queue.Queue{Key: "never read before", Kind: queue.List}) {
		assert.EventuallyWithT(t, func(c *assert.CollectT) {
			samples, err := depths(t, pool, server, q)
			var read *broker.ReadError
			if assert.ErrorAs(c, err, &read, "%+v", q) {
				assert.Equal(c, broker.Loading, read.Cause(), "%v", err)
			}
			assert.Nil(c, samples)
		}, deadline, tick)
	}

	model.SetLoading(false)
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		samples, err := depths(t, pool, server, queues[0])
		if assert.NoError(c, err) {
			assert.EqualValues(c, 3, samples[0].Total())
		}
	}, deadline, tick, "it recovers by itself")
}

// A key of another type is an error that names key and types, not an empty queue.
func TestTrapOfAWrongType(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	run(t, d.client, []any{"SET", "text", "x"}, []any{"LPUSH", "list", "x"}, []any{"HSET", "queue:q", "a", "b"})
	assert.Zero(t, d.client.LLen(t.Context(), "text").Val(), "the naive reading")
	tests := map[string]struct {
		queue queue.Queue
		words []string
	}{
		"list":    {queue.Queue{Key: "text", Kind: queue.List}, []string{`"text"`, "string"}},
		"auto":    {queue.Queue{Key: "text", Kind: queue.Auto}, []string{`"text"`, "string"}},
		"stream":  {queue.Queue{Key: "list", Kind: queue.Stream}, []string{`"list"`, "a list", "a stream"}},
		"set":     {queue.Queue{Key: "list", Kind: queue.SortedSet}, []string{`"list"`, "a list", "a sorted set"}},
		"sidekiq": {queue.Queue{Key: "q", Kind: queue.KindOf(framework.Sidekiq)}, []string{`"queue:q"`, "a list", "Sidekiq"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := depths(t, d.pool(t, sampling.Options{}), d.server, test.queue)
			var read *broker.ReadError
			require.ErrorAs(t, err, &read)
			assert.Equal(t, broker.WrongType, read.Cause())
			for _, words := range test.words {
				assert.ErrorContains(t, err, words)
			}
		})
	}
}

// NUMSUB counts pattern subscribers on DragonFly. Subscribers who are not there are no
// depth, and those who are and keep up are none either.
func TestTrapOfPatternSubscribers(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	model := dragonflytest.Front(t, d.nodes[0], dragonflytest.PatternSubscribers())
	patterns := d.client.PSubscribe(t.Context(), "n*")
	defer patterns.Close()
	_, err := patterns.Receive(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, model.Client().PubSubNumSub(t.Context(), "news").Val()["news"], "the naive reading")
	sample := depth(t, d.pool(t, sampling.Options{}), broker.Server{Address: model.Addr}, queue.Queue{Key: "news", Kind: queue.PubSub})
	assert.Zero(t, sample.Total())
	assert.True(t, sample.LowerBound, "it is never said to be exact")
}

// CLIENT LIST has neither filters nor buffers on DragonFly. The backlog is then the
// server's own count, and where there is none, it is not known: an error, never 0.
func TestTrapOfClientList(t *testing.T) {
	t.Parallel()
	q := queue.Queue{Key: "news", Kind: queue.PubSub}
	d := deploy(t, broker.Standalone, false, false)
	fillPubSub("news")(t, d)
	const waiting = 5*queue.BytesPerMessage + 1

	withInfo := dragonflytest.Front(t, d.nodes[0], dragonflytest.OldClientList(), dragonflytest.Info(waiting))
	list, err := withInfo.Client().ClientList(t.Context()).Result()
	require.NoError(t, err)
	assert.NotContains(t, list, "omem", "the naive reading would be 0")
	assert.EqualValues(t, 6, depth(t, d.pool(t, sampling.Options{}), broker.Server{Address: withInfo.Addr}, q).Ready)

	without := dragonflytest.Front(t, d.nodes[0], dragonflytest.OldClientList())
	_, err = depths(t, d.pool(t, sampling.Options{}), broker.Server{Address: without.Addr}, q)
	assert.ErrorContains(t, err, `the backlog of channel "news" is not known`)
}

// Pushing raises no event on DragonFly, and none on Redis unless it is told to: who waits
// for events sees nothing, and who polls sees the message within a tick.
func TestTrapOfKeyspaceEvents(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--notify-keyspace-events", "Ex")
	events := server.Client().PSubscribe(t.Context(), "__key*__:*")
	defer events.Close()
	_, err := events.Receive(t.Context())
	require.NoError(t, err)
	pool := sampling.NewPool(sampling.Options{Tick: tick})
	defer pool.Close()
	address, q := broker.Server{Address: server.Addr}, queue.Queue{Key: "q", Kind: queue.List}
	require.Zero(t, depth(t, pool, address, q).Total())
	run(t, server.Client(), []any{"LPUSH", "q", "x"})
	assert.Eventually(t, func() bool { return depth(t, pool, address, q).Total() == 1 }, deadline, poll)
	_, err = events.ReceiveTimeout(t.Context(), 100*time.Millisecond)
	assert.ErrorContains(t, err, "timeout", "the naive reading")
}

// A script that touches keys which it does not declare is refused by DragonFly; nothing of
// ours is a script.
func TestTrapOfScripts(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	model := dragonflytest.Front(t, d.nodes[0], dragonflytest.DeclaredKeysOnly())
	fillList("jobs")(t, d)
	naive := model.Client().Eval(t.Context(), "return redis.call('llen', 'jobs')", nil)
	assert.ErrorContains(t, naive.Err(), "undeclared key")
	assert.EqualValues(t, 3, depth(t, d.pool(t, sampling.Options{}), broker.Server{Address: model.Addr}, queue.Queue{Key: "jobs", Kind: queue.Auto}).Total())
}

// What DragonFly does not know must not be sent; Redis 7.0 does not know it either, and
// counts its refusals.
func TestTrapOfUnknownCommands(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	observer := d.nodes[0].Client()
	refusals := func() string {
		info, err := observer.Info(t.Context(), "errorstats").Result()
		require.NoError(t, err)
		return info
	}
	naive := redis.NewClient(&redis.Options{Addr: d.server.Address})
	defer naive.Close()
	require.NoError(t, naive.Ping(t.Context()).Err())
	require.Contains(t, refusals(), "errorstat_ERR", "CLIENT SETINFO or CLIENT MAINT_NOTIFICATIONS, by go-redis's own settings")

	fillStream("s")(t, d)
	fillList("l")(t, d)
	run(t, observer, []any{"CONFIG", "RESETSTAT"})
	pool := d.pool(t, sampling.Options{})
	assert.EqualValues(t, 5, depth(t, pool, d.server, queue.Queue{Key: "s", Kind: queue.Auto}).Total())
	assert.EqualValues(t, 3, depth(t, pool, d.server, queue.Queue{Key: "l", Kind: queue.Auto}).Total())
	assert.NotContains(t, refusals(), "errorstat_ERR")
}

// All differences together: every kind is read as from Redis.
func TestEveryKindOnAModelOfDragonFly(t *testing.T) {
	t.Parallel()
	for _, fixture := range fixtures(t) {
		t.Run(fixture.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, broker.Standalone, false, false)
			model := dragonflytest.Front(t, d.nodes[0], dragonflytest.All(3*queue.BytesPerMessage)...)
			d.server = broker.Server{Address: model.Addr}
			fixture.check(t, d, d.pool(t, sampling.Options{}))
		})
	}
}

// What each framework calls its queue's list is a part of the backlog only.
func TestTrapsOfTheFrameworks(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	for _, f := range framework.All() {
		example := frameworktest.Of(t, f, time.Now())
		run(t, d.client, example.Commands...)
		assert.NotEqual(t, example.Ready+example.InFlight, d.client.LLen(t.Context(), example.List).Val(), "%s: the naive reading", f.Name)
	}
}

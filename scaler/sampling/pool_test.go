package sampling_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	tick     = 20 * time.Millisecond
	deadline = time.Minute
	// patient is a timeout that no reply meets, where the machine has much else to do.
	patient = deadline
)

func newPool(t *testing.T, options sampling.Options) *sampling.Pool {
	if options.Tick == 0 {
		options.Tick = tick
	}
	pool := sampling.NewPool(options)
	t.Cleanup(pool.Close)
	return pool
}

// awaitUpdate waits for the next read of a subscription's queues.
func awaitUpdate(t *testing.T, subscription *sampling.Subscription) {
	t.Helper()
	select {
	case <-subscription.Updates():
	case <-time.After(deadline):
		t.Fatal("the queue is not read any more")
	}
}

func list(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.List} }

func TestDepthFollowsTheQueue(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{})
	address := broker.Server{Address: server.Addr}
	for want := range int64(5) {
		assert.Eventually(t, func() bool {
			sample, err := pool.Depth(t.Context(), address, list("q"))
			return err == nil && sample.Total() == want && time.Since(sample.At) < time.Second
		}, deadline, tick)
		require.NoError(t, server.Client().LPush(t.Context(), "q", "x").Err())
	}
}

// However many callers and queues: few pipelines, at most two connections.
func TestFirstReadsAreSharedAndConnectionsToo(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	pool := newPool(t, sampling.Options{Tick: time.Hour}) // so that only first reads happen
	address := broker.Server{Address: server.Addr}
	const queues, callers = 200, 4
	for i := range queues {
		require.NoError(t, client.LPush(t.Context(), fmt.Sprint("q", i), "x").Err())
	}
	var wait sync.WaitGroup
	for i := range queues {
		for range callers {
			wait.Go(func() {
				sample, err := pool.Depth(t.Context(), address, list(fmt.Sprint("q", i)))
				assert.NoError(t, err)
				assert.EqualValues(t, 1, sample.Total())
			})
		}
	}
	wait.Wait()
	assert.Equal(t, queues, redistest.Calls(t, server.Client(), "llen"), "each queue is read once, whoever asks")
	connections, err := client.Do(t.Context(), "CLIENT", "LIST").Text()
	require.NoError(t, err)
	ours := -1 // the test's own
	for _, c := range connections {
		if c == '\n' {
			ours++
		}
	}
	assert.LessOrEqual(t, ours, 2)
}

func TestQueuesThatNobodyAsksForAreDropped(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{IdleTimeout: 5 * tick})
	address := broker.Server{Address: server.Addr}
	_, err := pool.Depth(t.Context(), address, list("dropped"))
	require.NoError(t, err)
	subscription, err := pool.Subscribe(address, list("kept"))
	require.NoError(t, err)
	size := func(servers, queues int) func() bool {
		return func() bool { s, q := pool.Size(); return s == servers && q == queues }
	}
	assert.Eventually(t, size(1, 1), deadline, tick, "a subscribed queue stays")
	subscription.Close()
	assert.Eventually(t, size(0, 0), deadline, tick, "a server without queues goes")
	_, err = pool.Depth(t.Context(), address, list("again"))
	assert.NoError(t, err, "and comes back")
}

func TestSubscriptionTellsOfReads(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{})
	address := broker.Server{Address: server.Addr}
	subscription, err := pool.Subscribe(address, list("q"))
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	for range 3 {
		awaitUpdate(t, subscription)
	}
	second, err := pool.Subscribe(address, list("q"))
	require.NoError(t, err)
	t.Cleanup(second.Close)
	select {
	case <-second.Updates():
	default:
		t.Fatal("a queue that was read already tells at once")
	}
}

// A queue whose first message is awaited is read four times a tick; others on the same
// server keep the tick. The time is a bubble's, the server is not: reads take none.
func TestAnAwaitedQueueIsReadMoreOften(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, sampling.Options{Tick: 200 * time.Millisecond})
		address := broker.Server{Address: server.Addr}
		subscribe := func(key string) *sampling.Subscription {
			subscription, err := pool.Subscribe(address, list(key))
			require.NoError(t, err)
			t.Cleanup(subscription.Close)
			return subscription
		}
		awaited, other := subscribe("awaited"), subscribe("other")
		count := func(wanted int) (others int) {
			timeout := time.After(deadline)
			for wanted > 0 {
				select {
				case <-awaited.Updates():
					wanted--
				case <-other.Updates():
					others++
				case <-timeout:
					t.Fatal("the queue is not read any more")
				}
			}
			return others
		}
		count(1)
		awaited.Await(true)
		assert.LessOrEqual(t, count(20), 10, "it is read 4 times as often")
		awaited.Await(false)
		assert.Greater(t, count(10), 6, "and then no more often than others")
		awaited.Await(true)
		awaited.Close()
		awaited.Await(true)
		before := redistest.Calls(t, client, "llen")
		for range 10 {
			awaitUpdate(t, other)
		}
		assert.LessOrEqual(t, redistest.Calls(t, client, "llen")-before, 30, "nobody awaits it once the subscription is closed")
	})
}

func TestARestartedServerIsReadAgain(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{})
	address := broker.Server{Address: server.Addr}
	_, err := pool.Depth(t.Context(), address, list("q"))
	require.NoError(t, err)
	server.Stop()
	assert.Eventually(t, func() bool {
		sample, err := pool.Depth(t.Context(), address, list("q"))
		var read *broker.ReadError
		return errors.As(err, &read) && read.Cause() == broker.Unreachable && sample == sampling.Sample{}
	}, deadline, tick, "a dead server is an error, never 0")
	server.Restart()
	assert.Eventually(t, func() bool {
		_, err := pool.Depth(t.Context(), address, list("q"))
		return err == nil
	}, deadline, tick)
}

// A server that never answers must not delay the queues of another.
func TestASilentServerDelaysNobodyElse(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: time.Hour}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := pool.Depth(ctx, broker.Server{Address: redistest.StartSilent(t)}, list("q"))
	assert.ErrorContains(t, err, "no answer yet", "the caller's deadline holds, not the hour")
	_, err = pool.Depth(t.Context(), broker.Server{Address: server.Addr}, list("q"))
	assert.NoError(t, err)
}

func TestMessageRateOfAStream(t *testing.T) {
	server := redistest.Start(t)
	var mu sync.Mutex
	now := time.Now()
	pool := newPool(t, sampling.Options{Options: broker.Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }}})
	address := broker.Server{Address: server.Addr}
	q := queue.Queue{Key: "s", Kind: queue.Stream}
	add := func(n int) {
		for range n {
			require.NoError(t, server.Client().Do(t.Context(), "XADD", "s", "*", "a", "1").Err())
		}
	}
	add(5)
	sample, err := pool.Depth(t.Context(), address, q)
	require.NoError(t, err)
	assert.Nil(t, sample.Rate, "unknown at first, not 0")
	add(30)
	mu.Lock()
	now = now.Add(10 * time.Second)
	mu.Unlock()
	assert.Eventually(t, func() bool {
		sample, err := pool.Depth(t.Context(), address, q)
		return err == nil && sample.Rate != nil && *sample.Rate > 2.9 && *sample.Rate < 3.1
	}, deadline, tick)
}

func TestAClosedPool(t *testing.T) {
	server := redistest.Start(t)
	pool := sampling.NewPool(sampling.Options{Tick: tick})
	address := broker.Server{Address: server.Addr}
	_, err := pool.Depth(t.Context(), address, list("q"))
	require.NoError(t, err)
	pool.Close()
	_, err = pool.Depth(t.Context(), address, list("q"))
	assert.ErrorIs(t, err, sampling.ErrClosed)
	_, err = pool.Subscribe(address, list("q"))
	assert.ErrorIs(t, err, sampling.ErrClosed)
}

func TestServersOfANamespaceAreBounded(t *testing.T) {
	redis := redistest.Start(t)
	synctest.Test(t, func(t *testing.T) { // the time is a bubble's: nothing is forgotten because the machine is slow
		pool := newPool(t, sampling.Options{MaxServersPerNamespace: 2, IdleTimeout: 10 * tick})
		server := func(database int) broker.Server { return broker.Server{Address: redis.Addr, Database: database} }
		shop, office := pool.For("shop"), pool.For("office")
		for i := range 2 {
			_, err := shop.Depth(t.Context(), server(i), list("q"))
			require.NoError(t, err)
		}
		subscription, err := shop.Subscribe(server(1), list("q"))
		require.NoError(t, err)
		_, err = shop.Depth(t.Context(), server(2), list("q"))
		failure := new(broker.ReadError)
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, broker.TooManyServers, failure.Cause())
		assert.ErrorContains(t, err, "namespace shop has 2 servers watched already")
		_, err = shop.Subscribe(server(2), list("q"))
		require.Error(t, err)

		for i := range 3 {
			_, err = office.Depth(t.Context(), server(i), list("q"))
			require.NoError(t, err, "one of another namespace's servers is free")
		}
		_, err = shop.Depth(t.Context(), server(2), list("q"))
		require.NoError(t, err, "and so it is for this one")
		_, err = pool.Depth(t.Context(), server(3), list("q"))
		require.NoError(t, err, "the pool itself has no bound")

		// What nobody asks for any more does not count.
		require.Eventually(t, func() bool { servers, _ := pool.Size(); return servers == 1 }, deadline, tick)
		_, err = shop.Depth(t.Context(), server(4), list("q"))
		require.NoError(t, err)
		_, err = shop.Depth(t.Context(), server(5), list("q"))
		require.Error(t, err)
		subscription.Close()
	})
}

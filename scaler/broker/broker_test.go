package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	tick     = 20 * time.Millisecond
	deadline = 10 * time.Second
)

func newPool(t *testing.T, options broker.Options) *broker.Pool {
	if options.Tick == 0 {
		options.Tick = tick
	}
	pool := broker.NewPool(options)
	t.Cleanup(pool.Close)
	return pool
}

func list(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.List} }

// calls is how often the server ran a command, by its own count.
func calls(t *testing.T, server *redistest.Server, command string) int {
	return callsBy(t, server.Client(), command)
}

func callsBy(t *testing.T, client *redis.Client, command string) int {
	stats, err := client.InfoMap(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	n := 0
	_, err = fmt.Sscanf(stats["Commandstats"]["cmdstat_"+command], "calls=%d", &n)
	if err != nil {
		return 0
	}
	return n
}

func TestDepthFollowsTheQueue(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, broker.Options{})
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
	pool := newPool(t, broker.Options{Tick: time.Hour}) // so that only first reads happen
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
	assert.Equal(t, queues, calls(t, server, "llen"), "each queue is read once, whoever asks")
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
	pool := newPool(t, broker.Options{IdleTimeout: 5 * tick})
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
	pool := newPool(t, broker.Options{})
	address := broker.Server{Address: server.Addr}
	subscription, err := pool.Subscribe(address, list("q"))
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	for range 3 {
		select {
		case <-subscription.Updates():
		case <-time.After(deadline):
			t.Fatal("no update")
		}
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
// server keep the tick.
func TestAnAwaitedQueueIsReadMoreOften(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, broker.Options{Tick: 200 * time.Millisecond})
	address := broker.Server{Address: server.Addr}
	subscribe := func(key string) *broker.Subscription {
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
	before := calls(t, server, "llen")
	for range 10 {
		select {
		case <-other.Updates():
		case <-time.After(deadline):
			t.Fatal("the queue is not read any more")
		}
	}
	assert.LessOrEqual(t, calls(t, server, "llen")-before, 30, "nobody awaits it once the subscription is closed")
}

func TestARestartedServerIsReadAgain(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, broker.Options{})
	address := broker.Server{Address: server.Addr}
	_, err := pool.Depth(t.Context(), address, list("q"))
	require.NoError(t, err)
	server.Stop()
	assert.Eventually(t, func() bool {
		sample, err := pool.Depth(t.Context(), address, list("q"))
		var read *broker.ReadError
		return errors.As(err, &read) && read.Cause() == broker.Unreachable && sample == broker.Sample{}
	}, deadline, tick, "a dead server is an error, never 0")
	server.Restart()
	assert.Eventually(t, func() bool {
		_, err := pool.Depth(t.Context(), address, list("q"))
		return err == nil
	}, deadline, tick)
}

// silent accepts connections and never answers.
func silent(t *testing.T) string {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = connection.Close() })
		}
	}()
	return listener.Addr().String()
}

// full returns the address of a server that takes no connection: to connect there times
// out, as it does where a packet filter drops packets.
func full(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(socket) })
	require.NoError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(socket, 0))
	name, err := syscall.Getsockname(socket)
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for failed := 0; failed < 3; { // in a row: on a busy machine a connection may take longer than that, too
		connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			failed++
			continue
		}
		failed = 0
		t.Cleanup(func() { _ = connection.Close() })
	}
	return address
}

func TestCauses(t *testing.T) {
	server := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "secret")
	client := server.Client()
	require.NoError(t, client.SAdd(t.Context(), "set", "a").Err())
	require.NoError(t, client.XGroupCreateMkStream(t.Context(), "stream", "a", "0").Err())
	require.NoError(t, client.XGroupCreate(t.Context(), "stream", "b", "0").Err())
	tests := map[string]struct {
		address string
		queue   queue.Queue
		cause   broker.Cause
		words   string
	}{
		"wrong type":   {server.Addr, queue.Queue{Key: "set", Kind: queue.Auto}, broker.WrongType, "name a list, a stream or a sorted set as channelName"},
		"two groups":   {server.Addr, queue.Queue{Key: "stream", Kind: queue.Auto}, broker.NoGroup, "set consumerGroup to one of them"},
		"refused":      {"127.0.0.1:1", list("q"), broker.Unreachable, "check that the server runs and accepts connections there, or correct redisAddress"},
		"not accepted": {full(t), list("q"), broker.Unreachable, "check that the server runs and accepts connections there, or correct redisAddress"},
		"unknown host": {"no-such-host.invalid:6379", list("q"), broker.UnknownHost, "no such host: correct redisAddress"},
		"silent":       {silent(t), list("q"), broker.Slow, "the server accepts connections but does not answer"},
		"password":     {locked.Addr, list("q"), broker.Unauthorized, "the server wants other credentials"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, broker.Options{ReadTimeout: 500 * time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			sample, err := pool.Depth(ctx, broker.Server{Address: test.address}, test.queue)
			var read *broker.ReadError
			require.ErrorAs(t, err, &read)
			assert.Equal(t, test.cause, read.Cause(), "%v", err)
			assert.ErrorContains(t, err, test.words)
			assert.ErrorContains(t, err, test.address)
			assert.Zero(t, sample)
		})
	}
}

// A server that never answers must not delay the queues of another.
func TestASilentServerDelaysNobodyElse(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, broker.Options{ReadTimeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := pool.Depth(ctx, broker.Server{Address: silent(t)}, list("q"))
	assert.ErrorContains(t, err, "no answer yet")
	assert.Less(t, time.Since(began), deadline/2, "the caller's deadline holds")
	_, err = pool.Depth(t.Context(), broker.Server{Address: server.Addr}, list("q"))
	assert.NoError(t, err)
}

func TestMessageRateOfAStream(t *testing.T) {
	server := redistest.Start(t)
	var mu sync.Mutex
	now := time.Now()
	pool := newPool(t, broker.Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
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
	pool := broker.NewPool(broker.Options{Tick: tick})
	address := broker.Server{Address: server.Addr}
	_, err := pool.Depth(t.Context(), address, list("q"))
	require.NoError(t, err)
	pool.Close()
	_, err = pool.Depth(t.Context(), address, list("q"))
	assert.ErrorIs(t, err, broker.ErrClosed)
	_, err = pool.Subscribe(address, list("q"))
	assert.ErrorIs(t, err, broker.ErrClosed)
}

package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// calls are how often a server ran each command.
func calls(t *testing.T, client *redis.Client) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(client.Info(t.Context(), "commandstats").Val()) {
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !found {
			continue
		}
		count, err := strconv.Atoi(strings.SplitN(rest, ",", 2)[0])
		require.NoError(t, err)
		counts[name] = count
	}
	return counts
}

// A worker with many idle queues waits on the server, with one command for each in a period, and no slot:
// counted are commands per wait, so the machine's speed does not count. It was one look at each
// queue every 250 ms.
func TestIdleQueuesCostOneWaitEach(t *testing.T) {
	const queues = 8
	for kind, wait := range map[string]string{"list": "blmove", "stream": "xreadgroup"} {
		t.Run(kind, func(t *testing.T) {
			server := redistest.Start(t)
			client := connection.Settings{Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: 2*queues + 3})
			t.Cleanup(func() { _ = client.Close() })
			log := slog.New(slog.DiscardHandler)
			var all []Queue
			for i := range queues {
				o := source.Options{Client: client, Key: fmt.Sprint("q", i), Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
				all = append(all, Queue{Key: o.Key, Open: func(context.Context) (Source, error) {
					if kind == "list" {
						return source.NewList(o), nil
					}
					return source.NewStream(o), nil
				}})
			}
			var delivered atomic.Int64
			w := New(Options{
				Concurrency: 1, BatchSize: 10, MessageTimeout: time.Minute, Log: log, Metrics: metrics.New(), Queues: all,
				Deliver: func(context.Context, source.Message) error { delivered.Add(1); return nil },
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			defer func() {
				cancel()
				require.NoError(t, <-ended)
			}()
			admin := server.Client()
			waits := func(n int) map[string]int {
				var counts map[string]int
				require.Eventually(t, func() bool { counts = calls(t, admin); return counts[wait] >= n }, time.Minute, 50*time.Millisecond)
				return counts
			}
			before := waits(3 * queues) // they have begun
			after := waits(before[wait] + 5*queues)
			delete(after, "info") // the test's own
			others := 0
			for name, count := range after {
				if name != wait {
					others += count - before[name]
				}
			}
			t.Logf("beside %d waits %d other commands", after[wait]-before[wait], others)
			require.Less(t, others, 3*(after[wait]-before[wait]))
			require.Empty(t, w.slots, "none is held while nothing is there")

			for i := range queues { // all at once, of which one after the other begins
				if kind == "list" {
					require.NoError(t, admin.LPush(t.Context(), fmt.Sprint("q", i), "a", "b").Err())
				} else {
					require.NoError(t, admin.XAdd(t.Context(), &redis.XAddArgs{Stream: fmt.Sprint("q", i), Values: []any{"payload", "a"}}).Err())
					require.NoError(t, admin.XAdd(t.Context(), &redis.XAddArgs{Stream: fmt.Sprint("q", i), Values: []any{"payload", "b"}}).Err())
				}
			}
			require.Eventually(t, func() bool { return delivered.Load() == 2*queues }, 2*time.Minute, time.Millisecond)
		})
	}
}

// A message that came while others took all slots is given back, uncounted, for a worker that has one.
func TestAMessageThatGetsNoSlotIsGivenBack(t *testing.T) {
	busy, idle := newFake(batch("long")), newFake()
	begun, finish := make(chan struct{}), make(chan struct{})
	w := New(Options{
		Concurrency: 1, BatchSize: 1, MessageTimeout: time.Minute, Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
		Queues:  []Queue{busy.queue(), idle.queue()},
		Deliver: func(context.Context, source.Message) error { close(begun); <-finish; return nil },
	})
	l := w.newLane(idle.queue())
	l.source = idle
	go func() {
		own := w.newLane(busy.queue())
		own.source = busy
		_ = own.fetch(t.Context(), t.Context())
	}()
	<-begun
	idle.mu.Lock()
	idle.batches = [][]source.Message{batch("late")}
	idle.mu.Unlock()
	got, err := l.await(t.Context(), t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
	require.Equal(t, 1, idle.seen("release late"))
	close(finish)
	w.inWork.Wait()
}

package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// weighed is a source that knows how many bytes it has given out and not got back.
type weighed struct {
	Source
	mu          sync.Mutex
	bytes, peak int
}

func (w *weighed) weigh(sign int, messages ...source.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		w.bytes += sign * len(m.Payload)
	}
	w.peak = max(w.peak, w.bytes)
}

func (w *weighed) Fetch(ctx context.Context, limit int, wait bool) ([]source.Message, error) {
	messages, err := w.Source.Fetch(ctx, limit, wait)
	w.weigh(+1, messages...)
	return messages, err
}

func (w *weighed) Ack(ctx context.Context, m source.Message) error {
	defer w.weigh(-1, m)
	return w.Source.Ack(ctx, m)
}

func (w *weighed) Release(ctx context.Context, messages []source.Message, after time.Duration) error {
	defer w.weigh(-1, messages...)
	return w.Source.Release(ctx, messages, after)
}

// Counted are the bytes of messages that the worker has fetched and not ended: while its handler is
// slow, and while it is away. Without a limit it would be 64 messages, 16 MiB.
func TestHeldBytesAreBounded(t *testing.T) {
	const (
		messages, size = 200, 256 << 10
		most           = 2 << 20
	)
	for _, kind := range []string{"list", "stream"} {
		t.Run(kind, func(t *testing.T) {
			server := redistest.Start(t)
			admin := server.Client()
			payload := strings.Repeat("x", size)
			for range messages {
				if kind == "list" {
					require.NoError(t, admin.LPush(t.Context(), "q", payload).Err())
				} else {
					require.NoError(t, admin.XAdd(t.Context(), &redis.XAddArgs{Stream: "q", Values: []any{"payload", payload}}).Err())
				}
			}
			client := connection.Settings{Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: 70})
			t.Cleanup(func() { _ = client.Close() })
			log := slog.New(slog.DiscardHandler)
			o := source.Options{Client: client, Key: "q", Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
			scale := &weighed{Source: source.NewList(o)}
			if kind == "stream" {
				scale.Source = source.NewStream(o)
			}
			var delivered, away atomic.Int64
			var isAway atomic.Bool
			isAway.Store(true)
			w := New(Options{
				Concurrency: 64, BatchSize: 64, MaxHeldBytes: most, MessageTimeout: time.Minute, Log: log, Metrics: metrics.New(),
				Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) { return scale, nil }}},
				Deliver: func(context.Context, source.Message) error {
					if isAway.Load() {
						away.Add(1)
						return &delivery.Unavailable{Err: fmt.Errorf("connection refused")}
					}
					<-time.After(20 * time.Millisecond)
					delivered.Add(1)
					return nil
				},
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			require.Eventually(t, func() bool { return away.Load() > 0 }, 2*time.Minute, time.Millisecond)
			isAway.Store(false)
			require.Eventually(t, func() bool { return delivered.Load() == messages }, time.Minute, 10*time.Millisecond)
			cancel()
			require.NoError(t, <-ended)
			t.Logf("at most %d KiB were held", scale.peak>>10)
			// The first batch comes before it is known how large messages are.
			require.LessOrEqual(t, scale.peak, most+firstBatch*size)
			require.Zero(t, scale.bytes)
			require.Zero(t, w.held.bytes)
			require.Zero(t, w.held.messages)
		})
	}
}

func TestRoomForMessages(t *testing.T) {
	h := &held{most: 100}
	large := source.Message{Payload: strings.Repeat("x", 1000)}
	small := source.Message{Payload: strings.Repeat("x", 30)}
	h.add([]source.Message{large})
	require.Zero(t, h.room(10))
	h.remove(large)
	require.Equal(t, 1, h.room(10), "one, however large")
	for range 100 {
		h.add([]source.Message{small})
		h.remove(small)
	}
	require.Equal(t, 3, h.room(10), "as the late ones are")
	require.Equal(t, 2, h.room(2))
	require.Equal(t, 10, (&held{}).room(10), "no limit")
}

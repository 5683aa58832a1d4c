package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// BenchmarkDrain is the time of a message whose work takes none, from the queue to its end: of
// either kind, at several degrees of concurrency, on loopback and with a round trip of 2.5 ms.
func BenchmarkDrain(b *testing.B) {
	for _, network := range []time.Duration{0, 2500 * time.Microsecond} {
		for _, kind := range []string{"list", "stream"} {
			for _, concurrency := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("%s/at %s/concurrency %d", kind, network, concurrency), func(b *testing.B) {
					drain(b, kind, network, concurrency)
				})
			}
		}
	}
}

func drain(b *testing.B, kind string, network time.Duration, concurrency int) {
	server := redistest.Start(b)
	fill(b, server.Client(), kind, b.N)
	address := distant(b, server, network)
	b.ResetTimer()
	took := drainByWorker(b, address, kind, concurrency, b.N)
	b.StopTimer() // it may have waited on the server for another
	b.ReportMetric(float64(b.N)/took.Seconds(), "messages/s")
}

// fill puts so many messages into the queue.
func fill(b *testing.B, client *redis.Client, kind string, messages int) {
	b.Helper()
	for pushed := 0; pushed < messages; {
		pipe := client.Pipeline()
		for range min(1000, messages-pushed) {
			if kind == "list" {
				pipe.LPush(b.Context(), "q", strconv.Itoa(pushed))
			} else {
				pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: "q", Values: []any{"payload", pushed}})
			}
			pushed++
		}
		if _, err := pipe.Exec(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// distant is an address by which the server is a round trip of that time away.
func distant(b *testing.B, server *redistest.Server, network time.Duration) string {
	b.Helper()
	if network == 0 {
		return server.Addr
	}
	late := redistest.Tap(func([]byte) error { <-time.After(network / 2); return nil })
	return redistest.StartProxyWith(b, server.Addr, func() (requests, replies redistest.Pump) { return late, late }).Addr
}

// drainByWorker is how long a worker takes from its first fetch to the last delivery.
func drainByWorker(b *testing.B, address, kind string, concurrency, messages int) (took time.Duration) {
	b.Helper()
	worker := connection.Settings{Addresses: []string{address}}.New(connection.Options{PoolSize: concurrency + 4})
	defer worker.Close()
	log := slog.New(slog.DiscardHandler)
	options := source.Options{Client: worker, Key: "q", Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var delivered atomic.Int64
	began := time.Now()
	w := New(Options{
		Concurrency: concurrency, BatchSize: max(10, concurrency), MessageTimeout: time.Minute, Log: log, Metrics: metrics.New(),
		Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) {
			if kind == "list" {
				return source.NewList(options), nil
			}
			return source.NewStream(options), nil
		}}},
		Deliver: func(context.Context, source.Message) error {
			if delivered.Add(1) == int64(messages) {
				took = time.Since(began)
				cancel()
			}
			return nil
		},
	})
	if err := w.Run(ctx); err != nil {
		b.Fatal(err)
	}
	return took
}

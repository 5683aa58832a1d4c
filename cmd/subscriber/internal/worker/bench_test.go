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
	client := server.Client()
	for pushed := 0; pushed < b.N; {
		pipe := client.Pipeline()
		for range min(1000, b.N-pushed) {
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
	address := server.Addr
	if network > 0 {
		late := redistest.Tap(func([]byte) error { <-time.After(network / 2); return nil })
		address = redistest.StartProxyWith(b, server.Addr, func() (requests, replies redistest.Pump) { return late, late }).Addr
	}
	worker := connection.Settings{Addresses: []string{address}}.New(connection.Options{PoolSize: concurrency + 4})
	defer worker.Close()
	log := slog.New(slog.DiscardHandler)
	options := source.Options{Client: worker, Key: "q", Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
	ctx, cancel := context.WithCancel(b.Context())
	var delivered atomic.Int64
	w := New(Options{
		Concurrency: concurrency, BatchSize: 10, MessageTimeout: time.Minute, Log: log, Metrics: metrics.New(),
		Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) {
			if kind == "list" {
				return source.NewList(options), nil
			}
			return source.NewStream(options), nil
		}}},
		Deliver: func(context.Context, source.Message) error {
			if delivered.Add(1) == int64(b.N) {
				b.StopTimer() // it may wait on the server for another
				cancel()
			}
			return nil
		},
	})
	b.ResetTimer()
	if err := w.Run(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// What the scaler reads as in flight is the busy slots, within 10 %, however long the work takes and
// however much of it fails: utilization is made of it. A slot is busy from when its handler
// begins until the server knows how that ended. Compared are means over the same instants, so the
// machine's speed does not count.
func TestInFlightIsBusySlots(t *testing.T) {
	for _, kind := range []queue.Kind{queue.List, queue.Stream} {
		for _, work := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
			for _, failing := range []float64{0, 0.05, 0.2} {
				t.Run(fmt.Sprintf("%s of %s, %.0f %% failing", kind, work, 100*failing), func(t *testing.T) {
					t.Parallel()
					inFlight, busy, handling := observe(t, kind, work, failing)
					t.Logf("in flight %.2f, busy slots %.2f: %.3f; handlers at work %.2f", inFlight, busy, inFlight/busy, handling)
					require.Greater(t, busy, 1.0, "there was work")
					// What was wrong once was half as much again, and more. On a busy machine a read
					// and the looks beside it are apart: on an idle one it is within 10 %.
					assert.InEpsilon(t, busy, inFlight, 0.3)
				})
			}
		}
	}
}

// counting is a gauge that tells its value.
type counting struct {
	prometheus.Gauge
	n atomic.Int64
}

func (c *counting) Inc() { c.n.Add(1) }
func (c *counting) Dec() { c.n.Add(-1) }

// observe is the means of messages in flight, of busy slots, and of handlers at work, while messages
// come evenly that keep half of the slots busy.
func observe(t *testing.T, kind queue.Kind, work time.Duration, failing float64) (inFlight, busy, handling float64) {
	const (
		slots   = 8
		samples = 200
		pause   = 7 * time.Millisecond
	)
	server := redistest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var working atomic.Int64
	ended := make(chan error, 1)
	client := connection.Settings{Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: slots + 4})
	t.Cleanup(func() { _ = client.Close() })
	log := slog.New(slog.DiscardHandler)
	options := source.Options{Client: client, Key: "q", Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
	slotsBusy, measures := &counting{}, metrics.New()
	measures.InWork = slotsBusy
	w := New(Options{
		Concurrency: slots, BatchSize: 10, MessageTimeout: time.Minute, Log: log, Metrics: measures,
		Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) {
			if kind == queue.List {
				return source.NewList(options), nil
			}
			return source.NewStream(options), nil
		}}},
		Deliver: func(context.Context, source.Message) error {
			working.Add(1)
			defer working.Add(-1)
			<-time.After(work)
			if rand.Float64() < failing {
				return errors.New("it fails")
			}
			return nil
		},
	})
	go func() { ended <- w.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	publishing := server.Client()
	go func() {
		ticker := time.NewTicker(2 * work / slots)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if kind == queue.List {
				publishing.LPush(ctx, "q", "m")
			} else {
				publishing.XAdd(ctx, &redis.XAddArgs{Stream: "q", Values: []any{"payload", "m"}})
			}
			<-ticker.C
		}
	}()
	require.Eventually(t, func() bool { return working.Load() > 0 }, 30*time.Second, time.Millisecond)
	reader := queue.NewReader(queue.Queue{Key: "q", Kind: kind, Group: "g"})
	batch, reading := queue.NewBatch([]*queue.Reader{&reader}), server.Client()
	settled := time.Now().Add(1500 * time.Millisecond) // what failed comes back from then on
	for taken := 0; taken < samples; {
		<-time.After(pause)
		busyBefore, handlingBefore := slotsBusy.n.Load(), working.Load()
		batch.Begin(time.Now())
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			pipe := reading.Pipeline()
			_ = pipe.BatchProcess(t.Context(), commands...)
			_, err := pipe.Exec(t.Context())
			batch.Answer(err)
		}
		depth, err := reader.Result()
		require.NoError(t, err)
		if time.Now().Before(settled) {
			continue
		}
		inFlight += float64(depth.InFlight) / samples
		busy += float64(busyBefore+slotsBusy.n.Load()) / 2 / samples
		handling += float64(handlingBefore+working.Load()) / 2 / samples
		taken++
	}
	return inFlight, busy, handling
}

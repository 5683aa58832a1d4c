package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
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

// What the scaler reads as in flight is the busy slots, however long the work takes and however much of it
// fails: utilization is made of it. Each read is held against what the worker can have had in work meanwhile, which
// leaves nothing to the machine's speed: not one message may be counted twice, or too early, or not at all. What waits
// for another delivery is not in work, and no more is fetched than can begin.
func TestInFlightIsBusySlots(t *testing.T) {
	for _, kind := range []queue.Kind{queue.List, queue.Stream} {
		for _, work := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
			for _, failing := range []float64{0, 0.05, 0.2} {
				t.Run(fmt.Sprintf("%s of %s, %.0f %% failing", kind, work, 100*failing), func(t *testing.T) {
					t.Parallel()
					reads, book := observe(t, kind, work, failing)
					var inFlight, busy, least, most float64
					for _, r := range reads {
						low, high := book.inWork(r)
						assert.GreaterOrEqual(t, r.inFlight, low)
						assert.LessOrEqual(t, r.inFlight, high)
						inFlight += float64(r.inFlight) / float64(len(reads))
						busy += r.busy / float64(len(reads))
						least += float64(low) / float64(len(reads))
						most += float64(high) / float64(len(reads))
					}
					t.Logf("in flight %.2f, busy slots %.2f: %.3f; in work at least %.2f, at most %.2f", inFlight, busy, inFlight/busy, least, most)
					require.Greater(t, busy, 0.1, "there was work")
					// 10 %, and what was on its way between the worker and the server: on a busy machine that is more.
					assert.InDelta(t, busy, inFlight, 0.1*busy+most-least)
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

// stay is a message's time in work, from its taking to its end, as the worker sees it: the server's own is
// between. What has not happened is zero.
type stay struct{ asked, begun, told, ended time.Time }

// book is a source that notes the stays of its messages.
type book struct {
	Source
	slots int

	mu      sync.Mutex
	offered map[string]time.Time // since when a payload may be there to be taken
	open    map[string]*stay     // by payload
	stays   []*stay
	ahead   int // messages that were asked for, and could not have begun
}

func newBook(from Source, slots int) *book {
	return &book{Source: from, slots: slots, offered: map[string]time.Time{}, open: map[string]*stay{}}
}

func (b *book) offer(payload string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offered[payload] = time.Now()
}

func (b *book) Fetch(ctx context.Context, limit int, wait bool) ([]source.Message, error) {
	b.mu.Lock()
	b.ahead += max(0, len(b.open)+limit-b.slots)
	b.mu.Unlock()
	asked := time.Now()
	messages, err := b.Source.Fetch(ctx, limit, wait)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		s := &stay{asked: asked}
		if offered := b.offered[m.Payload]; offered.After(asked) {
			s.asked = offered
		}
		b.open[m.Payload] = s
		b.stays = append(b.stays, s)
	}
	return messages, err
}

func (b *book) begin(payload string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[payload].begun = time.Now()
}

func (b *book) end(m source.Message, tell func() error) error {
	b.mu.Lock()
	s := b.open[m.Payload]
	s.told = time.Now()
	b.offered[m.Payload] = s.told
	b.mu.Unlock()
	err := tell()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.ended = time.Now()
	delete(b.open, m.Payload)
	return err
}

func (b *book) Ack(ctx context.Context, m source.Message) error {
	return b.end(m, func() error { return b.Source.Ack(ctx, m) })
}

func (b *book) Retry(ctx context.Context, m source.Message, after time.Duration) error {
	return b.end(m, func() error { return b.Source.Retry(ctx, m, after) })
}

func (b *book) Release(ctx context.Context, messages []source.Message, after time.Duration) error {
	var errs []error
	for _, m := range messages {
		errs = append(errs, b.end(m, func() error { return b.Source.Release(ctx, []source.Message{m}, after) }))
	}
	return errors.Join(errs...)
}

// read is what the scaler read, some time between two instants, and the mean of the busy slots then.
type read struct {
	from, to time.Time
	inFlight int64
	busy     float64
}

// inWork is how many messages were in work all the time of a read, and how many may have been at some
// time of it. The commands of a read are not run at once.
func (b *book) inWork(r read) (least, most int64) {
	for _, s := range b.stays {
		if !s.begun.IsZero() && !s.begun.After(r.from) && (s.told.IsZero() || !s.told.Before(r.to)) {
			least++
		}
		if !s.asked.After(r.to) && (s.ended.IsZero() || !s.ended.Before(r.from)) {
			most++
		}
	}
	return least, most
}

// observe reads a queue as the scaler does, while messages come evenly that keep half of the slots busy.
func observe(t *testing.T, kind queue.Kind, work time.Duration, failing float64) ([]read, *book) {
	const (
		slots   = 8
		samples = 200
		pause   = 7 * time.Millisecond
	)
	server := redistest.Start(t)
	client := connection.Settings{Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: slots + 4})
	t.Cleanup(func() { _ = client.Close() })
	log := slog.New(slog.DiscardHandler)
	options := source.Options{Client: client, Key: "q", Consumer: "c", Group: "g", MessageTimeout: time.Minute, Log: log, Now: time.Now}
	var from Source = source.NewList(options)
	if kind == queue.Stream {
		from = source.NewStream(options)
	}
	book := newBook(from, slots)
	busy, measures := &counting{}, metrics.New()
	measures.InWork = busy
	w := New(Options{
		Concurrency: slots, BatchSize: 10, MessageTimeout: time.Minute, Log: log, Metrics: measures,
		Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) { return book, nil }}},
		Deliver: func(_ context.Context, m source.Message) error {
			book.begin(m.Payload)
			<-time.After(work)
			if rand.Float64() < failing {
				return errors.New("it fails")
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	publishing := server.Client()
	go func() {
		ticker := time.NewTicker(2 * work / slots)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			payload := strconv.Itoa(n)
			book.offer(payload)
			if kind == queue.List {
				publishing.LPush(ctx, "q", payload)
			} else {
				publishing.XAdd(ctx, &redis.XAddArgs{Stream: "q", Values: []any{"payload", payload}})
			}
			<-ticker.C
		}
	}()
	require.Eventually(t, func() bool { return busy.n.Load() > 0 }, 2*time.Minute, time.Millisecond)
	reads := readAsScaler(t, queue.Queue{Key: "q", Kind: kind, Group: "g"}, server.Client(), busy, samples, pause)
	cancel()
	require.NoError(t, <-ended)
	require.Zero(t, book.ahead, "what is fetched before it can begin is in flight, and no slot is busy with it")
	return reads, book
}

func readAsScaler(t *testing.T, q queue.Queue, client *redis.Client, busy *counting, samples int, pause time.Duration) (reads []read) {
	t.Helper()
	reader := queue.NewReader(q)
	batch := queue.NewBatch([]*queue.Reader{&reader})
	settled := time.Now().Add(1500 * time.Millisecond) // what failed comes back from then on
	for len(reads) < samples {
		<-time.After(pause)
		r := read{from: time.Now(), busy: float64(busy.n.Load()) / 2}
		batch.Begin(time.Now())
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			pipe := client.Pipeline()
			_ = pipe.BatchProcess(t.Context(), commands...)
			_, err := pipe.Exec(t.Context())
			batch.Answer(err)
		}
		depth, err := reader.Result()
		require.NoError(t, err)
		r.to, r.inFlight = time.Now(), depth.InFlight
		r.busy += float64(busy.n.Load()) / 2
		if r.from.After(settled) {
			reads = append(reads, r)
		}
	}
	return reads
}

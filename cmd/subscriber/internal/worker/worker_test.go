package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// fake is a source that gives out batches, and records what becomes of the messages.
type fake struct {
	mu       sync.Mutex
	batches  [][]source.Message
	limits   []int
	calls    []string
	fetchErr error
	// releaseErr is of the next that are given back.
	releaseErr error
	recovers   int
	waited     bool          // a fetch was told to wait
	waits      time.Duration // of a fetch that was told to, and finds nothing
	takes      time.Duration // of a fetch that finds something
	retries    map[string]time.Duration
	reasons    map[string]string // of what was buried
	changed    chan struct{}
}

func newFake(batches ...[]source.Message) *fake {
	return &fake{batches: batches, retries: map[string]time.Duration{}, reasons: map[string]string{}, changed: make(chan struct{}, 1000)}
}

func (f *fake) queue() Queue {
	return Queue{Key: "q", Open: func(context.Context) (Source, error) { return f, nil }}
}

func (f *fake) call(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
	f.changed <- struct{}{}
}

func (f *fake) seen(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, call := range f.calls {
		if call == what {
			n++
		}
	}
	return n
}

func (f *fake) Recover(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recovers++
	return nil
}

func (f *fake) Fetch(_ context.Context, limit int, wait bool) ([]source.Message, error) {
	messages, err := f.take(limit, wait)
	if wait && err == nil && messages == nil && f.waits > 0 {
		<-time.NewTimer(f.waits).C
	}
	if messages != nil && f.takes > 0 {
		<-time.NewTimer(f.takes).C
	}
	return messages, err
}

func (f *fake) take(limit int, wait bool) ([]source.Message, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waited = f.waited || wait
	f.limits = append(f.limits, limit)
	if err := f.fetchErr; err != nil {
		f.fetchErr = nil
		return nil, err
	}
	if len(f.batches) == 0 {
		return nil, nil
	}
	batch := f.batches[0]
	f.batches = f.batches[1:]
	return batch, nil
}

func (f *fake) Ack(_ context.Context, m source.Message) error { f.call("ack " + m.ID); return nil }
func (f *fake) Bury(_ context.Context, m source.Message) error {
	f.mu.Lock()
	f.reasons[m.ID] = m.Reason
	f.mu.Unlock()
	f.call("bury " + m.ID)
	return nil
}
func (f *fake) Retry(_ context.Context, m source.Message, after time.Duration) error {
	f.mu.Lock()
	f.retries[m.ID] = after
	f.mu.Unlock()
	f.call("retry " + m.ID)
	return nil
}
func (f *fake) Release(_ context.Context, messages []source.Message, after time.Duration) error {
	for _, m := range messages {
		f.mu.Lock()
		f.retries[m.ID] = after
		f.mu.Unlock()
		f.call("release " + m.ID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.releaseErr
	f.releaseErr = nil
	return err
}
func (f *fake) Maintain(ctx context.Context) { <-ctx.Done() }
func (f *fake) Close(context.Context) error  { f.call("close"); return nil }

func batch(ids ...string) []source.Message {
	messages := make([]source.Message, len(ids))
	for i, id := range ids {
		messages[i] = source.Message{ID: id, Deliveries: 1}
	}
	return messages
}

// run runs a worker until the end of the test, or until stop is called, which waits.
func run(t *testing.T, f *fake, o Options) (stop func() error) {
	t.Helper()
	o.Queues, o.Log, o.Metrics = append(o.Queues, f.queue()), slog.New(slog.DiscardHandler), metrics.New()
	if o.MessageTimeout == 0 {
		o.MessageTimeout = time.Minute
	}
	if o.BatchSize == 0 {
		o.BatchSize = 10
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(o).Run(ctx) }()
	return func() error { cancel(); return <-ended }
}

// hanging is a source whose server answers nothing, whatever the time.
type hanging struct {
	*fake
	hangs chan struct{}
}

func (h hanging) Ack(context.Context, source.Message) error { <-h.hangs; return errors.New("too late") }

// A server that hangs does not keep a worker from ending within its pod's grace period, which is 5 s more than the
// message timeout. It counts from the moment at which the worker is told: its message has all of its time.
func TestAWorkerEndsInTimeThoughItsServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hanging{newFake(batch("1")), make(chan struct{})}
		h.waits = time.Second
		begun := make(chan struct{})
		o := Options{
			Concurrency: 1, BatchSize: 1, MessageTimeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
			Queues: []Queue{{Key: "q", Open: func(context.Context) (Source, error) { return h, nil }}},
			Deliver: func(ctx context.Context, _ source.Message) error {
				close(begun)
				<-ctx.Done()
				return nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- New(o).Run(ctx) }()
		<-begun
		stop()
		told := time.Now()
		require.NoError(t, <-ended)
		took := time.Since(told)
		require.Greater(t, took, o.MessageTimeout, "its message had its time")
		require.Less(t, took, o.MessageTimeout+5*time.Second)
		close(h.hangs)
	})
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, time.Millisecond)
}

// Each delivery is held until the test lets it go; in the bubble nothing else is left to do then.
func TestNoMoreInWorkThanConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(batch("1", "2", "3"), batch("4", "5"))
		f.waits = time.Second
		begun, release := make(chan string, 5), make(chan struct{})
		stop := run(t, f, Options{Concurrency: 2, Deliver: func(_ context.Context, m source.Message) error {
			begun <- m.ID
			<-release
			return nil
		}})
		for ended := range 5 {
			synctest.Wait()
			require.Len(t, begun, min(5, ended+2), "after %d were let go", ended)
			release <- struct{}{}
		}
		synctest.Wait()
		require.Equal(t, 1, f.seen("ack 5"))
		require.NoError(t, stop())
		require.Equal(t, 1, f.seen("close"))
	})
}

// What can't begin soon goes back, so that its work ends before others claim it.
func TestMessagesBehindASlowOneAreGivenBack(t *testing.T) {
	f := newFake(batch("slow", "2", "3"))
	release := make(chan struct{})
	stop := run(t, f, Options{Concurrency: 1, Deliver: func(context.Context, source.Message) error {
		<-release
		return nil
	}})
	eventually(t, func() bool { return f.seen("release 2") == 1 && f.seen("release 3") == 1 })
	close(release)
	eventually(t, func() bool { return f.seen("ack slow") == 1 })
	require.NoError(t, stop())
	require.Zero(t, f.seen("ack 2"))
}

// What could not be given back is told again, though the server answers the next fetch.
func TestWhatCouldNotBeGivenBackIsToldAgain(t *testing.T) {
	f := newFake(batch("slow", "2"))
	f.releaseErr = errors.New("connection reset by peer")
	release := make(chan struct{})
	stop := run(t, f, Options{Concurrency: 1, Deliver: func(context.Context, source.Message) error {
		<-release
		return nil
	}})
	eventually(t, func() bool { return f.seen("release 2") == 1 })
	close(release)
	eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.recovers == 2
	})
	require.NoError(t, stop())
}

func TestStopGivesBackWhatHasNotBegun(t *testing.T) {
	f := newFake(batch("1", "2", "3"))
	release, begun := make(chan struct{}), make(chan struct{})
	stop := run(t, f, Options{Concurrency: 1, Deliver: func(context.Context, source.Message) error {
		close(begun)
		<-release
		return nil
	}})
	<-begun
	go func() {
		for f.seen("release 3") == 0 {
			<-f.changed
		}
		close(release)
	}()
	require.NoError(t, stop())
	require.Equal(t, []string{"release 2", "release 3", "ack 1", "close"}, f.calls)
}

func TestSlowMessagesAreFetchedAsTheyCanBegin(t *testing.T) {
	cases := map[string]struct {
		average time.Duration
		inWork  int
		want    int
	}{
		"nothing known":       {0, 0, 4},
		"quick":               {time.Millisecond, 0, 10},
		"quick, one in work":  {time.Millisecond, 1, 10},
		"10 ms each":          {10 * time.Millisecond, 3, 1},
		"5 ms each":           {quick, 3, 4},
		"slow":                {time.Second, 0, 4},
		"slow, three in work": {time.Second, 3, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := New(Options{Concurrency: 4, BatchSize: 10})
			w.average.Store(int64(tc.average))
			for range tc.inWork + 1 { // and the slot of the fetch
				w.slots <- struct{}{}
			}
			require.Equal(t, tc.want, w.limit())
		})
	}
}

func TestFailedMessages(t *testing.T) {
	f := newFake([]source.Message{{ID: "first", Deliveries: 1}, {ID: "second", Deliveries: 2}, {ID: "last", Deliveries: 3}})
	stop := run(t, f, Options{Concurrency: 3, MaxDeliveries: 3, Deliver: func(context.Context, source.Message) error {
		return errors.New("no")
	}})
	eventually(t, func() bool { return f.seen("bury last")+f.seen("retry first")+f.seen("retry second") == 3 })
	require.NoError(t, stop())
	require.InDelta(t, 0.875, f.retries["first"].Seconds(), 0.13)
	require.InDelta(t, 1.75, f.retries["second"].Seconds(), 0.26)
}

func TestMessageTimeout(t *testing.T) {
	f := newFake(batch("1"))
	stop := run(t, f, Options{Concurrency: 1, MessageTimeout: 20 * time.Millisecond, Deliver: func(ctx context.Context, _ source.Message) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	eventually(t, func() bool { return f.seen("retry 1") == 1 })
	require.NoError(t, stop())
}

func TestErrors(t *testing.T) {
	t.Run("one that passes: the source recovers, and messages come", func(t *testing.T) {
		f := newFake(batch("1"))
		f.fetchErr = errors.New("EOF")
		stop := run(t, f, Options{Concurrency: 1, Deliver: func(context.Context, source.Message) error { return nil }})
		eventually(t, func() bool { return f.seen("ack 1") == 1 })
		require.NoError(t, stop())
		require.Equal(t, 2, f.recovers)
	})
	t.Run("one that does not: the worker ends", func(t *testing.T) {
		f := newFake()
		f.fetchErr = source.ErrPermanent
		o := Options{Concurrency: 1, BatchSize: 1, Queues: []Queue{f.queue()}, Log: slog.New(slog.DiscardHandler), Metrics: metrics.New()}
		require.ErrorIs(t, New(o).Run(t.Context()), source.ErrPermanent)
		require.Equal(t, []string{"close"}, f.calls)
	})
}

func TestBackOff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 4: 16 * time.Second, 5: 30 * time.Second, 1000: 30 * time.Second} {
		got := backOff(firstRetry, lastRetry, failures)
		require.LessOrEqual(t, got, want)
		require.GreaterOrEqual(t, got, want*3/4)
	}
}

// Two queues of which one's server is away: the other goes on.
func TestAQueueWhoseServerIsAwayHoldsUpNoOther(t *testing.T) {
	good := newFake(batch("1"), batch("2"), batch("3"))
	away := Queue{Key: "away", Open: func(context.Context) (Source, error) { return nil, errors.New("EOF") }}
	stop := run(t, good, Options{Concurrency: 1, Queues: []Queue{away}, Deliver: func(context.Context, source.Message) error { return nil }})
	eventually(t, func() bool { return good.seen("ack 3") == 1 })
	require.NoError(t, stop())
	require.Equal(t, 1, good.seen("close"))
}

func TestAPermanentErrorOfOneQueueEndsAll(t *testing.T) {
	good := newFake(batch("1"))
	begun := make(chan struct{})
	bad := Queue{Key: "bad", Open: func(context.Context) (Source, error) {
		<-begun
		return nil, source.ErrPermanent
	}}
	o := Options{
		Concurrency: 1, BatchSize: 1, MessageTimeout: time.Minute, Queues: []Queue{bad, good.queue()},
		Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
		Deliver: func(context.Context, source.Message) error { close(begun); return nil },
	}
	require.ErrorIs(t, New(o).Run(t.Context()), source.ErrPermanent)
	require.Equal(t, []string{"ack 1", "close"}, good.calls)
}

// The queue comes into being later.
func TestAQueueThatDoesNotExistIsLookedForAgain(t *testing.T) {
	f := newFake(batch("1"))
	var looks atomic.Int64
	late := Queue{Key: "late", Open: func(context.Context) (Source, error) {
		if looks.Add(1) == 1 {
			return nil, nil
		}
		return f, nil
	}}
	o := Options{
		Concurrency: 1, BatchSize: 1, MessageTimeout: time.Minute, Queues: []Queue{late},
		Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
		Deliver: func(context.Context, source.Message) error { return nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(o).Run(ctx) }()
	eventually(t, func() bool { return f.seen("ack 1") == 1 })
	cancel()
	require.NoError(t, <-ended)
	require.EqualValues(t, 2, looks.Load())
	require.True(t, f.waited, "alone, it waits on the server")
}

// gauge is one that tells its value.
type gauge struct {
	prometheus.Gauge
	value float64
}

func (g *gauge) Set(value float64) { g.value = value }

// A handler that can't be reached is no fault of the messages: none is counted, and but a few are
// taken to see whether it is back.
func TestIntakePausesWhileTheHandlerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 100
		var batches [][]source.Message
		for i := range messages {
			batches = append(batches, batch(strconv.Itoa(i)))
		}
		f := newFake(batches...)
		f.waits = time.Second
		away := fmt.Errorf("wrapped: %w", &delivery.Unavailable{Err: errors.New("connection refused")})
		var isAway atomic.Bool
		isAway.Store(true)
		var log bytes.Buffer
		o := Options{
			Concurrency: 2, BatchSize: 10, MessageTimeout: time.Minute, MaxDeliveries: 1, Queues: []Queue{f.queue()},
			Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics.New(),
			Deliver: func(context.Context, source.Message) error {
				if isAway.Load() {
					return away
				}
				return nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		w := New(o)
		available := gauge{}
		w.gate.available = &available
		go func() { ended <- w.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		require.Zero(t, available.value)
		f.mu.Lock()
		left := len(f.batches)
		f.mu.Unlock()
		require.Greater(t, left, messages-25, "one every 5 s, and a few before")
		require.Less(t, left, messages-10, "it is tried")
		require.Len(t, f.calls, messages-left)
		for _, call := range f.calls {
			require.Contains(t, call, "release ")
		}
		isAway.Store(false)
		<-time.After(lastProbe + time.Second)
		synctest.Wait()
		require.Empty(t, f.batches)
		require.InDelta(t, 1, available.value, 0)
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, 1, strings.Count(log.String(), "no messages are taken"), log.String())
		require.Equal(t, 1, strings.Count(log.String(), "is available again"), log.String())
	})
}

// A handler that asks to be left alone is: a message that was on its way to it meanwhile goes back. It came while
// the only slot was taken by the one that the handler did not take.
func TestNothingIsSentOnceTheHandlerAsksToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(batch("1"), batch("2"), batch("3"), batch("4"))
		f.waits = time.Second
		begun, answer := make(chan string, 10), make(chan struct{})
		stop := run(t, f, Options{Concurrency: 1, Deliver: func(_ context.Context, m source.Message) error {
			begun <- m.ID
			<-answer
			return &delivery.Unavailable{RetryAfter: time.Minute, Err: errors.New("503")}
		}})
		synctest.Wait()
		close(answer)
		<-time.After(50 * time.Second)
		synctest.Wait()
		require.Len(t, begun, 1)
		<-time.After(20 * time.Second)
		synctest.Wait()
		require.Len(t, begun, 2, "one that tries it")
		require.NoError(t, stop())
	})
}

// What can't be given back is sent to it all the same, if it was fetched before: it would be lost without a try.
func TestWhatWouldBeLostIsSentThoughTheHandlerAsksToBeLeftAlone(t *testing.T) {
	for once, want := range map[bool][]string{true: {"1", "2"}, false: {"1"}} {
		t.Run(fmt.Sprint(once), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(batch("1"), batch("2"), batch("3"))
				f.takes = time.Second
				sent := make(chan string, 3)
				stop := run(t, f, Options{Concurrency: 2, AtMostOnce: once, Deliver: func(_ context.Context, m source.Message) error {
					sent <- m.ID
					<-time.After(time.Second / 2)
					return &delivery.Unavailable{RetryAfter: time.Minute, Err: errors.New("503")}
				}})
				<-time.After(30 * time.Second)
				synctest.Wait()
				require.NoError(t, stop())
				close(sent)
				var ids []string
				for id := range sent {
					ids = append(ids, id)
				}
				require.Equal(t, want, ids)
			})
		})
	}
}

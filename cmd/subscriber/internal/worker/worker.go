// Package worker moves messages from a source through the work on them: so many at once,
// each within its time, with back-off after failures, and to a clean end.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Source is a queue as one consumer sees it; source.List and source.Stream are such.
type Source interface {
	// Recover makes the server and the source agree; before the first Fetch, and again
	// after an error of Fetch, Ack or Bury.
	Recover(ctx context.Context) error
	// Fetch waits a little for up to limit messages; none is no error.
	Fetch(ctx context.Context, limit int) ([]source.Message, error)
	// Ack ends a message whose work is done.
	Ack(ctx context.Context, m source.Message) error
	// Bury ends a message that failed too often.
	Bury(ctx context.Context, m source.Message) error
	// Retry has a message delivered again, not before that time has passed.
	Retry(ctx context.Context, m source.Message, after time.Duration) error
	// Release gives back messages whose work has not begun.
	Release(ctx context.Context, messages []source.Message) error
	// Maintain does what must go on beside, until ctx ends.
	Maintain(ctx context.Context)
	// Close gives back what is left; after an error it may be called again.
	Close(ctx context.Context) error
}

// Options configure a Worker.
type Options struct {
	Source  Source
	Deliver func(ctx context.Context, m source.Message) error
	// Concurrency is how many messages are in work at once, BatchSize how many are
	// fetched at once; both from 1.
	Concurrency, BatchSize int
	// MessageTimeout bounds the work on one message.
	MessageTimeout time.Duration
	// MaxDeliveries is when a message goes to the dead-letter queue; 0: never.
	MaxDeliveries int64
	Log           *slog.Logger
	Metrics       *metrics.Metrics
}

const (
	// closeTimeout bounds what follows the work of the last message. With
	// MessageTimeout it stays within a pod's grace period, messageTimeout + 5 s.
	closeTimeout = 3 * time.Second
	// releaseTimeout bounds giving messages back.
	releaseTimeout = 2 * time.Second
	// firstPause and lastPause bound the pauses between attempts to reach the server.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	// firstRetry and lastRetry bound the time before a failed message's next delivery.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	// quick is how long the messages of one batch may take altogether: slow messages
	// are fetched as they can begin, so that none waits here while other workers idle.
	quick = 200 * time.Millisecond
)

// Worker consumes a source.
type Worker struct {
	Options
	slots   chan struct{} // a token for each message in work
	inWork  sync.WaitGroup
	recover atomic.Bool  // the source must recover before the next fetch
	average atomic.Int64 // time of a message, in nanoseconds; 0 until known

	downSince time.Time // when the server was lost; zero while it answers
}

// New returns a worker.
func New(o Options) *Worker {
	w := &Worker{Options: o, slots: make(chan struct{}, o.Concurrency)}
	w.recover.Store(true)
	return w
}

// Run consumes until ctx ends or an error comes that no retry can mend, which it returns.
// When ctx ends it takes no more, finishes what is in work, each message within its time,
// gives back the rest, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	beside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var maintained sync.WaitGroup
	recovered, err := w.consume(ctx, func() {
		maintained.Go(func() { w.Source.Maintain(beside) })
	})
	if working := len(w.slots); working > 0 {
		w.Log.Info("stopping: finishing what is in work", "messages", working)
	}
	w.inWork.Wait()
	cancel()
	maintained.Wait()
	if recovered {
		w.close(context.WithoutCancel(ctx))
	}
	return err
}

// consume returns whether the source was ever recovered. ready is called when it first
// is.
func (w *Worker) consume(ctx context.Context, ready func()) (recovered bool, err error) {
	// What has been sent to the server must be heard: a reply that is lost may hold a
	// message. So only the pauses end with ctx.
	detached := context.WithoutCancel(ctx)
	for failures := 0; ctx.Err() == nil; {
		err := w.next(ctx, detached, func() {
			if !recovered {
				recovered = true
				ready()
			}
		})
		if err == nil {
			failures = 0
			continue
		}
		if errors.Is(err, source.ErrPermanent) {
			return recovered, err
		}
		w.recover.Store(true)
		w.lost(err)
		pause(ctx, backOff(firstPause, lastPause, failures))
		failures++
	}
	return recovered, nil
}

// next recovers the source where that is due, and fetches and begins one batch.
func (w *Worker) next(ctx, detached context.Context, recovered func()) error {
	if w.recover.Swap(false) {
		if err := w.Source.Recover(detached); err != nil {
			return err
		}
		w.restored()
		recovered()
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	batch, err := w.Source.Fetch(detached, w.limit())
	if err != nil || len(batch) == 0 {
		<-w.slots
		return err
	}
	w.begin(ctx, batch)
	return nil
}

// limit is how many messages to fetch: as many as can begin at once, and more of quick
// ones.
func (w *Worker) limit() int {
	limit := cap(w.slots) - len(w.slots) + 1 // one slot has been taken for this fetch
	if average := w.average.Load(); average > 0 {
		limit = max(limit, cap(w.slots)*int(min(int64(quick)/average, int64(w.BatchSize))))
	}
	return min(limit, w.BatchSize)
}

// begin starts the work on a batch; a slot for the first message is taken. It gives back
// those that can't begin soon, or before ctx ends.
func (w *Worker) begin(ctx context.Context, batch []source.Message) {
	deadline := time.NewTimer(source.BeginWithin)
	defer deadline.Stop()
	for i, m := range batch {
		if i > 0 && !w.slot(ctx, deadline.C) {
			w.release(ctx, batch[i:])
			return
		}
		if ctx.Err() != nil {
			<-w.slots
			w.release(ctx, batch[i:])
			return
		}
		w.inWork.Go(func() {
			defer func() { <-w.slots }()
			w.process(context.WithoutCancel(ctx), m)
		})
	}
}

// slot waits for a slot, and takes it.
func (w *Worker) slot(ctx context.Context, deadline <-chan time.Time) bool {
	select {
	case w.slots <- struct{}{}:
		return true
	case <-deadline:
	case <-ctx.Done():
	}
	return false
}

func (w *Worker) release(ctx context.Context, messages []source.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := w.Source.Release(ctx, messages); err != nil {
		w.Log.Debug("giving back messages failed; others will claim them", "messages", len(messages), "error", err)
	}
}

// process does the work on one message, and tells the source how it ended.
func (w *Worker) process(ctx context.Context, m source.Message) {
	w.Metrics.InWork.Inc()
	defer w.Metrics.InWork.Dec()
	began := time.Now()
	work, cancel := context.WithTimeout(ctx, w.MessageTimeout)
	err := w.Deliver(work, m)
	cancel()
	took := time.Since(began)
	w.Metrics.Seconds.Observe(took.Seconds())
	w.learn(took)
	if err == nil {
		w.Metrics.Deliveries.WithLabelValues(metrics.ResultAcknowledged).Inc()
		err = w.Source.Ack(ctx, m)
	} else {
		w.Metrics.Deliveries.WithLabelValues(metrics.ResultFailed).Inc()
		w.Log.Debug("a delivery failed", "id", m.ID, "deliveries", m.Deliveries, "error", err)
		err = w.failed(ctx, m)
	}
	if err != nil {
		w.Log.Debug("the server did not take the end of a message; it will be told again", "id", m.ID, "error", err)
		w.recover.Store(true)
	}
}

func (w *Worker) failed(ctx context.Context, m source.Message) error {
	if w.MaxDeliveries > 0 && m.Deliveries >= w.MaxDeliveries {
		return w.Source.Bury(ctx, m)
	}
	most := min(lastRetry, w.MessageTimeout+source.ClaimMargin)
	return w.Source.Retry(ctx, m, backOff(firstRetry, most, int(min(m.Deliveries-1, 30))))
}

// learn keeps a moving average, in which a message weighs an eighth. It may lose an update to
// another one: it is an estimate.
func (w *Worker) learn(took time.Duration) {
	took = max(took, time.Microsecond)
	average := time.Duration(w.average.Load())
	if average == 0 {
		average = took
	}
	w.average.Store(int64(average + (took-average)/8))
}

func (w *Worker) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var err error
	for failures := 0; ctx.Err() == nil; failures++ {
		if err = w.Source.Close(ctx); err == nil {
			return
		}
		if errors.Is(err, source.ErrPermanent) {
			break
		}
		pause(ctx, backOff(firstPause, lastPause, failures))
	}
	w.Log.Warn("could not take leave of the server; other workers will take over what is left", "error", err)
}

func (w *Worker) lost(err error) {
	w.Metrics.Connected.Set(0)
	if w.downSince.IsZero() {
		w.downSince = time.Now()
		w.Log.Warn("the server does not answer; trying again", "error", err)
	}
}

func (w *Worker) restored() {
	w.Metrics.Connected.Set(1)
	if !w.downSince.IsZero() {
		w.Log.Info("the server answers again", "after", time.Since(w.downSince).Round(time.Millisecond))
		w.downSince = time.Time{}
	}
}

// backOff doubles from first to most, and takes off up to a quarter at random, so that
// workers that failed together don't return together.
func backOff(first, most time.Duration, failures int) time.Duration {
	delay := most
	if failures < 30 && first<<failures < most {
		delay = first << failures
	}
	return delay - rand.N(delay/4)
}

func pause(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

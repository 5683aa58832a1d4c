package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// lane consumes one queue. Lanes share the worker's slots, for which they stand in line:
// so each queue that has messages gets its turn, and one whose server is away holds up no
// other.
type lane struct {
	*Worker
	queue   Queue
	log     *slog.Logger
	source  Source      // nil until there is such a queue
	recover atomic.Bool // the source must recover before the next fetch

	ready     bool      // the source has recovered once
	waiting   bool      // told that there is no such queue yet
	idle      int       // fetches without a message, one after the other
	downSince time.Time // when the server was lost; zero while it answers
	up        bool      // counted among Worker.up
}

func (w *Worker) newLane(queue Queue) *lane {
	l := &lane{Worker: w, queue: queue, log: w.Log}
	if len(w.Queues) > 1 {
		l.log = w.Log.With("key", queue.Key)
	}
	l.recover.Store(true)
	return l
}

// consume returns at the end of ctx, or after an error that no retry can mend. maintain is
// called when the source is first ready.
func (l *lane) consume(ctx context.Context, maintain func(Source)) error {
	// What has been sent to the server must be heard: a reply that is lost may hold a
	// message. So only the pauses end with ctx.
	detached := context.WithoutCancel(ctx)
	for failures := 0; ctx.Err() == nil; {
		err := l.next(ctx, detached, maintain)
		if err == nil {
			failures = 0
			continue
		}
		if errors.Is(err, source.ErrPermanent) {
			return err
		}
		l.recover.Store(true)
		l.lost(err)
		pause(ctx, backOff(firstPause, lastPause, failures))
		failures++
	}
	return nil
}

// next opens and recovers the source where that is due, and fetches and begins one batch.
func (l *lane) next(ctx, detached context.Context, maintain func(Source)) error {
	if l.source == nil {
		opened, err := l.queue.Open(detached)
		if err != nil {
			return err
		}
		if opened == nil {
			l.awaitQueue(ctx)
			return nil
		}
		l.source = opened
	}
	if l.recover.Swap(false) {
		if err := l.source.Recover(detached); err != nil {
			return err
		}
		l.restored()
		if !l.ready {
			l.ready = true
			maintain(l.source)
		}
	}
	return l.fetch(ctx, detached)
}

// fetch fetches and begins one batch, once a slot is free and the handler can be reached, or is to
// be tried.
func (l *lane) fetch(ctx, detached context.Context) error {
	probe, ok := l.gate.enter(ctx)
	if !ok {
		return nil
	}
	batch, err := l.fetchInto(ctx, detached, probe)
	if len(batch) == 0 {
		if probe {
			l.gate.abandon()
		}
		return err
	}
	l.idle = 0
	l.begin(l.received(ctx, batch), batch, probe)
	return nil
}

// fetchInto fetches a batch, and takes a slot for its first message.
func (l *lane) fetchInto(ctx, detached context.Context, probe bool) ([]source.Message, error) {
	// Only where no other queue needs the slot may it be held while nothing is there.
	alone := len(l.Queues) == 1
	if !alone && l.idle > 0 && len(l.slots) < cap(l.slots) && l.held.room(1) > 0 {
		return l.await(ctx, detached)
	}
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil
	}
	if !probe && l.gate.shut() {
		<-l.slots
		return nil, nil
	}
	limit := l.limit()
	if limit == 0 {
		<-l.slots
		l.held.told.Do(func() {
			l.log.Info("slots are free, but the messages in work are so large that no more are fetched: MAX_HELD_BYTES", "bytes", l.MaxHeldBytes)
		})
		pause(ctx, heldPause)
		return nil, nil
	}
	if probe {
		limit = 1
	}
	batch, err := l.source.Fetch(detached, limit, alone)
	if err == nil && len(batch) > 0 {
		l.held.add(batch)
		return batch, nil
	}
	<-l.slots
	if err == nil && !alone {
		if len(l.slots) == cap(l.slots) { // await would hold what others could begin
			pause(ctx, backOff(firstIdle, lastIdle, l.idle))
		}
		l.idle++
	}
	return nil, err
}

// await waits on the server for a message of a queue where none was, without a slot: so queues don't
// wait for each other, and one that idles costs one command in source.BlockTime, and not one
// at each look. In case others have taken all slots meanwhile, the message is given back.
func (l *lane) await(ctx, detached context.Context) ([]source.Message, error) {
	batch, err := l.source.Fetch(detached, 1, true)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	l.held.add(batch)
	deadline := time.NewTimer(source.BeginWithin)
	defer deadline.Stop()
	if !l.slot(ctx, deadline.C) {
		l.release(ctx, batch)
		return nil, nil
	}
	return batch, nil
}

// awaitQueue waits a little for the queue to exist.
func (l *lane) awaitQueue(ctx context.Context) {
	l.restored()
	if !l.waiting {
		l.log.Info("waiting for the queue to exist", "channel", l.queue.Key)
		l.waiting = true
	}
	pause(ctx, openInterval)
}

// begin starts the work on a batch; a slot for the first message is taken. It gives back
// those that can't begin soon, or before ctx ends, or, unless they probe it or would be lost, the handler is away.
func (l *lane) begin(ctx context.Context, batch []source.Message, probe bool) {
	deadline := time.NewTimer(source.BeginWithin)
	defer deadline.Stop()
	for i, m := range batch {
		if i > 0 && !l.slot(ctx, deadline.C) {
			l.release(ctx, batch[i:])
			return
		}
		if ctx.Err() != nil || !probe && !l.AtMostOnce && l.gate.shut() {
			<-l.slots
			l.release(ctx, batch[i:])
			return
		}
		l.inWork.Go(func() {
			defer func() { <-l.slots }()
			l.process(context.WithoutCancel(ctx), m)
		})
	}
}

func (l *lane) release(ctx context.Context, messages []source.Message) {
	l.held.remove(messages...)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := l.source.Release(ctx, messages, 0); err != nil {
		l.log.Debug("giving back messages failed; trying again", "messages", len(messages), "error", err)
		l.recover.Store(true)
	}
}

// process does the work on one message, and tells the source how it ended.
func (l *lane) process(ctx context.Context, m source.Message) {
	l.Metrics.InWork.Inc()
	defer l.Metrics.InWork.Dec()
	defer l.held.remove(m)
	began := time.Now()
	ctx, end := l.processing(ctx, m)
	work, cancel := context.WithTimeout(ctx, l.MessageTimeout)
	err := l.Deliver(work, m)
	cancel()
	took := time.Since(began)
	away := unavailable(err)
	l.gate.settle(away)
	if away == nil {
		l.Metrics.Seconds.Observe(took.Seconds())
		l.learn(took)
	}
	end(err)
	if err = l.conclude(ctx, m, err, away); err != nil {
		l.log.Debug("the server did not record the end of a message; trying again", "id", m.ID, "error", err)
		l.recover.Store(true)
	}
}

// unavailable is the error of a handler that is away or overloaded, which is not the fault of
// the message; nil for any other.
func unavailable(err error) *delivery.Unavailable {
	var away *delivery.Unavailable
	if !errors.As(err, &away) {
		return nil
	}
	return away
}

// conclude tells the source how the work on a message ended.
func (l *lane) conclude(ctx context.Context, m source.Message, err error, away *delivery.Unavailable) error {
	if err == nil {
		l.Metrics.Deliveries.WithLabelValues(metrics.ResultAcknowledged).Inc()
		return l.source.Ack(ctx, m)
	}
	l.log.Debug("a delivery failed", "id", m.ID, "deliveries", m.Deliveries, "error", err)
	if away != nil {
		l.Metrics.Deliveries.WithLabelValues(metrics.ResultUnavailable).Inc()
		return l.source.Release(ctx, []source.Message{m}, max(firstRetry, away.RetryAfter))
	}
	l.Metrics.Deliveries.WithLabelValues(metrics.ResultFailed).Inc()
	return l.failed(ctx, m, err)
}

// failed has the message delivered again, or ends it where that mends nothing.
func (l *lane) failed(ctx context.Context, m source.Message, cause error) error {
	var refused *delivery.Refused
	if errors.As(cause, &refused) || l.MaxDeliveries > 0 && m.Deliveries >= l.MaxDeliveries {
		m.Reason = cause.Error()
		return l.source.Bury(ctx, m)
	}
	most := min(lastRetry, l.MessageTimeout+source.ClaimMargin)
	return l.source.Retry(ctx, m, backOff(firstRetry, most, int(min(m.Deliveries-1, 30))))
}

func (l *lane) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var err error
	for failures := 0; ctx.Err() == nil; failures++ {
		if err = l.source.Close(ctx); err == nil {
			return
		}
		if errors.Is(err, source.ErrPermanent) {
			break
		}
		pause(ctx, backOff(firstPause, lastPause, failures))
	}
	l.log.Warn("could not deregister from the server; other workers will take over the remaining messages", "error", err)
}

func (l *lane) lost(err error) {
	l.waiting = false
	l.connected(false)
	if l.downSince.IsZero() {
		l.downSince = time.Now()
		l.log.Warn("the server does not answer; trying again", "error", err)
	}
}

func (l *lane) restored() {
	l.connected(true)
	if !l.downSince.IsZero() {
		l.log.Info("the server answers again", "after", time.Since(l.downSince).Round(time.Millisecond))
		l.downSince = time.Time{}
	}
}

// connected keeps the metric, which is 1 while the servers of all queues answer.
func (l *lane) connected(up bool) {
	if l.up == up {
		return
	}
	l.up = up
	l.mu.Lock()
	defer l.mu.Unlock()
	if up {
		l.Worker.up++
	} else {
		l.Worker.up--
	}
	connected := 0.0
	if l.Worker.up == len(l.Queues) {
		connected = 1
	}
	l.Metrics.Connected.Set(connected)
}

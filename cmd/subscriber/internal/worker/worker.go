// Package worker moves messages from queues through the work on them: so many at once,
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

	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Source is a queue as one consumer sees it; source.List, source.Stream and source.PubSub
// are such.
type Source interface {
	// Recover makes the server and the source agree; before the first Fetch, and again
	// after an error of Fetch, Ack or Bury.
	Recover(ctx context.Context) error
	// Fetch returns up to limit messages, for which it waits a little where wait is set;
	// none is no error.
	Fetch(ctx context.Context, limit int, wait bool) ([]source.Message, error)
	// Ack ends a message whose work is done.
	Ack(ctx context.Context, m source.Message) error
	// Bury ends a message that failed too often.
	Bury(ctx context.Context, m source.Message) error
	// Retry has a message delivered again, not before that time has passed.
	Retry(ctx context.Context, m source.Message, after time.Duration) error
	// Release gives back messages whose work has not begun, or was not to blame, to be
	// delivered again, uncounted, not before that time has passed.
	Release(ctx context.Context, messages []source.Message, after time.Duration) error
	// Maintain does what must go on beside, until ctx ends.
	Maintain(ctx context.Context)
	// Close gives back what is left; after an error it may be called again.
	Close(ctx context.Context) error
}

// Queue is one of the queues that a worker consumes.
type Queue struct {
	Key string
	// Open returns the queue's source, or nil while there is no such queue.
	Open func(ctx context.Context) (Source, error)
}

// Options configure a Worker.
type Options struct {
	// Queues are consumed side by side, in turn where the slots are scarce; one at least.
	Queues  []Queue
	Deliver func(ctx context.Context, m source.Message) error
	// Concurrency is how many messages are in flight at once, of all queues together;
	// BatchSize is how many are fetched at once; both from 1.
	Concurrency, BatchSize int
	// MaxHeldBytes bounds the content of the messages that are fetched and not ended, all
	// together; 0: no limit. One message may always be held.
	MaxHeldBytes int64
	// MessageTimeout bounds the work on one message.
	MessageTimeout time.Duration
	// MaxDeliveries is when a message goes to the dead-letter queue; 0: never.
	MaxDeliveries int64
	// AtMostOnce says that a message which is given back is lost, as Pub/Sub's are.
	AtMostOnce bool
	Log        *slog.Logger
	Metrics    *metrics.Metrics
	// Tracer begins a span for each batch and each message; nil: there are none.
	Tracer trace.Tracer
}

const (
	// closeTimeout bounds what follows the work of the last message. With
	// MessageTimeout it stays within a pod's grace period, messageTimeout + 5 s.
	closeTimeout = 3 * time.Second
	// endWithin is within a pod's grace period, too, which the process needs some of itself.
	endWithin = 4500 * time.Millisecond
	// releaseTimeout bounds giving messages back.
	releaseTimeout = 2 * time.Second
	// firstPause and lastPause bound the pauses between attempts to reach the server.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	// firstRetry and lastRetry bound the time before a failed message's next delivery.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	// quick is how long the messages of one batch may take altogether: slower ones are
	// fetched as they can begin, so that none waits here while other workers idle, and what
	// is in flight is what is in work. It is some exchanges with the server, which a batch
	// saves.
	quick = 5 * time.Millisecond
	// firstIdle and lastIdle bound the pauses between looks at an empty queue, where there
	// are several.
	firstIdle, lastIdle = 10 * time.Millisecond, 250 * time.Millisecond
	// heldPause is the pause before another look whether there is room for more bytes.
	heldPause = 10 * time.Millisecond
	// openInterval is the time between looks for a queue that does not exist.
	openInterval = time.Second
)

// Worker consumes queues.
type Worker struct {
	Options
	slots   chan struct{} // a token for each message in flight
	inWork  sync.WaitGroup
	average atomic.Int64 // time of a message, in nanoseconds; 0 until known
	gate    gate
	held    held

	mu sync.Mutex
	up int // queues whose server answers
}

// New returns a worker.
func New(o Options) *Worker {
	w := &Worker{Options: o, slots: make(chan struct{}, o.Concurrency), held: held{most: o.MaxHeldBytes}}
	if o.Metrics != nil {
		w.gate = gate{log: o.Log, available: o.Metrics.HandlerAvailable}
		o.Metrics.HandlerAvailable.Set(1)
	}
	return w
}

// Run consumes until ctx ends or an error comes that no retry can mend, which it returns.
// When ctx ends it takes no more, finishes the messages in flight, each within its time,
// gives back the rest, and returns nil. It does so within MessageTimeout and endWithin also if a server hangs,
// or it would be killed: what the server was not told then, others take over.
func (w *Worker) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(w.MessageTimeout + endWithin)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		w.Log.Warn("a server did not answer in the time that there is to end: other workers will take over what was in work")
		return nil
	}
}

func (w *Worker) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	beside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var consuming, maintained, closing sync.WaitGroup
	lanes, errs := make([]*lane, len(w.Queues)), make([]error, len(w.Queues))
	for i, queue := range w.Queues {
		lanes[i] = w.newLane(queue)
		consuming.Go(func() {
			defer stop() // an error ends the others, too
			errs[i] = lanes[i].consume(ctx, func(s Source) {
				maintained.Go(func() { s.Maintain(beside) })
			})
		})
	}
	consuming.Wait()
	if working := len(w.slots); working > 0 {
		w.Log.Info("stopping: finishing the messages in flight", "messages", working)
	}
	w.inWork.Wait()
	cancel()
	maintained.Wait()
	for _, lane := range lanes {
		if lane.ready {
			closing.Go(func() { lane.close(context.WithoutCancel(ctx)) })
		}
	}
	closing.Wait()
	return errors.Join(errs...)
}

// limit is how many messages to fetch: as many as can begin at once, and more of quick
// ones, and no more than there may be held.
func (w *Worker) limit() int {
	limit := cap(w.slots) - len(w.slots) + 1 // one slot has been taken for this fetch
	if average := w.average.Load(); average > 0 {
		limit = max(limit, cap(w.slots)*int(min(int64(quick)/average, int64(w.BatchSize))))
	}
	return w.held.room(min(limit, w.BatchSize))
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

package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// maxWaiting is how many messages may wait for another delivery before no new ones are
// taken: a few bad messages must not stop the queue, and a handler that is down must not
// draw all of it into one worker.
const maxWaiting = 100

// recheckInterval is the time between two comparisons with the server while nothing fails:
// after a failover a removal that the new master never heard of must not leave a message
// in the consumer's list for ever.
const recheckInterval = 15 * time.Second

// settleTokens bounds how many acknowledgements are on their way at once.
const settleTokens = 64

// List consumes a list whose publishers LPUSH. BLMOVE takes a message from the right and
// keeps it in the consumer's own list (queue.ProcessingKey) until LREM acknowledges it and
// the queue's counter of finished messages (queue.FinishedKey) is raised with it.
// Each consumer is named in queue.ConsumersKey with its last heartbeat, so that others
// move its messages back when it is gone.
//
// Fetch, Recover and Close are for one goroutine; the others are safe beside them.
type List struct {
	Options
	processing, consumers, deliveries, dead, finished string

	// settling holds a token for each acknowledgement on its way; Recover takes all, so
	// that it sees none half done.
	settling chan struct{}

	mu        sync.Mutex
	held      map[string]int // copies of each payload that are known here and not finished
	unsettled []removal      // finished, but the server may still hold them
	waiting   []waiting      // held, for a later delivery
	moved     bool           // a BLMOVE that failed may have moved a message that is not known here
	doubtful  time.Time      // a command sent before this may yet be executed until then
	recheck   bool           // compare with the server again after that time
	checked   time.Time      // last comparison with the server
	beat      time.Time      // last heartbeat
	excess    int64          // finished messages that the counter has too many
}

// removal is a message to be taken off the consumer's list.
type removal struct {
	payload string
	dead    bool // and put on the dead-letter queue
}

type waiting struct {
	message Message
	due     time.Time
}

// NewList returns the source of a list. Recover must succeed before the first Fetch.
func NewList(o Options) *List {
	return &List{
		Options:    o,
		processing: queue.ProcessingKey(o.Key, o.Consumer),
		consumers:  queue.ConsumersKey(o.Key),
		deliveries: queue.ConsumersKey(o.Key) + ":deliveries",
		dead:       o.deadKey(),
		finished:   queue.FinishedKey(o.Key),
		settling:   make(chan struct{}, settleTokens),
		held:       map[string]int{},
	}
}

// Fetch returns a message, for which it waits up to BlockTime where wait is set, or none.
// limit is of no effect: a list's message is fetched when its work can begin.
func (l *List) Fetch(ctx context.Context, _ int, wait bool) ([]Message, error) {
	if err := l.freshen(ctx); err != nil {
		return nil, err
	}
	message, due, full := l.next()
	if due {
		return l.deliver(ctx, message)
	}
	if full {
		if !wait {
			return nil, nil
		}
		return nil, l.pause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, BlockTime+OperationTimeout)
	defer cancel()
	payload, err := l.move(ctx, wait).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		if connection.MayHaveHappened(err) {
			l.doubt()
		}
		return nil, l.classify(fmt.Errorf("BLMOVE %s: %w", l.Key, err))
	}
	l.mu.Lock()
	l.held[payload]++
	l.mu.Unlock()
	return l.deliver(ctx, l.message(payload))
}

func (l *List) move(ctx context.Context, wait bool) *redis.StringCmd {
	if !wait {
		return l.Client.LMove(ctx, l.Key, l.processing, "RIGHT", "LEFT")
	}
	return l.Client.BLMove(ctx, l.Key, l.processing, "RIGHT", "LEFT", BlockTime)
}

func (l *List) message(payload string) Message {
	return Message{Key: l.Key, ID: payloadID(payload), Payload: payload}
}

// freshen does what must precede a move: the others must know of this consumer, and what
// an earlier error left open must be settled.
func (l *List) freshen(ctx context.Context) error {
	now := l.Now()
	l.mu.Lock()
	stale := now.Sub(l.beat) > lease/2
	recheck := l.recheck && now.After(l.doubtful) || now.Sub(l.checked) > recheckInterval
	l.mu.Unlock()
	if recheck {
		return l.Recover(ctx)
	}
	if stale {
		return l.heartbeat(ctx)
	}
	return nil
}

// next returns a message that is due for another delivery, and whether as many wait as
// may.
func (l *List) next() (message Message, due, full bool) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if !w.due.After(now) {
			l.waiting = slices.Delete(l.waiting, i, i+1)
			return w.message, true, false
		}
	}
	return Message{}, false, len(l.waiting) >= maxWaiting
}

// pause stands in for a fetch when no message may be taken.
func (l *List) pause(ctx context.Context) error {
	timer := time.NewTimer(BlockTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// deliver counts the delivery of a message that is held.
func (l *List) deliver(ctx context.Context, m Message) ([]Message, error) {
	m.fetched = l.Now()
	m.Deliveries++
	if l.MaxDeliveries == 0 {
		return []Message{m}, nil
	}
	// Counted on the server before the work begins, so that a message which ends its
	// worker is counted too.
	count, err := l.Client.HIncrBy(ctx, l.deliveries, m.ID, 1).Result()
	if err != nil {
		m.Deliveries--
		l.wait(m, l.Now())
		return nil, l.classify(fmt.Errorf("HINCRBY %s: %w", l.deliveries, err))
	}
	m.Deliveries = count
	if count > l.MaxDeliveries {
		return nil, l.Bury(ctx, m)
	}
	return []Message{m}, nil
}

// Ack takes the message off the consumer's list. After an error the message is done all
// the same, and Recover settles it.
func (l *List) Ack(ctx context.Context, m Message) error {
	return l.settle(ctx, removal{payload: m.Payload})
}

// Bury moves the message to the dead-letter queue, as Ack does otherwise.
func (l *List) Bury(ctx context.Context, m Message) error {
	l.Log.Warn("message goes to the dead-letter queue", "id", m.ID, "deliveries", m.Deliveries, "reason", m.Reason, "queue", l.dead)
	l.event(DeadLettered, 1)
	return l.settle(ctx, removal{payload: m.Payload, dead: true})
}

func (l *List) settle(ctx context.Context, r removal) error {
	select {
	case l.settling <- struct{}{}:
		defer func() { <-l.settling }()
	case <-ctx.Done():
		l.finish(r, ctx.Err())
		return ctx.Err()
	}
	removed, err := l.remove(ctx, r)
	l.finish(r, err)
	if err == nil && removed == 0 {
		l.Log.Warn("the server no longer had a message when its work ended: another worker took it over, or the server lost it", "id", payloadID(r.payload))
	}
	return err
}

// finish notes the end of the work on a message, whose removal failed where err is set.
func (l *List) finish(r removal, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[r.payload]--; l.held[r.payload] <= 0 {
		delete(l.held, r.payload)
	}
	if err != nil {
		l.unsettled = append(l.unsettled, r)
	}
}

// remove takes a message off the consumer's list and counts it as finished, in one
// transaction: where its reply is lost, the message's absence says that it was counted. It
// returns how many copies were removed, 0 or 1.
func (l *List) remove(ctx context.Context, r removal) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	var removed *redis.IntCmd
	_, err := l.Client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		removed = tx.LRem(ctx, l.processing, 1, r.payload)
		tx.IncrBy(ctx, l.finished, 1)
		if r.dead || l.MaxDeliveries > 0 {
			tx.HDel(ctx, l.deliveries, payloadID(r.payload))
		}
		if r.dead {
			tx.LPush(ctx, l.dead, r.payload)
		}
		return nil
	})
	if err != nil {
		return 0, l.classify(fmt.Errorf("MULTI, LREM %s: %w", l.processing, err))
	}
	if removed.Val() == 0 {
		// Whoever has it now counts it.
		l.mu.Lock()
		l.excess++
		l.mu.Unlock()
		l.correct(ctx)
	}
	return removed.Val(), nil
}

// correct takes back what was counted for messages that were not there any more. Where the
// server can't be reached, Recover does it later.
func (l *List) correct(ctx context.Context) {
	l.mu.Lock()
	excess := l.excess
	l.excess = 0
	l.mu.Unlock()
	if excess == 0 {
		return
	}
	err := l.Client.DecrBy(ctx, l.finished, excess).Err()
	if err != nil && !connection.MayHaveHappened(err) {
		l.mu.Lock()
		l.excess += excess
		l.mu.Unlock()
	}
}

// Retry delivers the message again after that time, here or, when this worker stops
// before, elsewhere.
func (l *List) Retry(_ context.Context, m Message, after time.Duration) error {
	l.wait(m, l.Now().Add(after))
	return nil
}

// Release gives back messages whose work has not begun.
func (l *List) Release(ctx context.Context, messages []Message) error {
	var errs []error
	for _, m := range messages {
		m.Deliveries--
		if l.MaxDeliveries > 0 {
			errs = append(errs, wrap("HINCRBY "+l.deliveries, l.Client.HIncrBy(ctx, l.deliveries, m.ID, -1).Err()))
		}
		l.wait(m, l.Now())
	}
	return errors.Join(errs...)
}

func (l *List) wait(m Message, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, waiting{m, due})
}

// doubt notes that a move may have happened, or may yet.
func (l *List) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved, l.recheck, l.doubtful = true, true, l.Now().Add(doubtTime)
}

func payloadID(payload string) string {
	sum := sha256.Sum256([]byte(payload))
	return hex.EncodeToString(sum[:16])
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

package source

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// List consumes a list whose publishers LPUSH. A message is taken from the right into a
// list of its own, and named in queue.TakenKey in the same transaction, with the end of a
// lease that this worker extends: so whatever a worker may hold is found there once its
// lease has ended, however late the server got the command. There it stays, too, while it
// waits for another delivery.
//
// Each holding of a message has a name that no other ever has (taken), which its end, its
// retry and its takeover refer to. So a command that comes late, or twice, finds nothing
// to do.
//
// Fetch, Recover and Close are for one goroutine; the others are safe beside them.
type List struct {
	Options
	next, taken, done, spare, consumers string

	dead deadletter.Box

	// process tells this process from an earlier one with its consumer's name, and serial
	// one holding from another.
	process string
	serial  atomic.Int64
	// returned is set once a message was given back: then looks are due in lookInterval again.
	returned atomic.Bool
	// adoptedNow is set once messages were found that this worker had not known of: then a look is due at once.
	adoptedNow atomic.Bool

	// For Fetch's goroutine alone.
	left       int64     // how many waited in the queue after the last look
	unattended bool      // a message may wait in next
	sawNext    bool      // one did at the last look
	nextLook   time.Time // for messages that are due again
	lastLook   time.Time
	newFirst   bool // the last fetch was of such
	adopted    bool // what an earlier process held has been looked for

	mu        sync.Mutex
	held      map[string]bool // members whose message is held here, or whose end is not settled
	unsettled []ending        // the server may not know of these
	doubtful  map[string]doubt
	clock     serverClock
	beat      time.Time // last heartbeat that the server took
	since     time.Time // what others hold may be taken from reclaimGrace after it
	full      fullness  // the server is at maxmemory
	refill    time.Time // spare elements are not put in order before it
}

// doubt is about a holding: whether the server made it, or will.
type doubt struct {
	holding taken
	until   time.Time
}

// NewList returns the source of a list. Recover must succeed before the first Fetch.
func NewList(o Options) *List {
	var process [8]byte
	_, _ = rand.Read(process[:]) // it never fails
	return &List{
		Options: o,
		next:    queue.NextKey(o.Key), taken: queue.TakenKey(o.Key), done: queue.DoneKey(o.Key), spare: queue.SpareKey(o.Key),
		consumers: queue.ConsumersKey(o.Key), dead: deadletter.Box{Key: o.Key},
		process: hex.EncodeToString(process[:]),
		held:    map[string]bool{}, doubtful: map[string]doubt{},
	}
}

// Fetch returns up to limit messages, for which it waits up to BlockTime where wait is set,
// or none. Those that are due for another delivery and new ones take turns.
func (l *List) Fetch(ctx context.Context, limit int, wait bool) ([]Message, error) {
	messages, err := l.fetch(ctx, limit, wait)
	if isFull(err) {
		return l.fetchInPlace(ctx, limit, wait)
	}
	return messages, err
}

func (l *List) fetch(ctx context.Context, limit int, wait bool) ([]Message, error) {
	if err := l.freshen(ctx); err != nil {
		return nil, err
	}
	if usual := l.lastLook.Add(lookInterval); l.returned.Load() && usual.Before(l.nextLook) {
		l.nextLook = usual
	}
	if l.adoptedNow.Swap(false) {
		l.nextLook = time.Time{}
	}
	look := !l.Now().Before(l.nextLook)
	if look && !l.newFirst {
		if again, err := l.fetchDue(ctx, limit); err != nil || len(again) > 0 {
			return again, err
		}
		look = false
	}
	l.newFirst = false
	fresh, err := l.fetchNew(ctx, limit, wait && !look)
	if err != nil || len(fresh) > 0 || !look {
		return fresh, err
	}
	return l.fetchDue(ctx, limit)
}

// freshen sees to it that leases are extended before anything else after a pause: of the
// process, for one.
func (l *List) freshen(ctx context.Context) error {
	l.mu.Lock()
	stale := l.Now().Sub(l.beat) > lease/2
	l.mu.Unlock()
	if stale {
		return l.heartbeat(ctx)
	}
	return nil
}

// fetchNew takes messages that have not been delivered yet.
func (l *List) fetchNew(ctx context.Context, limit int, wait bool) ([]Message, error) {
	if l.unattended {
		l.unattended = false
		if messages, err := l.take(ctx, l.next, 1); err != nil || len(messages) > 0 {
			return messages, err
		}
	}
	if l.left > 0 {
		messages, err := l.take(ctx, l.Key, min(limit, int(min(l.left, maxBatch))))
		if err != nil || len(messages) > 0 {
			return messages, err
		}
	}
	moved, err := l.await(ctx, wait)
	if err != nil || !moved {
		return nil, err
	}
	return l.take(ctx, l.next, 1)
}

// maxBatch bounds how many messages are taken in one transaction.
const maxBatch = 1000

// await moves the list's next message to where all workers look, once there is one. The
// move itself names nobody: where its reply is lost, or the server gets it after this
// worker's end, the message is found all the same.
func (l *List) await(ctx context.Context, wait bool) (moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, BlockTime+OperationTimeout)
	defer cancel()
	if wait {
		err = l.Client.BLMove(ctx, l.Key, l.next, "RIGHT", "LEFT", BlockTime).Err()
	} else {
		err = l.Client.LMove(ctx, l.Key, l.next, "RIGHT", "LEFT").Err()
	}
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		l.unattended = connection.MayHaveHappened(err)
		return false, l.classify(fmt.Errorf("BLMOVE %s: %w", l.Key, err))
	}
	return true, nil
}

// take takes up to n new messages from the queue, or from next.
func (l *List) take(ctx context.Context, from string, n int) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	holdings := make([]taken, n)
	moves := make([]*redis.StringCmd, n)
	end := l.leaseEnd()
	var left *redis.IntCmd
	err := l.transact(ctx, func(tx redis.Pipeliner) {
		for i := range holdings {
			holdings[i] = l.holding("", 0)
			id := holdings[i].id
			tx.ZAdd(ctx, l.taken, redis.Z{Score: end, Member: holdings[i].String()})
			moves[i] = tx.LMove(ctx, from, l.home(holdings[i]), "RIGHT", "LEFT")
			tx.ZAdd(ctx, queue.UncountedKey(l.Key, id), redis.Z{Score: 1, Member: queue.DoneMember})
		}
		left = tx.LLen(ctx, l.Key)
	})
	if err != nil {
		l.doubt(err, holdings)
		return nil, l.classify(fmt.Errorf("MULTI, LMOVE %s: %w", from, err))
	}
	l.left = left.Val()
	var orphans []string
	for i, h := range holdings {
		if moves[i].Err() != nil {
			orphans = append(orphans, queue.UncountedKey(l.Key, h.id))
		}
	}
	return l.deliver(ctx, holdings, moves, orphans), nil
}

// deliver makes messages of those holdings whose move found one; of the others nothing may
// be left, nor of the tokens that are no message's.
func (l *List) deliver(ctx context.Context, holdings []taken, moves []*redis.StringCmd, orphans []string) []Message {
	now := l.Now()
	var messages []Message
	var none []taken
	l.mu.Lock()
	for i, h := range holdings {
		payload, err := moves[i].Result()
		if err != nil {
			none = append(none, h)
			continue
		}
		l.held[h.String()] = true
		messages = append(messages, Message{
			Key: l.Key, ID: h.id, Payload: payload, Deliveries: h.deliveries + 1, holding: h, fetched: now,
		})
	}
	l.mu.Unlock()
	if len(none) > 0 {
		// Where this fails, whoever finds the name finds no message, and takes it away.
		_, _ = l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for part := range slices.Chunk(orphans, maxBatch) {
				pipe.Del(ctx, part...)
			}
			for _, h := range none {
				pipe.ZRem(ctx, l.taken, h.String())
			}
			return nil
		})
	}
	return messages
}

// doubt notes that the server may have made those holdings, or may yet.
func (l *List) doubt(err error, holdings []taken) {
	if !connection.MayHaveHappened(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range holdings {
		l.doubtful[h.String()] = doubt{h, l.Now().Add(lease)}
	}
}

// Ack ends the message. After an error it is done all the same, and Recover tells the
// server.
func (l *List) Ack(ctx context.Context, m Message) error {
	if m.place != "" {
		return l.ackInPlace(ctx, m)
	}
	return l.settle(ctx, ending{message: m})
}

// Bury makes the message a dead letter, as Ack does otherwise.
func (l *List) Bury(ctx context.Context, m Message) error {
	if m.place != "" {
		l.leaveInPlace(m) // there is no room for it elsewhere
		return nil
	}
	letter := l.letter(m, l.serverNow())
	l.buried(letter, l.dead)
	return l.settle(ctx, ending{message: m, dead: &letter})
}

// Retry has the message delivered again after that time, by this worker or another.
func (l *List) Retry(ctx context.Context, m Message, after time.Duration) error {
	return l.giveBack(ctx, m, m.Deliveries, l.serverNow().Add(after))
}

// Release gives back messages whose work has not begun, or was not to blame, to be
// delivered again after that time. The delivery is not counted.
func (l *List) Release(ctx context.Context, messages []Message, after time.Duration) error {
	var errs []error
	due := l.serverNow().Add(after)
	for _, m := range messages {
		errs = append(errs, l.giveBack(ctx, m, m.Deliveries-1, due))
	}
	return errors.Join(errs...)
}

func (l *List) giveBack(ctx context.Context, m Message, deliveries int64, due time.Time) error {
	if m.place != "" {
		l.leaveInPlace(m)
		return nil
	}
	waiting := l.holding(m.ID, deliveries)
	defer l.returned.Store(true)
	return l.settle(ctx, ending{message: m, waiting: &waiting, due: due})
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

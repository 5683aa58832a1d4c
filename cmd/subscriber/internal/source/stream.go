package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// claimInterval is the least time between two looks for entries that were given up.
const claimInterval = time.Second

// PayloadField is the field of an entry that holds a message.
const PayloadField = "payload"

// Stream consumes a stream by a consumer group. What a consumer read stays in the group's
// pending entries until XACK; XAUTOCLAIM takes over what has been pending for longer than
// the message timeout and ClaimMargin. What waits for another delivery is given to a name
// of its own, queue.WaitingConsumer, with a delivery time by which it is claimed when it
// is due: so it is neither in flight, nor taken for what an error left open.
//
// Fetch, Recover and Close are for one goroutine; the others are safe beside them.
type Stream struct {
	Options
	claimIdle time.Duration
	dead      deadletter.Box

	// For Fetch's goroutine alone.
	history   string // own pending entries after this ID are still to be looked at
	adopted   bool   // what an earlier process of this name held has been looked for
	cursor    string // of XAUTOCLAIM
	nextClaim time.Time
	newFirst  bool // the last fetch was of claimed entries
	told      bool // what becomes of finished entries
	joined    bool // the group was there, or created here

	ended   atomic.Int64 // entries, since the stream was last trimmed from here
	trimmed time.Time    // when that was; for Maintain alone
	mending mending      // for Maintain alone

	mu        sync.Mutex
	held      map[string]time.Time // IDs of entries whose work has not ended here, and when they came
	unsettled []burial             // finished, but perhaps pending still
	doubtful  bool                 // a command that gives entries to this consumer got no answer: it may yet be executed
	clock     serverClock
	contact   time.Time // when the server last told its time
	since     time.Time // what others hold may be claimed from reclaimGrace after it
	misdated  bool      // the clock jumped, and what is in work here is still dated by what it was
	doubted   time.Time // entries may be pending whose delivery lies ahead of the clock; zero: none are
	fullTold  time.Time // when a server without room for a dead letter was last told of
}

// burial is an entry that is finished: acknowledged, and perhaps a dead letter.
type burial struct {
	message Message
	dead    *deadletter.Letter
}

// needsRoom tells whether a server at maxmemory refuses it.
func (b burial) needsRoom() bool { return b.dead != nil }

// NewStream returns the source of a stream. Recover must succeed before the first Fetch.
func NewStream(o Options) *Stream {
	return &Stream{
		Options: o, claimIdle: o.MessageTimeout + ClaimMargin, dead: deadletter.Box{Key: o.Key, Group: o.Group},
		cursor: "0-0", held: map[string]time.Time{},
	}
}

// Maintain keeps an eye on the server's clock until ctx ends, and mends what its jumps did. Fetch looks after
// entries of consumers that are gone, and the server knows how long each entry has been pending.
func (s *Stream) Maintain(ctx context.Context) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.maintain(ctx); err != nil {
			s.Log.Debug("the server's clock could not be looked at", "error", err)
		}
		if err := s.trimIfDue(ctx); err != nil {
			s.Log.Debug("the stream could not be trimmed", "error", err)
		}
	}
}

// maintain is one turn of Maintain. By a time that is not known to be the server's nothing is dated.
func (s *Stream) maintain(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.lookAtClock, s.redate, s.mend} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Recover creates the group where there is none, at the start of the stream, so that no
// entry that waits is passed over. It acknowledges what is finished, and makes Fetch look
// at what this consumer's name held before. It must succeed before the first Fetch, and
// again after each error of Fetch, Ack or Bury.
func (s *Stream) Recover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*OperationTimeout)
	defer cancel()
	if err := s.checkKind(ctx, queue.Stream); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.lookAtClock, s.createGroup, s.redate, s.settleAll} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.history = "-"
	s.tellTrimming()
	return nil
}

// createGroup creates the group unless it is there: a server at maxmemory refuses to, even then.
func (s *Stream) createGroup(ctx context.Context) error {
	if s.Client.XPending(ctx, s.Key, s.Group).Err() == nil {
		s.joined = true
		return nil
	}
	err := s.Client.XGroupCreateMkStream(ctx, s.Key, s.Group, "0").Err()
	switch {
	case err == nil && s.joined:
		s.Log.Warn("the consumer group, or the stream, was removed: the group begins at the first entry again, and every entry that is there is delivered again", "channel", s.Key, "group", s.Group)
	case err == nil:
		s.Log.Info("created the consumer group", "channel", s.Key, "group", s.Group)
	case !redis.HasErrorPrefix(err, "BUSYGROUP"):
		return s.classify(fmt.Errorf("XGROUP CREATE %s %s: %w", s.Key, s.Group, err))
	}
	s.joined = true
	return nil
}

// Fetch returns up to limit entries: what this consumer held before; then what was given up,
// or is due again, and what is new, in turn. It waits for new ones up to BlockTime where wait
// is set.
func (s *Stream) Fetch(ctx context.Context, limit int, wait bool) ([]Message, error) {
	if s.history != "" {
		if found, err := s.fetchHistory(ctx, limit); err != nil || len(found) > 0 {
			return found, err
		}
	}
	look := !s.Now().Before(s.nextClaim)
	if look && !s.newFirst {
		if found, err := s.claim(ctx, limit); err != nil || len(found) > 0 {
			return found, err
		}
		look = false
	}
	s.newFirst = false
	// Where the pending entries have not been looked through, there is no time to wait.
	wait = wait && !look && s.Now().Before(s.nextClaim)
	entries, err := s.read(ctx, limit, wait)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 && look {
		return s.claim(ctx, limit)
	}
	return s.take(ctx, entries, func(int) int64 { return 1 })
}

// noBlock has go-redis leave BLOCK out of XREADGROUP.
const noBlock time.Duration = -1

// read reads new entries for this consumer.
func (s *Stream) read(ctx context.Context, limit int, wait bool) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, BlockTime+OperationTimeout)
	defer cancel()
	block := noBlock
	if wait {
		block = BlockTime
	}
	streams, err := s.Client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: s.Group, Consumer: s.Consumer, Streams: []string{s.Key, ">"},
		Count: int64(limit), Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		s.doubt(err)
		return nil, s.classify(fmt.Errorf("XREADGROUP %s %s: %w", s.Key, s.Group, err))
	}
	if len(streams) == 0 {
		return nil, nil
	}
	return streams[0].Messages, nil
}

// doubt notes that a command that gives entries to this consumer may yet be executed, after that error.
func (s *Stream) doubt(err error) {
	if connection.MayHaveHappened(err) {
		s.mu.Lock()
		s.doubtful = true
		s.mu.Unlock()
	}
}

// take holds the entries and returns them as messages. An entry that was delivered too
// often becomes a dead letter, one that was deleted is acknowledged.
func (s *Stream) take(ctx context.Context, entries []redis.XMessage, deliveries func(i int) int64) ([]Message, error) {
	now := s.Now()
	var messages []Message
	for i, entry := range entries {
		m := Message{
			Key: s.Key, ID: entry.ID, Payload: payloadOf(entry.Values), Deliveries: deliveries(i),
			fields: entry.Values, fetched: now,
		}
		s.mu.Lock()
		s.held[m.ID] = now
		s.mu.Unlock()
		var err error
		switch {
		case len(entry.Values) == 0: // deleted: nil on Redis, empty on DragonFly
			err = s.Ack(ctx, m)
		case s.MaxDeliveries > 0 && m.Deliveries > s.MaxDeliveries:
			err = s.Bury(ctx, m)
		default:
			messages = append(messages, m)
		}
		if err != nil {
			// Those before and after it are pending and not held: Recover finds them.
			s.drop(messages)
			return nil, err
		}
	}
	return messages, nil
}

func (s *Stream) drop(messages []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		delete(s.held, m.ID)
	}
}

// payloadOf is an entry's message.
func payloadOf(fields map[string]any) string {
	if payload, ok := fields[PayloadField].(string); ok {
		return payload
	}
	if len(fields) == 1 {
		for _, value := range fields {
			if payload, ok := value.(string); ok {
				return payload
			}
		}
	}
	encoded, err := json.Marshal(fields)
	if err != nil {
		return fmt.Sprint(fields) // go-redis reads nothing but strings
	}
	return string(encoded)
}

// Ack acknowledges the entry. After an error it is done all the same, and Recover
// settles it.
func (s *Stream) Ack(ctx context.Context, m Message) error { return s.settle(ctx, burial{message: m}) }

// Bury makes the entry a dead letter, as Ack does otherwise. A server at maxmemory
// refuses that: the entry is delivered once more.
func (s *Stream) Bury(ctx context.Context, m Message) error {
	letter := s.letter(m, s.serverNow())
	return s.settle(ctx, burial{message: m, dead: &letter})
}

func (s *Stream) settle(ctx context.Context, b burial) error {
	err := s.removeOrLeave(ctx, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unsettled = append(s.unsettled, b)
	}
	s.ended.Add(1)
	delete(s.held, b.message.ID)
	return err
}

// removeOrLeave removes the entry, or leaves it alone for a while where the server has no room for a dead
// letter.
func (s *Stream) removeOrLeave(ctx context.Context, b burial) error {
	err := s.remove(ctx, b)
	if isFull(err) {
		s.noteFull(b.message)
		return s.giveUp(ctx, b.message, leftAlone, b.message.Deliveries-1)
	}
	return err
}

// fullInterval is the time between two warnings of a server that has no room for dead letters.
const fullInterval = time.Minute

func (s *Stream) noteFull(m Message) {
	s.mu.Lock()
	now := s.Now()
	due := s.fullTold.IsZero() || now.Sub(s.fullTold) >= fullInterval
	if due {
		s.fullTold = now
	}
	s.mu.Unlock()
	if due {
		s.Log.Warn("the server is at maxmemory and refuses a dead letter: the message is tried again until there is room", "id", m.ID, "letters", s.dead.IndexKey())
	}
}

func (s *Stream) remove(ctx context.Context, b burial) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	if b.dead == nil {
		return s.classify(wrap("XACK "+s.Key, s.Client.XAck(ctx, s.Key, s.Group, b.message.ID).Err()))
	}
	// The letter has the entry's ID, so a server that gets this twice has one.
	var size *redis.IntCmd
	err := transact(ctx, s.Client.TxPipelined, func(tx redis.Pipeliner) {
		tx.XAck(ctx, s.Key, s.Group, b.message.ID)
		size = s.dead.Put(ctx, tx, *b.dead)
	})
	if err != nil {
		return s.classify(wrap("MULTI, XACK "+s.Key, err))
	}
	s.buried(*b.dead, s.dead) // not before: a server that is full refuses it again and again
	s.discard(ctx, s.dead, size.Val())
	return nil
}

// settleAll finishes what errors left open. All together have the time of one operation.
func (s *Stream) settleAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	s.mu.Lock()
	open := s.unsettled
	s.unsettled = nil
	s.mu.Unlock()
	left, err := settleEach(open, func(b *burial) error {
		pending, err := s.pending(ctx, b.message.ID)
		switch {
		case err == nil && pending > 0:
			err = s.removeOrLeave(ctx, *b)
		case err == nil && b.dead != nil:
			s.buried(*b.dead, s.dead) // the server did it, and its answer was lost
		}
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled = append(s.unsettled, left...)
	return err
}

// pending is how often an entry was delivered; 0 where it is not pending.
func (s *Stream) pending(ctx context.Context, id string) (int64, error) {
	entries, err := s.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: s.Key, Group: s.Group, Start: id, End: id, Count: 1,
	}).Result()
	if err != nil {
		return 0, s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
	}
	if len(entries) == 0 {
		return 0, nil
	}
	return max(1, entries[0].RetryCount), nil
}

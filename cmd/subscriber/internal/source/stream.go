package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// claimInterval is the least time between two looks for entries that were given up.
const claimInterval = time.Second

// PayloadField is the field of an entry that holds a message.
const PayloadField = "payload"

// Stream consumes a stream by a consumer group. What a consumer read stays in the group's
// pending entries until XACK; XAUTOCLAIM takes over what has been pending for longer than
// the message timeout and ClaimMargin.
//
// Fetch, Recover and Close are for one goroutine; the others are safe beside them.
type Stream struct {
	Options
	claimIdle time.Duration
	dead      string

	// For Fetch's goroutine alone.
	history   string // own pending entries after this ID are still to be looked at
	cursor    string // of XAUTOCLAIM
	nextClaim time.Time

	mu        sync.Mutex
	held      map[string]bool // IDs of entries whose work has not ended here
	unsettled []burial        // finished, but perhaps pending still
	doubtful  time.Time       // an XREADGROUP sent before this may yet be executed until then
}

// burial is an entry that is finished: acknowledged, or moved to the dead-letter queue.
type burial struct {
	message Message
	dead    bool
}

// NewStream returns the source of a stream. Recover must succeed before the first Fetch.
func NewStream(o Options) *Stream {
	return &Stream{
		Options: o, claimIdle: o.MessageTimeout + ClaimMargin, dead: o.deadKey(),
		cursor: "0-0", held: map[string]bool{},
	}
}

// Maintain does nothing until ctx ends: Fetch looks after entries of consumers that are
// gone, and the server knows how long each entry has been pending.
func (s *Stream) Maintain(ctx context.Context) { <-ctx.Done() }

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
	err := s.Client.XGroupCreateMkStream(ctx, s.Key, s.Group, "0").Err()
	if err != nil && !redis.HasErrorPrefix(err, "BUSYGROUP") {
		return s.classify(fmt.Errorf("XGROUP CREATE %s %s: %w", s.Key, s.Group, err))
	}
	if err := s.settleAll(ctx); err != nil {
		return err
	}
	s.history = "0-0"
	return nil
}

// Fetch returns up to limit entries: what this consumer held before, then what others
// gave up, then what is new, for which it waits up to BlockTime where wait is set.
func (s *Stream) Fetch(ctx context.Context, limit int, wait bool) ([]Message, error) {
	if s.history != "" {
		if found, err := s.fetchHistory(ctx, limit); err != nil || len(found) > 0 {
			return found, err
		}
	}
	if now := s.Now(); !now.Before(s.nextClaim) {
		s.nextClaim = now.Add(claimInterval)
		if found, err := s.claim(ctx, limit); err != nil || len(found) > 0 {
			return found, err
		}
	}
	block := noBlock
	if wait {
		block = BlockTime
	}
	entries, err := s.read(ctx, ">", limit, block)
	if err != nil {
		return nil, err
	}
	return s.take(ctx, entries, func(int) int64 { return 1 })
}

// noBlock has go-redis leave BLOCK out of XREADGROUP.
const noBlock time.Duration = -1

// read reads entries for this consumer: new ones after ">", else its own pending ones
// after that ID, which are there or not: they must not block.
func (s *Stream) read(ctx context.Context, after string, limit int, block time.Duration) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, BlockTime+OperationTimeout)
	defer cancel()
	streams, err := s.Client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: s.Group, Consumer: s.Consumer, Streams: []string{s.Key, after},
		Count: int64(limit), Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		if connection.MayHaveHappened(err) {
			s.mu.Lock()
			s.doubtful = s.Now().Add(doubtTime)
			s.mu.Unlock()
		}
		return nil, s.classify(fmt.Errorf("XREADGROUP %s %s: %w", s.Key, s.Group, err))
	}
	if len(streams) == 0 {
		return nil, nil
	}
	return streams[0].Messages, nil
}

// take holds the entries and returns them as messages. An entry that was delivered too
// often goes to the dead-letter queue, one that was deleted is acknowledged.
func (s *Stream) take(ctx context.Context, entries []redis.XMessage, deliveries func(i int) int64) ([]Message, error) {
	now := s.Now()
	var messages []Message
	for i, entry := range entries {
		m := Message{
			Key: s.Key, ID: entry.ID, Payload: payloadOf(entry.Values), Deliveries: deliveries(i),
			fields: entry.Values, fetched: now,
		}
		s.mu.Lock()
		s.held[m.ID] = true
		s.mu.Unlock()
		var err error
		switch {
		case entry.Values == nil:
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

// Bury moves the entry to the dead-letter queue, as Ack does otherwise.
func (s *Stream) Bury(ctx context.Context, m Message) error {
	s.Log.Warn("message goes to the dead-letter queue", "id", m.ID, "deliveries", m.Deliveries, "reason", m.Reason, "queue", s.dead)
	s.event(DeadLettered, 1)
	return s.settle(ctx, burial{message: m, dead: true})
}

func (s *Stream) settle(ctx context.Context, b burial) error {
	err := s.remove(ctx, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unsettled = append(s.unsettled, b)
	}
	delete(s.held, b.message.ID)
	return err
}

func (s *Stream) remove(ctx context.Context, b burial) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	if !b.dead {
		return s.classify(wrap("XACK "+s.Key, s.Client.XAck(ctx, s.Key, s.Group, b.message.ID).Err()))
	}
	values := make([]any, 0, 2*len(b.message.fields))
	for _, field := range slices.Sorted(maps.Keys(b.message.fields)) {
		values = append(values, field, b.message.fields[field])
	}
	_, err := s.Client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.XAck(ctx, s.Key, s.Group, b.message.ID)
		tx.XAdd(ctx, &redis.XAddArgs{Stream: s.dead, Values: values})
		return nil
	})
	return s.classify(wrap("MULTI, XACK "+s.Key, err))
}

// settleAll finishes what errors left open.
func (s *Stream) settleAll(ctx context.Context) error {
	s.mu.Lock()
	open := s.unsettled
	s.unsettled = nil
	s.mu.Unlock()
	for i, b := range open {
		pending, err := s.pending(ctx, b.message.ID)
		if err == nil && pending > 0 {
			err = s.remove(ctx, b)
		}
		if err != nil {
			s.mu.Lock()
			s.unsettled = append(s.unsettled, open[i:]...)
			s.mu.Unlock()
			return err
		}
	}
	return nil
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

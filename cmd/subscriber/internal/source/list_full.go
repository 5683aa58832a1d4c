package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// A server at maxmemory that evicts nothing refuses every command that may need more (those
// with the flag denyoom of COMMAND INFO): LMOVE, ZADD, and whatever is in a transaction. LREM, DEL
// and ZREM it takes. So what is full can be emptied all the same: a message stays where it
// is in the queue while the work on it goes on, and is removed when that is done.

// inPlaceWindow is how many messages at the queue's end a worker chooses from at random where
// they can't be taken: fifty at work at once then meet on one in two hundred, which is
// delivered twice.
const inPlaceWindow = 10_000

// fullness is what is known while the server refuses to write.
type fullness struct {
	told    time.Time // when it last refused
	logged  bool
	inPlace map[string]bool // payloads in work that are still in the queue
	left    map[string]time.Time
	ended   int64    // messages that were ended, and for which there was no spare left
	tokens  []string // of messages that were ended, and not counted yet
}

func isFull(err error) bool { return err != nil && redis.IsOOMError(err) }

// fetchInPlace finds up to limit messages without taking them.
func (l *List) fetchInPlace(ctx context.Context, limit int, wait bool) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, BlockTime+OperationTimeout)
	defer cancel()
	l.noteFull()
	var lengths [2]*redis.IntCmd
	places := [2]string{l.next, l.Key}
	_, err := l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, place := range places {
			lengths[i] = pipe.LLen(ctx, place)
		}
		return nil
	})
	if err != nil {
		return nil, l.classify(fmt.Errorf("LLEN %s: %w", l.Key, err))
	}
	var found []candidate
	_, err = l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, place := range places {
			window := min(lengths[i].Val(), inPlaceWindow)
			for range min(int64(limit-len(found)), window) {
				found = append(found, candidate{place, pipe.LIndex(ctx, place, -1-rand.Int64N(window))})
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, l.classify(fmt.Errorf("LINDEX %s: %w", l.Key, err))
	}
	messages := l.chooseInPlace(found)
	if len(messages) == 0 && wait {
		return nil, sleep(ctx, BlockTime)
	}
	return messages, nil
}

// candidate is a message that is looked at in a list.
type candidate struct {
	place   string
	payload *redis.StringCmd
}

// chooseInPlace leaves out what is in work already, or failed a while ago: an equal payload
// may be the same message.
func (l *List) chooseInPlace(found []candidate) []Message {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var messages []Message
	for _, c := range found {
		payload, err := c.payload.Result()
		if err != nil || l.full.inPlace[payload] || now.Before(l.full.left[payload]) {
			continue
		}
		l.full.inPlace[payload] = true
		messages = append(messages, Message{
			Key: l.Key, ID: l.holding("", 0).id, Payload: payload, Deliveries: 1, place: c.place, fetched: now,
		})
	}
	return messages
}

// ackInPlace removes the message from the queue. The end that is consumed next is looked
// through first, where it is.
func (l *List) ackInPlace(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	removed, err := l.Client.LRem(ctx, m.place, -1, m.Payload).Result()
	l.countWithoutRoom(ctx, removed)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.full.inPlace, m.Payload)
	return l.classify(wrap("LREM "+m.place, err))
}

// leaveInPlace has a message that failed left alone for a while. What it failed can't be
// written down: it is not counted.
func (l *List) leaveInPlace(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.full.inPlace, m.Payload)
	if len(l.full.left) >= maxLeft {
		clear(l.full.left)
	}
	l.full.left[m.Payload] = l.Now().Add(leftAlone)
}

const (
	// leftAlone is how long a message is left alone that failed in place, or can't become a dead letter.
	leftAlone = 10 * time.Second
	// maxLeft bounds how many such are remembered.
	maxLeft = 1000
)

// endWithoutRoom ends a message without a transaction: the message goes before its name, so that
// none is ever left without. Its token goes last, and says whether it is to be counted.
func (l *List) endWithoutRoom(ctx context.Context, h taken) (found bool, err error) {
	l.noteFull()
	deleted, err := l.Client.Del(ctx, l.home(h)).Result()
	if err == nil {
		err = l.Client.ZRem(ctx, l.taken, h.String()).Err()
	}
	if err != nil {
		return false, l.classify(fmt.Errorf("DEL %s: %w", l.home(h), err))
	}
	token := queue.UncountedKey(l.Key, h.id)
	counts, err := l.Client.Del(ctx, token).Result()
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.full.tokens = append(l.full.tokens, token)
		return deleted > 0, nil
	}
	l.countWithoutRoom(ctx, counts)
	return deleted > 0, nil
}

// noteFull tells, once, that the server refuses to write.
func (l *List) noteFull() {
	l.mu.Lock()
	first := !l.full.logged
	l.full.told, l.full.logged = l.Now(), true
	if l.full.inPlace == nil {
		l.full.inPlace, l.full.left = map[string]bool{}, map[string]time.Time{}
	}
	l.mu.Unlock()
	if first {
		l.Log.Warn("the server is at maxmemory and refuses to write: messages are worked on where they are, without counting deliveries, until there is room", "channel", l.Key)
	}
}

// countInPlace counts what was ended while the server refused to write, once it does not any
// more.
func (l *List) countInPlace(ctx context.Context) {
	l.mu.Lock()
	ended, tokens := l.full.ended, l.full.tokens
	l.full.ended, l.full.tokens = 0, nil
	over := l.full.logged && l.Now().Sub(l.full.told) > fullOver
	l.full.logged = l.full.logged && !over
	l.mu.Unlock()
	if over {
		l.Log.Info("the server takes writes again", "channel", l.Key)
	}
	l.countSpares(ctx)
	if ended == 0 && len(tokens) == 0 {
		return
	}
	err := l.transact(ctx, func(tx redis.Pipeliner) {
		if ended > 0 {
			tx.ZIncrBy(ctx, l.done, float64(ended), queue.DoneMember)
		}
		for _, token := range tokens {
			tx.ZUnionStore(ctx, l.done, &redis.ZStore{Keys: []string{l.done, token}})
			tx.Del(ctx, token)
		}
	})
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full.tokens = append(l.full.tokens, tokens...) // each counts once, however often it is told
	if isFull(err) {
		l.full.ended += ended
	}
}

// fullOver is how long the server must not have refused to write to be told to take it again.
const fullOver = 30 * time.Second

func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

package deadletter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// attempts is how often Requeue looks at a letter that others change meanwhile.
const attempts = 5

// Requeue gives the letter back to its queue, as a message that was never delivered, with the
// same ID. The letter's end and the message's return are one transaction, which happens once
// however many requeue the letter: for all others it is ErrGone.
//
// A list's message waits in queue.TakenKey, due at once. A stream's entry becomes pending
// again for its group alone, under its own ID; one that the stream has no more, or that trimming
// may remove at any time, is added anew, so it gets a new ID and other groups get it, too. After an error that is no answer of
// the server's, the letter is there or the message is back.
func (b Box) Requeue(ctx context.Context, client redis.UniversalClient, id string) error {
	for range attempts {
		err := client.Watch(ctx, func(tx *redis.Tx) error { return b.requeue(ctx, tx, id) }, b.LetterKey(id))
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
	return fmt.Errorf("letter %q: others change it all the time: try again", id)
}

func (b Box) requeue(ctx context.Context, tx *redis.Tx, id string) error {
	hash, err := tx.HGetAll(ctx, b.LetterKey(id)).Result()
	if err != nil {
		return fmt.Errorf("HGETALL %s: %w", b.LetterKey(id), err)
	}
	if len(hash) == 0 {
		if err := tx.ZRem(ctx, b.index(), id).Err(); err != nil {
			return fmt.Errorf("ZREM %s: %w", b.index(), err)
		}
		return fmt.Errorf("letter %q: %w", id, ErrGone)
	}
	letter, err := parse(id, b.Group, hash)
	if err != nil {
		return err
	}
	if b.Group == "" {
		return b.toList(ctx, tx, letter)
	}
	return b.toStream(ctx, tx, letter)
}

// end adds to the transaction what ends the letter.
func (b Box) end(ctx context.Context, pipe redis.Pipeliner, id string) {
	pipe.Del(ctx, b.LetterKey(id))
	pipe.ZRem(ctx, b.index(), id)
}

// toList makes the message one that waits for another delivery and is due: as a worker does that
// gives it back. So it keeps its ID, and is ready for any worker, and the scaler counts it.
func (b Box) toList(ctx context.Context, tx *redis.Tx, l Letter) error {
	now, err := tx.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("TIME: %w", err)
	}
	var token [8]byte
	_, _ = rand.Read(token[:]) // it never fails
	// <id>:<deliveries>:<token>:<consumer>, as workers write it; the token is unique.
	member := l.ID + ":0:" + hex.EncodeToString(token[:]) + "-requeued:kubectl-pubsub"
	err = transact(ctx, tx.TxPipelined, func(pipe redis.Pipeliner) {
		pipe.ZAdd(ctx, queue.TakenKey(b.Key), redis.Z{Score: float64(now.UnixMilli()), Member: member})
		pipe.LPush(ctx, queue.TakenKey(b.Key)+":"+member, l.Payload)
		// Its end counts once more, as its arrival does now.
		pipe.ZAdd(ctx, queue.UncountedKey(b.Key, l.ID), redis.Z{Score: 1, Member: queue.DoneMember})
		b.end(ctx, pipe, l.ID)
	})
	return wrap("MULTI, LPUSH "+queue.TakenKey(b.Key), err)
}

// toStream makes the entry pending again, if the stream still has it.
func (b Box) toStream(ctx context.Context, tx *redis.Tx, l Letter) error {
	if err := tx.XPending(ctx, b.Key, b.Group).Err(); err != nil { // it has no group: nothing may be ended
		return fmt.Errorf("XPENDING %s %s: %w", b.Key, b.Group, err)
	}
	entries, err := tx.XRange(ctx, b.Key, l.ID, l.ID).Result()
	if err != nil {
		return fmt.Errorf("XRANGE %s: %w", b.Key, err)
	}
	if len(entries) == 0 || l.Trimmed {
		err = transact(ctx, tx.TxPipelined, func(pipe redis.Pipeliner) {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: b.Key, Values: l.values()})
			b.end(ctx, pipe, l.ID)
		})
		return wrap("MULTI, XADD "+b.Key, err)
	}
	var claimed *redis.Cmd
	err = transact(ctx, tx.TxPipelined, func(pipe redis.Pipeliner) {
		// Delivered in 1970, so it is due. FORCE makes it pending though it was acknowledged.
		claimed = pipe.Do(ctx, "XCLAIM", b.Key, b.Group, queue.WaitingConsumer, 0, l.ID,
			"TIME", 1, "RETRYCOUNT", 0, "FORCE", "JUSTID")
		b.end(ctx, pipe, l.ID)
	})
	var answer redis.Error
	ids, ok := claimed.Val().([]any)
	switch {
	case err == nil && ok && len(ids) == 1:
		return nil
	case err != nil && !errors.As(err, &answer), redis.HasErrorPrefix(err, "EXECABORT"), errors.Is(err, redis.TxFailedErr):
		return wrap("MULTI, XCLAIM "+b.Key, err) // not executed, or nobody knows
	}
	return b.restore(ctx, tx, l, err)
}

// restore puts a letter back whose entry was trimmed, or whose group went, between the look and
// the transaction.
func (b Box) restore(ctx context.Context, tx *redis.Tx, l Letter, cause error) error {
	_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		b.Put(ctx, pipe, l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("letter %q can't be put back: %w", l.ID, errors.Join(cause, err))
	}
	if cause != nil {
		return fmt.Errorf("MULTI, XCLAIM %s: %w", b.Key, cause)
	}
	return redis.TxFailedErr // the next look sees that the entry is gone
}

// values are the entry's, in an order that does not vary.
func (l Letter) values() []any {
	values := make([]any, 0, 2*len(l.Fields))
	for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
		values = append(values, name, l.Fields[name])
	}
	return values
}

// transaction is TxPipelined, of a client or of a connection that watches.
type transaction func(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error)

// transact runs a transaction. Where the server takes none of it, the error names the command that
// it refused, too: EXECABORT alone does not say why.
func transact(ctx context.Context, run transaction, fill func(redis.Pipeliner)) error {
	commands, err := run(ctx, func(pipe redis.Pipeliner) error {
		fill(pipe)
		return nil
	})
	if !redis.HasErrorPrefix(err, "EXECABORT") {
		return err
	}
	for _, command := range commands {
		if refused := command.Err(); refused != nil && !redis.HasErrorPrefix(refused, "EXECABORT") {
			return fmt.Errorf("%w: %s: %w", err, command.Name(), refused)
		}
	}
	return err
}

func wrap(what string, err error) error {
	if err == nil || errors.Is(err, redis.TxFailedErr) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

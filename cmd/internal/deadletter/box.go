package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Box is where the letters of one queue are: of a list, or of one consumer group of a stream.
type Box struct {
	Key   string // the queue's
	Group string // empty: the queue is a list
}

func (b Box) index() string { return queue.DeadLettersKey(b.Key, b.Group) }

// LetterKey is the hash of the letter of that ID.
func (b Box) LetterKey(id string) string { return b.index() + ":" + id }

// IndexKey is the sorted set of the letters' IDs.
func (b Box) IndexKey() string { return b.index() }

// Put adds to a transaction what puts the letter into the box. The result is how many there
// are then. A second time it changes nothing.
func (b Box) Put(ctx context.Context, tx redis.Pipeliner, l Letter) (size *redis.IntCmd) {
	tx.HSet(ctx, b.LetterKey(l.ID), l.hash()...)
	tx.ZAdd(ctx, b.index(), redis.Z{Score: float64(l.Time.UnixMilli()), Member: l.ID})
	return tx.ZCard(ctx, b.index())
}

// discardAtOnce bounds how many letters one Discard removes, and lookAtOnce how many one
// command names: a bound may have been lowered by much.
const (
	discardAtOnce = 1000
	lookAtOnce    = 100
)

// Discard removes the oldest letters, up to 1000, where there are more than most. size is how
// many there were. Several may do so at the same time: all choose the same letters.
func (b Box) Discard(ctx context.Context, client redis.UniversalClient, size, most int64) (removed int, err error) {
	if size <= most {
		return 0, nil
	}
	last := -(most + 1) // counted from the newest: what others removed meanwhile is not removed twice
	if size-most > discardAtOnce {
		last = discardAtOnce - 1
	}
	ids, err := client.ZRange(ctx, b.index(), 0, last).Result()
	if err != nil {
		return 0, fmt.Errorf("ZRANGE %s: %w", b.index(), err)
	}
	return b.Purge(ctx, client, ids)
}

// Size is how many letters there are.
func (b Box) Size(ctx context.Context, client redis.UniversalClient) (int64, error) {
	size, err := client.ZCard(ctx, b.index()).Result()
	if err != nil {
		return 0, fmt.Errorf("ZCARD %s: %w", b.index(), err)
	}
	return size, nil
}

// IDs are those of the newest letters, up to limit, newest first; all with limit 0.
func (b Box) IDs(ctx context.Context, client redis.UniversalClient, limit int64) ([]string, error) {
	ids, err := client.ZRevRange(ctx, b.index(), 0, limit-1).Result()
	if err != nil {
		return nil, fmt.Errorf("ZREVRANGE %s: %w", b.index(), err)
	}
	return ids, nil
}

// Read reads letters. Those that are gone meanwhile are left out.
func (b Box) Read(ctx context.Context, client redis.UniversalClient, ids []string) ([]Letter, error) {
	var letters []Letter
	for part := range slices.Chunk(ids, lookAtOnce) {
		hashes := make([]*redis.MapStringStringCmd, len(part))
		if _, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, id := range part {
				hashes[i] = pipe.HGetAll(ctx, b.LetterKey(id))
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("HGETALL of %d letters of %s: %w", len(part), b.index(), err)
		}
		for i, id := range part {
			if len(hashes[i].Val()) == 0 {
				continue
			}
			letter, err := parse(id, b.Group, hashes[i].Val())
			if err != nil {
				return nil, err
			}
			letters = append(letters, letter)
		}
	}
	return letters, nil
}

// Purge removes letters for good, and returns how many there were of them.
func (b Box) Purge(ctx context.Context, client redis.UniversalClient, ids []string) (removed int, err error) {
	for part := range slices.Chunk(ids, lookAtOnce) {
		keys, members := make([]string, len(part)), make([]any, len(part))
		for i, id := range part {
			keys[i], members[i] = b.LetterKey(id), id
		}
		var deleted *redis.IntCmd
		if err := transact(ctx, client.TxPipelined, func(tx redis.Pipeliner) {
			deleted = tx.Del(ctx, keys...)
			tx.ZRem(ctx, b.index(), members...)
		}); err != nil {
			return removed, fmt.Errorf("MULTI, DEL of %d letters of %s: %w", len(part), b.index(), err)
		}
		removed += int(deleted.Val())
	}
	return removed, nil
}

// ErrGone is the error for a letter that is not there, or not any more.
var ErrGone = errors.New("there is no such dead letter (any more)")

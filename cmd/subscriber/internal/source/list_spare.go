package source

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// A count that a worker kept in its memory would go with it if it is killed, and a server at
// maxmemory takes no write that adds anything. It takes LREM. So a worker takes a spare element out
// of queue.SpareKey for each message that it ends then, and what is missing there is counted once
// there is room, by any worker.

const (
	// spares are how many messages can be counted on a full server. What ends beyond them is counted in memory.
	spares = queue.Spares
	// spareElement is what there are so many of. Small integers take the least memory.
	spareElement = "1"
	// spareFirst is the list's first element, which stays: a list without any would be gone,
	// and one that is gone does not say that all are missing.
	spareFirst = "0"
	// refillPause is the time between two attempts to put spares in order, after one that failed. It sends up to 70 kB: a thousand
	// workers that try with each heartbeat would be 14 MB/s, for a server that has no room.
	refillPause = 30 * time.Second
	// refillPauseForbidden is that time where the permission is missing, which people give.
	refillPauseForbidden = 10 * time.Minute
)

// countWithoutRoom counts messages that were ended. Where the answer is lost they count as counted: a
// count that is too low by one does less harm than one that is too high.
func (l *List) countWithoutRoom(ctx context.Context, messages int64) {
	if messages == 0 {
		return // LREM would remove all
	}
	removed, err := l.Client.LRem(ctx, l.spare, messages, spareElement).Result()
	if err != nil && connection.MayHaveHappened(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full.ended += messages - removed
}

// countSpares counts the elements that are missing, and puts others there, in one transaction that
// only succeeds if the list is as it was. Without room, or without the permission, it is as before.
func (l *List) countSpares(ctx context.Context) {
	l.mu.Lock()
	early := l.Now().Before(l.refill)
	l.mu.Unlock()
	if early {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	there, err := l.Client.LLen(ctx, l.spare).Result()
	if err == nil && there <= spares {
		err = l.Client.Watch(ctx, func(tx *redis.Tx) error { return l.refillSpares(ctx, tx) }, l.spare)
	}
	if err != nil && !errors.Is(err, redis.TxFailedErr) {
		pause := refillPause
		if redis.IsPermissionError(err) {
			pause = refillPauseForbidden
		}
		l.mu.Lock()
		l.refill = l.Now().Add(pause)
		l.mu.Unlock()
		l.Log.Debug("the spare elements for counting at maxmemory could not be put in order", "list", l.spare, "error", err)
	}
}

// refillSpares runs on a connection that watches the list.
func (l *List) refillSpares(ctx context.Context, tx *redis.Tx) error {
	there, err := tx.LLen(ctx, l.spare).Result()
	if err != nil || there > spares {
		return err
	}
	elements := slices.Repeat([]any{spareElement}, int(spares+1-max(1, there)))
	return transact(ctx, tx.TxPipelined, func(pipe redis.Pipeliner) {
		if there == 0 {
			pipe.RPush(ctx, l.spare, spareFirst)
		} else {
			pipe.ZIncrBy(ctx, l.done, float64(len(elements)), queue.DoneMember)
		}
		for part := range slices.Chunk(elements, maxBatch) {
			pipe.RPush(ctx, l.spare, part...)
		}
	})
}

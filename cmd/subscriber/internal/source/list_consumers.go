package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	// heartbeatInterval is the time between two heartbeats of a consumer. They don't
	// depend on its work, so the lease need not cover a message's time.
	heartbeatInterval = 5 * time.Second
	// lease is how old a heartbeat may be before others take a consumer's messages over.
	lease = 30 * time.Second
	// forgetAfter is how old a heartbeat must be before the name of a consumer without
	// messages is removed. It is much longer than the lease, so that the name of one
	// that was only frozen is still there when a late move of its fills its list.
	forgetAfter = 2 * time.Minute
)

// Maintain keeps this consumer's heartbeat and takes over the messages of those that are
// gone, until ctx ends. Errors are told at the debug level alone: Fetch meets them too.
func (l *List) Maintain(ctx context.Context) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		if err := errors.Join(l.heartbeat(ctx), l.reclaim(ctx)); err != nil {
			l.Log.Debug("heartbeat or takeover failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// heartbeat says that this consumer is alive, by the server's clock.
func (l *List) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	asked := l.Now()
	now, err := l.serverTime(ctx)
	if err != nil {
		return err
	}
	score := redis.Z{Score: float64(now.Unix()), Member: l.Consumer}
	if err := l.Client.ZAdd(ctx, l.consumers, score).Err(); err != nil {
		return l.classify(fmt.Errorf("ZADD %s: %w", l.consumers, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beat = asked
	return nil
}

// reclaim moves the messages of consumers whose lease has ended back to the queue.
func (l *List) reclaim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	now, err := l.serverTime(ctx)
	if err != nil {
		return err
	}
	gone, err := l.Client.ZRangeByScoreWithScores(ctx, l.consumers, &redis.ZRangeBy{
		Min: "-inf", Max: unixSeconds(now.Add(-lease)),
	}).Result()
	if err != nil {
		return fmt.Errorf("ZRANGEBYSCORE %s: %w", l.consumers, err)
	}
	if len(gone) == 0 {
		return nil
	}
	lengths := make([]*redis.IntCmd, len(gone))
	if _, err := l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, consumer := range gone {
			lengths[i] = pipe.LLen(ctx, queue.ProcessingKey(l.Key, consumer.Member.(string)))
		}
		return nil
	}); err != nil {
		return fmt.Errorf("LLEN of %d consumers' lists: %w", len(gone), err)
	}
	// The longest gone comes last, so that its messages come first.
	for i, consumer := range slices.Backward(gone) {
		if err := l.takeOver(ctx, consumer, lengths[i].Val(), now); err != nil {
			return err
		}
	}
	return nil
}

// takeOver puts back what a consumer held that is gone, or in the end forgets it.
func (l *List) takeOver(ctx context.Context, consumer redis.Z, holds int64, now time.Time) error {
	name := consumer.Member.(string) // go-redis reads no other type
	if name == l.Consumer {
		return nil
	}
	if holds == 0 {
		limit := float64(now.Add(-forgetAfter).Unix())
		if consumer.Score >= limit {
			return nil
		}
		err := l.forget(ctx, name, func(beat float64) bool { return beat < limit })
		if errors.Is(err, redis.TxFailedErr) {
			return nil // something changed: the next round looks again
		}
		return err
	}
	moved, err := l.moveBack(ctx, queue.ProcessingKey(l.Key, name))
	if moved > 0 {
		l.Log.Info("moved the messages of a dead consumer back to the queue", "consumer", name, "messages", moved)
		l.event(Reclaimed, moved)
	}
	return err
}

// forget takes a consumer's name off the consumers, unless it holds messages or its
// heartbeat is not one to be forgotten; it does nothing when either changes meanwhile.
func (l *List) forget(ctx context.Context, name string, old func(beat float64) bool) error {
	processing := queue.ProcessingKey(l.Key, name)
	err := l.Client.Watch(ctx, func(tx *redis.Tx) error {
		beat, err := tx.ZScore(ctx, l.consumers, name).Result()
		if errors.Is(err, redis.Nil) || err == nil && !old(beat) {
			return nil
		}
		if err != nil {
			return err
		}
		held, err := tx.LLen(ctx, processing).Result()
		if err != nil || held > 0 {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.ZRem(ctx, l.consumers, name)
			return nil
		})
		return err
	}, l.consumers, processing)
	return wrap("ZREM "+l.consumers, err)
}

func unixSeconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

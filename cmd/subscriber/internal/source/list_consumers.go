package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	// heartbeatInterval is the time between two heartbeats of a worker. They don't depend
	// on its work, so the lease need not cover a message's time.
	heartbeatInterval = 5 * time.Second
	// lease is how long after a worker's last heartbeat others take its messages over.
	lease = 30 * time.Second
	// longestWait is more than any worker has a message wait: a handler may ask for five minutes
	// (delivery.MaxRetryAfter).
	longestWait = 10 * time.Minute
	// forgetAfter is how old a heartbeat must be before the name of a worker is removed. It
	// is much longer than the lease, so that the name of one of an older version that was
	// only frozen is still there when a late move of its fills its list.
	forgetAfter = 2 * time.Minute
)

// Maintain keeps this worker's leases, and takes over the messages of older versions' workers
// that are gone, until ctx ends. Errors are told at the debug level alone: Fetch meets them
// too.
func (l *List) Maintain(ctx context.Context) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		if err := l.maintain(ctx); err != nil {
			l.Log.Debug("heartbeat or takeover failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// maintain is one turn of Maintain. What others hold is touched after a heartbeat alone: without one this worker
// does not know the server's time, and by a wrong one a lease has ended that its worker has just extended, or ends
// too late and is cut to what has long ended.
func (l *List) maintain(ctx context.Context) error {
	err := l.heartbeat(ctx)
	if err != nil && !isFull(err) {
		return err // the server is away: the next heartbeat must not wait for what it would not take either (reclaimGrace)
	}
	for _, step := range []func(context.Context) error{l.reclaim, l.mendLeases} {
		if err == nil {
			err = step(ctx)
		}
	}
	full := isFull(err)
	// What the server did not take, whatever it was for: until it does, the leases of these messages are extended.
	err = errors.Join(err, l.settleAll(ctx), l.adoptDoubtful(ctx))
	if !full { // else what counts there is refused, too, and is up to 70 kB to send
		l.countInPlace(ctx)
	}
	return err
}

// heartbeat says that this worker is alive, and extends the leases of what it holds, by the
// server's clock.
func (l *List) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	asked := l.Now()
	now, err := l.serverTime(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	ahead := l.clock.learn(now, asked, l.Now())
	// After an outage all leases have ended, and as well where the server's clock went ahead, by a failover for one.
	if ahead > lease/2 || asked.Sub(l.beat) > lease/2 {
		l.since = asked
	}
	var leases []redis.Z
	end := inWork(now.Add(lease))
	for member := range l.held {
		leases = append(leases, redis.Z{Score: end, Member: member})
	}
	l.mu.Unlock()
	l.tellJump(ahead)
	_, err = l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZAdd(ctx, l.consumers, redis.Z{Score: float64(now.Unix()), Member: l.Consumer})
		for part := range slices.Chunk(leases, maxBatch) {
			pipe.ZAddXX(ctx, l.taken, part...) // what others took over stays theirs
		}
		return nil
	})
	if err != nil {
		return l.classify(fmt.Errorf("ZADD %s: %w", l.consumers, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beat = asked
	return nil
}

// mendLeases shortens leases that end later than any that a worker gives, and waits that are longer than any: the
// server's clock was ahead, before a failover for one.
func (l *List) mendLeases(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	now := l.serverNow()
	end := now.Add(lease)
	var leases, waits *redis.StringSliceCmd
	_, err := l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		leases = pipe.ZRangeByScore(ctx, l.taken, &redis.ZRangeBy{Min: "(" + score(inWork(end.Add(lease))), Max: "+inf", Count: maxBatch})
		waits = pipe.ZRangeByScore(ctx, l.taken, &redis.ZRangeBy{
			Min: "(" + score(waitingUntil(now.Add(longestWait))), Max: "(" + score(queue.InWork), Count: maxBatch,
		})
		return nil
	})
	if err != nil {
		return wrap("ZRANGEBYSCORE "+l.taken, err)
	}
	var mended []redis.Z
	for _, member := range leases.Val() {
		mended = append(mended, redis.Z{Score: inWork(end), Member: member})
	}
	for _, member := range waits.Val() {
		mended = append(mended, redis.Z{Score: waitingUntil(now), Member: member})
	}
	if len(mended) == 0 {
		return nil
	}
	return wrap("ZADD "+l.taken, l.Client.ZAddXX(ctx, l.taken, mended...).Err())
}

// reclaim moves the messages of older versions' workers whose lease has ended back to the
// queue: each has what it holds in one list.
func (l *List) reclaim(ctx context.Context) error {
	if !l.mayReclaim() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	now := l.serverNow()
	all, err := l.Client.ZRangeWithScores(ctx, l.consumers, 0, -1).Result()
	if err != nil {
		return fmt.Errorf("ZRANGE %s: %w", l.consumers, err)
	}
	var gone []redis.Z
	for _, consumer := range all {
		switch beat := time.Unix(int64(consumer.Score), 0); {
		case beat.Before(now.Add(-lease)):
			gone = append(gone, consumer)
		case beat.After(now.Add(lease)):
			// The server's clock was ahead. Who is alive says so again.
			mended := redis.Z{Score: float64(now.Unix()), Member: consumer.Member}
			if err := l.Client.ZAddXX(ctx, l.consumers, mended).Err(); err != nil {
				return fmt.Errorf("ZADD %s: %w", l.consumers, err)
			}
		}
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
		if err := l.putBack(ctx, consumer, lengths[i].Val(), now); err != nil {
			return err
		}
	}
	return nil
}

// putBack puts back what a consumer held that is gone, or in the end forgets it.
func (l *List) putBack(ctx context.Context, consumer redis.Z, holds int64, now time.Time) error {
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

package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Recover makes what is known here and what the server holds agree. It must succeed
// before the first Fetch, and again after each error of Fetch, Ack or Bury. It takes over
// what an earlier process of the same name held, and tells the server what is finished.
func (l *List) Recover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*OperationTimeout)
	defer cancel()
	if err := l.checkKind(ctx, queue.List); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{l.heartbeat, l.settleAll, l.adoptDoubtful, l.adoptFormer} {
		if err := step(ctx); err != nil && !isFull(err) {
			return err
		}
	}
	l.left, l.unattended = 0, true
	return nil
}

// settleAll tells the server the ends that it did not take. All together have the time of one operation: heartbeats wait for them.
func (l *List) settleAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	l.mu.Lock()
	open := l.unsettled
	l.unsettled = nil
	l.mu.Unlock()
	left, err := settleEach(open, func(e *ending) error {
		if _, err := l.end(ctx, *e); err != nil {
			// What the server may have done is not to be undone as what it found nothing to do for.
			e.unsure = e.unsure || connection.MayHaveHappened(err)
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, e.message.holding.String())
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsettled = append(l.unsettled, left...)
	return err
}

// adoptDoubtful finds what the server gave this worker without its knowing, until it can't any more: each heartbeat looks again.
// Nobody has worked on it.
func (l *List) adoptDoubtful(ctx context.Context) error {
	now := l.Now()
	l.mu.Lock()
	doubtful := make([]taken, 0, len(l.doubtful))
	for _, d := range l.doubtful {
		doubtful = append(doubtful, d.holding)
	}
	l.mu.Unlock()
	if len(doubtful) == 0 {
		return nil
	}
	present := make([]*redis.IntCmd, len(doubtful))
	if _, err := l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, h := range doubtful {
			present[i] = pipe.LLen(ctx, l.home(h))
		}
		return nil
	}); err != nil {
		return l.classify(fmt.Errorf("LLEN of %d messages: %w", len(doubtful), err))
	}
	var first error
	for i, h := range doubtful {
		found := present[i].Val() > 0
		l.mu.Lock()
		if found || now.After(l.doubtful[h.String()].until) {
			delete(l.doubtful, h.String())
		}
		l.mu.Unlock()
		if !found {
			continue
		}
		waiting := l.holding(h.id, h.deliveries)
		// Where the server does not take it, settleAll tells it again: the others are not to wait for that.
		err := l.settle(ctx, ending{message: Message{ID: h.id, holding: h}, waiting: &waiting, due: l.serverNow(), unsure: true})
		switch {
		case err == nil:
			l.adoptedNow.Store(true)
		case !answered(err):
			return err
		case first == nil:
			first = err
		}
	}
	return first
}

// adoptFormer makes due at once what an earlier process of this name held: no other may have the
// name at the same time, so it is gone.
func (l *List) adoptFormer(ctx context.Context) error {
	if l.adopted {
		return nil
	}
	if _, err := l.moveBack(ctx, queue.ProcessingKey(l.Key, l.Consumer)); err != nil { // of an older version
		return err
	}
	members, err := l.Client.ZRangeByScore(ctx, l.taken, &redis.ZRangeBy{Min: score(queue.InWork), Max: "+inf"}).Result()
	if err != nil {
		return l.classify(fmt.Errorf("ZRANGEBYSCORE %s: %w", l.taken, err))
	}
	for part := range slices.Chunk(members, maxBatch) {
		var from []string
		var to []taken
		for _, member := range part {
			if h, ok := parseTaken(member); ok && h.consumer == l.Consumer && !l.mine(h) {
				from, to = append(from, member), append(to, l.holding(h.id, h.deliveries+1))
			}
		}
		if len(from) == 0 {
			continue
		}
		// What had no message is found to have none when it is due, which it is.
		_, orphans, err := l.passAll(ctx, from, to, waitingUntil(l.serverNow()))
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			if err := l.Client.Del(ctx, orphans...).Err(); err != nil {
				return l.classify(wrap("DEL "+orphans[0], err))
			}
		}
		l.event(Reclaimed, len(from))
	}
	l.adopted = true
	return nil
}

// mine tells whether this process made the holding.
func (l *List) mine(h taken) bool {
	return len(h.token) > len(l.process) && h.token[:len(l.process)] == l.process
}

// Close takes leave: what is given back waits for the others, and what the server could not be
// told is found by them when its lease ends. The work on all messages must have ended. After
// an error, Close may be called again.
func (l *List) Close(ctx context.Context) error {
	if err := l.settleAll(ctx); err != nil && !isFull(err) {
		return err
	}
	if err := l.adoptDoubtful(ctx); err != nil && !isFull(err) {
		return err
	}
	l.countInPlace(ctx)
	err := l.Client.ZRem(ctx, l.consumers, l.Consumer).Err()
	return l.classify(wrap("ZREM "+l.consumers, err))
}

// moveBack returns the messages of an older version's list to the end that is consumed next, in
// their order. Each is moved atomically, so that two that do it at once do no harm.
func (l *List) moveBack(ctx context.Context, processing string) (int, error) {
	for moved := 0; ; moved++ {
		err := l.Client.LMove(ctx, processing, l.Key, "LEFT", "RIGHT").Err()
		if errors.Is(err, redis.Nil) {
			return moved, nil
		}
		if err != nil {
			return moved, l.classify(fmt.Errorf("LMOVE %s: %w", processing, err))
		}
	}
}

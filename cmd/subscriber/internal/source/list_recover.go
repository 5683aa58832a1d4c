package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Recover makes what is known here and what the server holds agree. It must succeed
// before the first Fetch, and again after each error of Fetch, Ack or Bury. It takes over
// what an earlier process of the same name held, and removes what is finished.
func (l *List) Recover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*OperationTimeout)
	defer cancel()
	if err := l.checkKind(ctx, queue.List); err != nil {
		return err
	}
	if err := l.heartbeat(ctx); err != nil {
		return err
	}
	for taken := range cap(l.settling) {
		select {
		case l.settling <- struct{}{}:
			defer func() { <-l.settling }()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d acknowledgements: %w", cap(l.settling)-taken, ctx.Err())
		}
	}
	l.correct(ctx)
	present, err := l.Client.LRange(ctx, l.processing, 0, -1).Result()
	if err != nil {
		return l.classify(fmt.Errorf("LRANGE %s: %w", l.processing, err))
	}
	l.mu.Lock()
	adopt, remove := reconcile(present, l.held, l.unsettled, l.moved)
	l.mu.Unlock()
	for _, r := range remove {
		if _, err := l.remove(ctx, r); err != nil {
			return err // the next Recover finds what is left
		}
	}
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsettled, l.checked = nil, now
	if now.After(l.doubtful) {
		l.moved, l.recheck = false, false
	}
	for _, payload := range adopt {
		l.held[payload]++
		l.waiting = append(l.waiting, waiting{l.message(payload), now})
	}
	return nil
}

// reconcile compares the consumer's list on the server with what is known here. held
// counts the copies in flight or waiting; finished are those whose removal is not certain;
// moved says that one unknown message may have been moved, which then is the first of
// the list. adopt are the messages that nobody knows, the oldest first; remove are
// the removals that did not happen.
//
// Equal payloads can't be told apart. Where the first of the list may be either an unknown
// message or a finished one, it is taken for unknown: delivered twice rather than lost.
func reconcile(present []string, held map[string]int, finished []removal, moved bool) (adopt []string, remove []removal) {
	extra := map[string]int{}
	for _, payload := range present {
		extra[payload]++
	}
	for payload, count := range held {
		extra[payload] -= count
	}
	var newest []string
	if moved && len(present) > 0 && extra[present[0]] > 0 {
		newest = []string{present[0]}
		extra[present[0]]--
	}
	for _, r := range finished {
		if extra[r.payload] > 0 {
			extra[r.payload]--
			remove = append(remove, r)
		}
	}
	for i := len(present) - 1; i >= 0; i-- {
		if payload := present[i]; extra[payload] > 0 {
			extra[payload]--
			adopt = append(adopt, payload)
		}
	}
	return append(adopt, newest...), remove
}

// Close gives back what this consumer still holds, and takes its name off the list of
// consumers. The work on all messages must have ended. After an error, Close may be
// called again; failing that, the others take over what is left.
func (l *List) Close(ctx context.Context) error {
	if err := l.Recover(ctx); err != nil {
		return err
	}
	returned, err := l.moveBack(ctx, l.processing)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.waiting, l.held = nil, map[string]int{}
	doubtful := l.Now().Before(l.doubtful)
	l.mu.Unlock()
	if returned > 0 {
		l.Log.Info("messages given back", "messages", returned)
	}
	if doubtful {
		// A move that failed may yet happen: the others must know where to look.
		return nil
	}
	return l.forget(ctx, l.Consumer, func(float64) bool { return true })
}

// moveBack returns the messages of a consumer's list to the end that is consumed next, in
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

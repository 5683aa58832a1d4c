package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// taken names one holding of a message: a worker's, or its wait for another delivery. As a
// member of queue.TakenKey it is written <id>:<deliveries>:<token>:<consumer>.
type taken struct {
	// id is the message's, given to it when it is first taken and kept until its end: equal
	// payloads are different messages.
	id string
	// deliveries are those that count, before this holding.
	deliveries int64
	// token is <process>-<number>, and unique.
	token    string
	consumer string
}

func (t taken) String() string {
	return t.id + ":" + strconv.FormatInt(t.deliveries, 10) + ":" + t.token + ":" + t.consumer
}

// parseTaken reads a member. What nobody of ours wrote is a holding all the same: its list may
// have a message.
func parseTaken(member string) (taken, bool) {
	parts := strings.SplitN(member, ":", 4)
	if len(parts) < 4 {
		return taken{}, false
	}
	deliveries, err := strconv.ParseInt(parts[1], 10, 64)
	return taken{parts[0], deliveries, parts[2], parts[3]}, err == nil && deliveries >= 0
}

// holding is a new one, of a new message where id is empty.
func (l *List) holding(id string, deliveries int64) taken {
	token := l.process + "-" + strconv.FormatInt(l.serial.Add(1), 36)
	if id == "" {
		id = token
	}
	return taken{id, max(0, deliveries), token, l.Consumer}
}

// home is the list that has a holding's message.
func (l *List) home(t taken) string { return l.homeOf(t.String()) }

func (l *List) homeOf(member string) string { return l.taken + ":" + member }

// serverNow is the time by the server's clock, as of the last heartbeat.
func (l *List) serverNow() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock.now(l.Now())
}

// leaseEnd is the score of a message that is in work from now on.
func (l *List) leaseEnd() float64 { return inWork(l.serverNow().Add(lease)) }

func inWork(end time.Time) float64 { return queue.InWork + waitingUntil(end) }

func waitingUntil(due time.Time) float64 { return float64(due.UnixMilli()) }

// transact runs commands in one transaction. That one of them finds nothing is no error.
func (l *List) transact(ctx context.Context, commands func(tx redis.Pipeliner)) error {
	return transact(ctx, l.Client.TxPipelined, commands)
}

// pipelined is TxPipelined, of a client or of a connection that watches.
type pipelined func(ctx context.Context, commands func(redis.Pipeliner) error) ([]redis.Cmder, error)

func transact(ctx context.Context, run pipelined, commands func(tx redis.Pipeliner)) error {
	cmds, err := run(ctx, func(tx redis.Pipeliner) error {
		commands(tx)
		return nil
	})
	if err == nil || errors.Is(err, redis.Nil) && !refused(cmds) {
		return nil
	}
	for _, cmd := range cmds {
		var reason redis.Error
		if errors.As(cmd.Err(), &reason) && !errors.Is(reason, redis.Nil) && !redis.HasErrorPrefix(reason, "EXECABORT") {
			return cmd.Err() // EXECABORT does not say why
		}
	}
	return err
}

// refused tells whether a command has an error beside finding nothing.
func refused(cmds []redis.Cmder) bool {
	return slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool {
		return cmd.Err() != nil && !errors.Is(cmd.Err(), redis.Nil)
	})
}

// ending is the end of a holding: the message's own, or its wait for another delivery.
type ending struct {
	message Message
	dead    *deadletter.Letter // it is this one from now on
	waiting *taken             // or it waits, until due by the server's clock
	due     time.Time
	unsure  bool // it was told, and no answer came
}

// needsRoom tells whether a server at maxmemory refuses it, rather than be emptied by it.
func (e ending) needsRoom() bool { return e.dead != nil || e.waiting != nil }

// settle ends a holding. Where the server does not take it, Recover and Maintain tell it again.
func (l *List) settle(ctx context.Context, e ending) error {
	found, err := l.end(ctx, e)
	member := e.message.holding.String()
	l.mu.Lock()
	if err != nil {
		e.unsure = e.unsure || connection.MayHaveHappened(err)
		l.unsettled = append(l.unsettled, e) // and held, so that nobody else takes it meanwhile
	} else {
		delete(l.held, member)
	}
	l.mu.Unlock()
	if err == nil && !found {
		l.Log.Warn("the server no longer held a message when its work ended: another worker took it over, or the server lost it", "id", e.message.ID)
	}
	if isFull(err) {
		return nil // it answers, and is told again when there is room
	}
	return err
}

// end tells the server, in one transaction, so often as need be: a second time it finds
// nothing to do. found is false where the first time did.
func (l *List) end(ctx context.Context, e ending) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	h := e.message.holding
	switch {
	case e.waiting != nil:
		return l.pass(ctx, e)
	case e.dead != nil:
		return l.bury(ctx, h, *e.dead)
	}
	var deleted *redis.IntCmd
	err = l.transact(ctx, func(tx redis.Pipeliner) { deleted = l.finish(ctx, tx, h) })
	switch {
	case isFull(err):
		return l.endWithoutRoom(ctx, h)
	case err != nil:
		return false, l.classify(fmt.Errorf("MULTI, DEL %s: %w", l.home(h), err))
	}
	return deleted.Val() > 0, nil
}

// finish adds to a transaction what ends a holding and counts its message.
func (l *List) finish(ctx context.Context, tx redis.Pipeliner, h taken) (deleted *redis.IntCmd) {
	token := queue.UncountedKey(l.Key, h.id)
	deleted = tx.Del(ctx, l.home(h))
	tx.ZRem(ctx, l.taken, h.String())
	tx.ZUnionStore(ctx, l.done, &redis.ZStore{Keys: []string{l.done, token}})
	tx.Del(ctx, token)
	return deleted
}

// buryAttempts is how often a burial looks again at a holding that changes meanwhile. One look more sees a takeover.
const buryAttempts = 5

// bury makes a letter of a message, if it is still held. The server executes that once: what
// comes late finds that the list of the holding changed.
func (l *List) bury(ctx context.Context, h taken, letter deadletter.Letter) (found bool, err error) {
	var size *redis.IntCmd
	for range buryAttempts {
		err = l.Client.Watch(ctx, func(tx *redis.Tx) error {
			held, err := tx.Exists(ctx, l.home(h)).Result()
			if found = held > 0; err != nil {
				return err
			}
			return transact(ctx, tx.TxPipelined, func(pipe redis.Pipeliner) {
				if found {
					size = l.dead.Put(ctx, pipe, letter)
				}
				l.finish(ctx, pipe, h)
			})
		}, l.home(h))
		if !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	if err != nil {
		return false, l.classify(fmt.Errorf("MULTI, HSET %s: %w", l.dead.LetterKey(letter.ID), err))
	}
	if found {
		l.discard(ctx, l.dead, size.Val())
	}
	return found, nil
}

// pass has a message wait.
func (l *List) pass(ctx context.Context, e ending) (found bool, err error) {
	moves, _, err := l.passAll(ctx, []string{e.message.holding.String()}, []taken{*e.waiting}, waitingUntil(e.due))
	if err != nil || moves[0].Err() == nil {
		return err == nil, err
	}
	if e.unsure {
		return true, nil // it may wait already: who finds no message takes the name away
	}
	return false, l.classify(wrap("ZREM "+l.taken, l.Client.ZRem(ctx, l.taken, e.waiting.String()).Err()))
}

// passAll passes messages from one holding to another, in one transaction. Of each name that
// was passed from nothing is left; where it had no message, the other's name is to be taken away,
// which is safe where no other transaction had it. orphans are the tokens of names that were there and never
// had a message: whoever took them heard nothing of it.
func (l *List) passAll(ctx context.Context, from []string, to []taken, score float64) (moves []*redis.StringCmd, orphans []string, err error) {
	moves = make([]*redis.StringCmd, len(from))
	named := make([]*redis.IntCmd, len(from))
	err = l.transact(ctx, func(tx redis.Pipeliner) {
		for i := range from {
			moves[i] = tx.LMove(ctx, l.homeOf(from[i]), l.home(to[i]), "RIGHT", "LEFT")
			named[i] = tx.ZRem(ctx, l.taken, from[i])
			tx.ZAdd(ctx, l.taken, redis.Z{Score: score, Member: to[i].String()})
		}
	})
	if err != nil {
		return moves, nil, l.classify(wrap("MULTI, LMOVE "+l.taken, err))
	}
	for i, member := range from {
		// A message that had another name before, or has another by now, needs its token.
		h, ok := parseTaken(member)
		if ok && h.id == h.token && moves[i].Err() != nil && named[i].Val() > 0 {
			orphans = append(orphans, queue.UncountedKey(l.Key, h.id))
		}
	}
	return moves, orphans, nil
}

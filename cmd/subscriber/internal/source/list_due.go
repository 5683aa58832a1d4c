package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	// lookInterval is the time between two looks for messages that are due again, while
	// there are none.
	lookInterval = time.Second
	// idleLookInterval is that time while nothing is taken at all. What fails is looked for by the
	// worker that it failed at; only where that is gone, others come later.
	idleLookInterval = 5 * time.Second
	// lookAhead times the messages that are wanted are looked at, of which some are chosen
	// at random: workers that look at the same time then rarely want the same.
	lookAhead = 4
	// reclaimGrace is how long a worker that lost sight of the server leaves alone what
	// others hold: after an outage all leases have ended, and those who are alive must first
	// be able to extend theirs. It covers heartbeatInterval, or the pause before a lane
	// tries again, and a connection's making.
	reclaimGrace = 8 * time.Second
)

// fetchDue takes messages that have waited until their time, and those of workers that are
// gone.
func (l *List) fetchDue(ctx context.Context, limit int) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	wanted := min(limit, maxBatch)
	l.returned.Store(false)
	l.lastLook = l.Now()
	members, gone, idle, err := l.due(ctx, wanted*lookAhead)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		l.nextLook = l.Now().Add(lookInterval)
		if idle {
			l.nextLook = l.Now().Add(idleLookInterval)
		}
		return nil, nil
	}
	if len(members) > wanted {
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		members = members[:wanted]
	}
	messages, err := l.takeOver(ctx, members, gone)
	if err != nil {
		return nil, err
	}
	l.newFirst = true
	return l.buryFailed(ctx, messages)
}

// due are up to n members whose time has come, the oldest first; gone are those among them of
// workers that are gone. idle says that nothing is taken, and nothing waits to be.
func (l *List) due(ctx context.Context, n int) (members []string, gone map[string]bool, idle bool, err error) {
	now := l.serverNow()
	var waiting *redis.StringSliceCmd
	var ended *redis.ZSliceCmd
	var next, all *redis.IntCmd
	_, err = l.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		next, all = pipe.LLen(ctx, l.next), pipe.ZCard(ctx, l.taken)
		waiting = pipe.ZRangeByScore(ctx, l.taken, &redis.ZRangeBy{Min: "-inf", Max: score(waitingUntil(now)), Count: int64(n)})
		if l.mayReclaim() {
			ended = pipe.ZRangeByScoreWithScores(ctx, l.taken, &redis.ZRangeBy{Min: score(queue.InWork), Max: score(inWork(now)), Count: int64(n)})
		}
		return nil
	})
	if err != nil {
		return nil, nil, false, l.classify(fmt.Errorf("ZRANGEBYSCORE %s: %w", l.taken, err))
	}
	idle = next.Val() == 0 && all.Val() == 0
	// What is there at two looks nobody is about to take: its worker is gone, or the move came late.
	l.unattended = l.unattended || l.sawNext && next.Val() > 0
	l.sawNext = next.Val() > 0
	members, gone = waiting.Val(), map[string]bool{}
	if ended == nil {
		return members, gone, idle, nil
	}
	over, err := l.over(ctx, ended.Val())
	for _, member := range over {
		members, gone[member] = append(members, member), true
	}
	return members, gone, idle, err
}

// over are those of the holdings whose lease has ended, of workers that are gone. Since the last heartbeat the
// server's clock may have gone back, and their workers may have extended them by it: so it is asked once more.
func (l *List) over(ctx context.Context, ended []redis.Z) (members []string, err error) {
	l.mu.Lock()
	ended = slices.DeleteFunc(ended, func(z redis.Z) bool {
		return l.held[z.Member.(string)] // it is the heartbeat that is late; go-redis reads no other type
	})
	l.mu.Unlock()
	if len(ended) == 0 {
		return nil, nil
	}
	if err := l.heartbeat(ctx); err != nil {
		return nil, err
	}
	if !l.mayReclaim() {
		return nil, nil
	}
	now := inWork(l.serverNow())
	for _, z := range ended {
		if z.Score <= now {
			members = append(members, z.Member.(string))
		}
	}
	return members, nil
}

func score(value float64) string { return strconv.FormatFloat(value, 'f', 0, 64) }

// mayReclaim tells whether what others hold may be taken, now that its lease has ended: by a worker that knows
// itself to be alive, and that has seen the server for a while.
func (l *List) mayReclaim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	return now.Sub(l.beat) <= lease/2 && now.Sub(l.since) >= reclaimGrace
}

// takeOver takes messages from those holdings. Of a worker that is gone the delivery counts,
// since its message may be what ended it.
func (l *List) takeOver(ctx context.Context, members []string, gone map[string]bool) ([]Message, error) {
	holdings := make([]taken, len(members))
	for i, member := range members {
		before, ok := parseTaken(member)
		if !ok {
			before = taken{} // it gets an ID of its own
		}
		if gone[member] {
			before.deliveries++
		}
		holdings[i] = l.holding(before.id, before.deliveries)
	}
	moves, orphans, err := l.passAll(ctx, members, holdings, l.leaseEnd())
	if err != nil {
		l.doubt(err, holdings)
		return nil, err
	}
	messages := l.deliver(ctx, holdings, moves, orphans)
	reclaimed := 0
	for i, move := range moves {
		if move.Err() == nil && gone[members[i]] {
			reclaimed++
		}
	}
	if reclaimed > 0 {
		l.Log.Info("messages of workers that are gone taken over", "messages", reclaimed)
		l.event(Reclaimed, reclaimed)
	}
	return messages, nil
}

// buryFailed takes out the messages that have been delivered as often as they may.
func (l *List) buryFailed(ctx context.Context, messages []Message) ([]Message, error) {
	if l.MaxDeliveries == 0 {
		return messages, nil
	}
	var err error
	messages = slices.DeleteFunc(messages, func(m Message) bool {
		if m.Deliveries <= l.MaxDeliveries {
			return false
		}
		if buried := l.Bury(ctx, m); buried != nil {
			err = buried // it is told again; the others are good
		}
		return true
	})
	if err != nil {
		l.Log.Debug("the server did not take the end of a message; it will be told again", "error", err)
	}
	return messages, nil
}

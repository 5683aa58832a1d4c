package source

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// The server knows of each pending entry when it was delivered, by its own clock. If that clock jumps, by a
// failover to a server whose clock is another for one, all entries look as if they had been pending for that much
// longer; or, after a jump back, shorter: those whose delivery lies ahead then can't be claimed before the clock
// has caught up, which may take hours. So each worker has the entries that it is at work on delivered anew, as of
// when they were, and those that nobody is at work on are found and mended.

const (
	// mendPage is how many pending entries are looked at in one command, and mendPages bounds the commands
	// of one turn.
	mendPage, mendPages = 1000, 10
	// mendDelay is when what waits is due after it was mended. Another worker may do the same a little
	// later: nobody must have claimed it by then.
	mendDelay = OperationTimeout + time.Second
	// clockAge is how old the server's time may be when entries are claimed by it: while many are due, it is not asked
	// for before each claim.
	clockAge = 100 * time.Millisecond
)

// mending is the search for entries whose delivery lies ahead of the server's clock. Their idle time reads 0, as
// that of one that has just been delivered, so they must be seen twice. For Maintain's goroutine alone.
type mending struct {
	doubted time.Time                    // Stream.doubted, of which this search is: after another jump it begins anew
	from    string                       // the ID after which the look begins
	seen    map[string]redis.XPendingExt // at the first look of a part; nil: there was none
	until   string                       // where the first look ended; empty: at the end
}

// lookAtClock notes the server's time. After an outage what others hold is left alone for a while: the time
// that it is pending has gone on, and they must first be able to acknowledge it. So it is for a worker that
// starts, which does not know what was before.
func (s *Stream) lookAtClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	asked := s.Now()
	now, err := s.serverTime(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	here := s.Now()
	ahead := s.clock.learn(now, asked, here)
	jumped := ahead.Abs() > heartbeatInterval
	switch {
	case jumped && ahead > 0:
		// All have been pending for long then. Those of workers of an older version keep their time, once more by ours.
		s.since = here.Add(max(0, s.claimIdle-reclaimGrace))
	case here.Sub(s.contact) > 3*heartbeatInterval && here.After(s.since): // and the first time
		s.since = here
	}
	if s.contact.IsZero() || jumped {
		s.doubted = here
	}
	s.misdated = s.misdated || jumped
	s.contact = here
	s.mu.Unlock()
	s.tellJump(ahead)
	return nil
}

// freshenClock looks at the clock unless that was a moment ago: what has been pending for long by a clock that
// jumped since has not been given up.
func (s *Stream) freshenClock(ctx context.Context) error {
	s.mu.Lock()
	fresh := s.Now().Sub(s.contact) < clockAge
	s.mu.Unlock()
	if fresh {
		return nil
	}
	return s.lookAtClock(ctx)
}

// mayClaim tells whether entries that were given up may be claimed. What waits for another delivery may always.
func (s *Stream) mayClaim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Now().Sub(s.since) >= reclaimGrace
}

func (s *Stream) serverNow() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.now(s.Now())
}

// pendingPage is up to n pending entries from an ID on, of one consumer or, where it is empty, of all.
func (s *Stream) pendingPage(ctx context.Context, consumer, from string, n int64) ([]redis.XPendingExt, error) {
	page, err := s.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: s.Key, Group: s.Group, Consumer: consumer, Start: from, End: "+", Count: n,
	}).Result()
	if err != nil {
		return nil, s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
	}
	if consumer != "" {
		page = pendingOf(consumer, page)
	}
	return page, nil
}

// redate has the entries that are in work here delivered when they were, by the clock that the server has now,
// once after it jumped. Where another has claimed one meanwhile, it is the other's.
func (s *Stream) redate(ctx context.Context) error {
	s.mu.Lock()
	due := s.misdated
	s.misdated = false // and true again if the clock jumps meanwhile
	s.mu.Unlock()
	if !due {
		return nil
	}
	err := s.redateAll(ctx)
	if err != nil {
		s.mu.Lock()
		s.misdated = true
		s.mu.Unlock()
	}
	return err
}

func (s *Stream) redateAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*OperationTimeout)
	defer cancel()
	for from := "-"; ; {
		page, err := s.pendingPage(ctx, s.Consumer, from, mendPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		from = "(" + page[len(page)-1].ID
		var claims []redis.Cmder
		s.mu.Lock()
		here := s.Now()
		now := s.clock.now(here)
		for _, p := range page {
			fetched, held := s.held[p.ID]
			// An idle time below 0 reads 0.
			if since := here.Sub(fetched); held && (p.Idle == 0 || (p.Idle-since).Abs() > clockTolerance) {
				claims = append(claims, s.dated(ctx, p, s.Consumer, now.Add(-since)))
			}
		}
		s.mu.Unlock()
		if err := s.pipeline(ctx, claims); err != nil {
			return err
		}
	}
}

// dated is the command that gives an entry to a consumer, as delivered at that time, unless somebody has claimed it
// since.
func (s *Stream) dated(ctx context.Context, p redis.XPendingExt, consumer string, delivered time.Time) redis.Cmder {
	return redis.NewCmd(ctx, "XCLAIM", s.Key, s.Group, consumer, p.Idle.Milliseconds(), p.ID, "TIME", delivered.UnixMilli(), "JUSTID")
}

func (s *Stream) pipeline(ctx context.Context, commands []redis.Cmder) error {
	if len(commands) == 0 {
		return nil
	}
	_, err := s.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		return pipe.BatchProcess(ctx, commands...)
	})
	s.doubt(err)
	return s.classify(wrap("XCLAIM "+s.Key, err))
}

// mend is one turn of the search for entries whose delivery lies ahead of the server's clock, which is due once
// a worker has started, and after the clock jumped: when those who are alive have redated theirs. Such entries
// are of workers that are gone, whose message timeout begins again, or wait, and are due soon.
func (s *Stream) mend(ctx context.Context) error {
	s.mu.Lock()
	doubted := s.doubted
	due := !doubted.IsZero() && s.Now().Sub(doubted) >= reclaimGrace
	s.mu.Unlock()
	if !due {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*OperationTimeout)
	defer cancel()
	if !s.mending.doubted.Equal(doubted) {
		s.mending = mending{doubted: doubted}
	}
	found, until, err := s.undelivered(ctx)
	if err != nil {
		return err
	}
	if s.mending.seen == nil {
		s.mending.seen, s.mending.until = found, until
		if len(found) > 0 {
			return nil
		}
	}
	var claims []redis.Cmder
	now := s.serverNow()
	ctx, cancel = context.WithTimeout(ctx, OperationTimeout) // mendDelay is more than that
	defer cancel()
	for id, p := range found {
		if before, ok := s.mending.seen[id]; ok && before.Consumer == p.Consumer && before.RetryCount == p.RetryCount {
			delivered := now
			if p.Consumer == queue.WaitingConsumer {
				delivered = now.Add(min(0, mendDelay-s.claimIdle))
			}
			// Not to its consumer: that may be about to take its name off, with all that it has.
			claims = append(claims, s.dated(ctx, p, queue.WaitingConsumer, delivered))
		}
	}
	if err := s.pipeline(ctx, claims); err != nil {
		return err
	}
	if len(claims) > 0 {
		s.Log.Warn("entries of the stream were delivered at a time that the server's clock has yet to reach: it was ahead before; they are claimed in time all the same", "channel", s.Key, "entries", len(claims))
	}
	s.mending = mending{doubted: doubted, from: s.mending.until}
	if s.mending.from == "" {
		s.mu.Lock()
		if s.doubted.Equal(doubted) { // else it has jumped again
			s.doubted = time.Time{}
		}
		s.mu.Unlock()
	}
	return nil
}

// undelivered are entries that look as if they had been delivered this very moment, and that are not in work here:
// of so many as one turn looks at. until is the last ID that was looked at; empty: there are no others.
func (s *Stream) undelivered(ctx context.Context) (found map[string]redis.XPendingExt, until string, err error) {
	found = map[string]redis.XPendingExt{}
	until = s.mending.from
	for range mendPages {
		from := "-"
		if until != "" {
			from = "(" + until
		}
		page, err := s.pendingPage(ctx, "", from, mendPage)
		if err != nil {
			return nil, "", err
		}
		s.mu.Lock()
		for _, p := range page {
			if _, held := s.held[p.ID]; !held && p.Idle == 0 {
				found[p.ID] = p
			}
		}
		s.mu.Unlock()
		if len(page) < mendPage {
			return found, "", nil
		}
		until = page[len(page)-1].ID
	}
	return found, until, nil
}

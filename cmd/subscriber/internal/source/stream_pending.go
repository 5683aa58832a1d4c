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

// maxClaimScans bounds the calls of one look for entries that were given up, which waits for all of them, and
// maxClaim what a call may return: it scans ten entries for each (Redis, XAUTOCLAIM, COUNT). So a look scans at most
// 10,000. While it has not come to the end of what is pending, the next fetch goes on with it; then it is due
// again after claimInterval.
const maxClaimScans, maxClaim = 10, 100

// fetchHistory returns entries that this consumer's name has pending but that are not
// held here: of a reply that was lost, whose delivery was counted and never came about; or of
// an earlier process of that name, whose deliveries count.
func (s *Stream) fetchHistory(ctx context.Context, limit int) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*OperationTimeout)
	defer cancel()
	for {
		pending, err := s.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: s.Key, Group: s.Group, Consumer: s.Consumer, Start: s.history, End: "+", Count: int64(limit),
		}).Result()
		if err != nil {
			return nil, s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
		}
		if pending = pendingOf(s.Consumer, pending); len(pending) == 0 {
			s.history, s.adopted = "", true
			return nil, nil
		}
		s.history = "(" + pending[len(pending)-1].ID
		found, err := s.adopt(ctx, pending)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
}

// pendingOf is the answer to what a consumer has pending. Of one that the group does not know, DragonFly tells what all
// have (https://github.com/dragonflydb/dragonfly/pull/8168): it has nothing, and the rest is in work elsewhere.
func pendingOf(consumer string, told []redis.XPendingExt) []redis.XPendingExt {
	if slices.ContainsFunc(told, func(p redis.XPendingExt) bool { return p.Consumer != consumer }) {
		return nil
	}
	return told
}

// adopt takes those of this consumer's pending entries that are not held here. Where another
// claims one meanwhile, it is the other's.
func (s *Stream) adopt(ctx context.Context, pending []redis.XPendingExt) ([]Message, error) {
	var claims []*redis.XMessageSliceCmd
	counts := map[string]int64{}
	now := s.serverNow().UnixMilli()
	_, err := s.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, p := range pending {
			if !s.isUnknown(p.ID) {
				continue
			}
			counts[p.ID] = p.RetryCount
			if !s.adopted {
				counts[p.ID]++
			}
			claim := redis.NewXMessageSliceCmd(ctx, "xclaim", s.Key, s.Group, s.Consumer, p.Idle.Milliseconds(), p.ID,
				"time", now, "retrycount", counts[p.ID])
			claims = append(claims, claim)
			_ = pipe.Process(ctx, claim)
		}
		return nil
	})
	if err != nil {
		s.doubt(err)
		return nil, s.classify(fmt.Errorf("XCLAIM %s %s: %w", s.Key, s.Group, err))
	}
	var entries []redis.XMessage
	for _, claim := range claims {
		entries = append(entries, claim.Val()...)
	}
	return s.take(ctx, entries, func(i int) int64 { return counts[entries[i].ID] })
}

// isUnknown tells whether an entry is neither in work here nor finished.
func (s *Stream) isUnknown(id string) bool {
	return len(s.unknown([]redis.XMessage{{ID: id}})) > 0
}

func (s *Stream) unknown(entries []redis.XMessage) []redis.XMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown []redis.XMessage
	finished := map[string]bool{}
	for _, b := range s.unsettled {
		finished[b.message.ID] = true
	}
	for _, entry := range entries {
		if _, held := s.held[entry.ID]; !held && !finished[entry.ID] {
			unknown = append(unknown, entry)
		}
	}
	return unknown
}

// claim takes over entries that were given up, by a worker that is gone or by one that failed.
// While it finds some, or has not looked through all, it is due again at the next fetch.
func (s *Stream) claim(ctx context.Context, limit int) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*OperationTimeout)
	defer cancel()
	if err := s.freshenClock(ctx); err != nil {
		return nil, err
	}
	if !s.mayClaim() {
		return s.claimWaiting(ctx, limit)
	}
	for range maxClaimScans {
		entries, next, err := s.Client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: s.Key, Group: s.Group, Consumer: s.Consumer,
			MinIdle: s.claimIdle, Start: s.cursor, Count: int64(min(limit, maxClaim)),
		}).Result()
		if err != nil {
			s.doubt(err)
			return nil, s.classify(fmt.Errorf("XAUTOCLAIM %s %s: %w", s.Key, s.Group, err))
		}
		s.cursor = next
		if unknown := s.unknown(entries); len(unknown) > 0 {
			s.event(Reclaimed, len(unknown))
			s.newFirst = true
			return s.takeAgain(ctx, unknown)
		}
		if next == "0-0" {
			s.nextClaim = s.Now().Add(claimInterval)
			return nil, nil
		}
	}
	return nil, nil
}

// claimWaiting takes over entries that wait for another delivery and are due. Of workers that may be gone it takes none.
func (s *Stream) claimWaiting(ctx context.Context, limit int) ([]Message, error) {
	due, err := s.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: s.Key, Group: s.Group, Consumer: queue.WaitingConsumer, Idle: s.claimIdle, Start: "-", End: "+", Count: int64(min(limit, maxClaim)),
	}).Result()
	if err != nil {
		return nil, s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
	}
	if due = pendingOf(queue.WaitingConsumer, due); len(due) == 0 {
		s.nextClaim = s.Now().Add(claimInterval)
		return nil, nil
	}
	ids := make([]string, len(due))
	for i, p := range due {
		ids[i] = p.ID
	}
	entries, err := s.Client.XClaim(ctx, &redis.XClaimArgs{
		Stream: s.Key, Group: s.Group, Consumer: s.Consumer, MinIdle: s.claimIdle, Messages: ids,
	}).Result()
	if err != nil {
		s.doubt(err)
		return nil, s.classify(fmt.Errorf("XCLAIM %s %s: %w", s.Key, s.Group, err))
	}
	unknown := s.unknown(entries)
	if len(unknown) == 0 { // others were faster, or they were deleted
		s.nextClaim = s.Now().Add(claimInterval)
		return nil, nil
	}
	s.event(Reclaimed, len(unknown))
	s.newFirst = true
	return s.takeAgain(ctx, unknown)
}

// takeAgain takes entries that were delivered before.
func (s *Stream) takeAgain(ctx context.Context, entries []redis.XMessage) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	counts := make([]*redis.XPendingExtCmd, len(entries))
	_, err := s.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, entry := range entries {
			counts[i] = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{
				Stream: s.Key, Group: s.Group, Start: entry.ID, End: entry.ID, Count: 1,
			})
		}
		return nil
	})
	if err != nil {
		return nil, s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
	}
	// What is not pending here any more was finished meanwhile.
	var again []redis.XMessage
	var deliveries []int64
	for i, entry := range entries {
		if pending := counts[i].Val(); len(pending) > 0 && pending[0].Consumer == s.Consumer {
			again, deliveries = append(again, entry), append(deliveries, pending[0].RetryCount)
		}
	}
	return s.take(ctx, again, func(i int) int64 { return deliveries[i] })
}

// Retry gives the entry up so that it can be claimed after that time, at most after the
// message timeout and ClaimMargin, by this worker or another.
func (s *Stream) Retry(ctx context.Context, m Message, after time.Duration) error {
	return s.giveUp(ctx, m, after, m.Deliveries)
}

// Release gives back entries whose work has not begun, or was not to blame: they can be claimed
// after that time, and the delivery is not counted.
func (s *Stream) Release(ctx context.Context, messages []Message, after time.Duration) error {
	var errs []error
	for _, m := range messages {
		errs = append(errs, s.giveUp(ctx, m, after, m.Deliveries-1))
	}
	return errors.Join(errs...)
}

// giveUp has the entry wait until it is due. Its delivery time is set so that it has been pending
// for claimIdle then: by TIME, for DragonFly takes IDLE for a time. An entry that another has
// claimed since is left alone. Where giving up fails, the entry is claimed later.
func (s *Stream) giveUp(ctx context.Context, m Message, after time.Duration, deliveries int64) error {
	defer s.drop([]Message{m})
	held := s.Now().Sub(m.fetched)
	if held >= s.claimIdle {
		return nil // others may have it by now
	}
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	delivered := s.serverNow().Add(min(after, s.claimIdle) - s.claimIdle)
	err := s.Client.Do(ctx, "XCLAIM", s.Key, s.Group, queue.WaitingConsumer, max(0, held-clockTolerance).Milliseconds(), m.ID,
		"TIME", delivered.UnixMilli(), "RETRYCOUNT", max(0, deliveries), "JUSTID").Err()
	return s.classify(wrap("XCLAIM "+s.Key, err))
}

// clockTolerance is by how much this worker's and the server's idea of how long an entry has been
// pending may differ.
const clockTolerance = time.Second

// Close takes this consumer off the group where it has nothing pending; what it has, the
// others claim. The work on all messages must have ended.
func (s *Stream) Close(ctx context.Context) error {
	if err := s.settleAll(ctx); err != nil {
		return err
	}
	if s.Trim && s.ended.Swap(0) > 0 {
		if err := s.trim(ctx); err != nil {
			s.Log.Debug("the stream could not be trimmed", "error", err)
		}
	}
	s.mu.Lock()
	doubtful := s.doubtful
	s.mu.Unlock()
	if doubtful {
		return nil // a read or a claim that failed may yet give it entries, which would go with its name
	}
	pending, err := s.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: s.Key, Group: s.Group, Start: "-", End: "+", Count: 1, Consumer: s.Consumer,
	}).Result()
	if err != nil {
		return s.classify(fmt.Errorf("XPENDING %s %s: %w", s.Key, s.Group, err))
	}
	if len(pendingOf(s.Consumer, pending)) > 0 {
		return nil
	}
	err = s.Client.XGroupDelConsumer(ctx, s.Key, s.Group, s.Consumer).Err()
	return s.classify(wrap("XGROUP DELCONSUMER "+s.Key, err))
}

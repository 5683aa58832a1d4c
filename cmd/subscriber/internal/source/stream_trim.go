package source

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// trimAfter is how many entries a worker has ended when it trims the stream, and trimInterval
	// the longest time until it does after fewer. So what trimming costs does not grow with the
	// number of workers that idle.
	trimAfter    = 1000
	trimInterval = 30 * time.Second
	// maxTrims bounds the XTRIM of one turn. Each removes at most 100 nodes, of 100 entries by
	// default (XTRIM ~ without LIMIT), so that the server does nothing else for but a moment.
	maxTrims = 20
)

// trimIfDue trims the stream, once this worker has ended enough entries.
func (s *Stream) trimIfDue(ctx context.Context) error {
	if !s.Trim {
		return nil
	}
	ended, now := s.ended.Load(), s.Now()
	if s.trimmed.IsZero() {
		s.trimmed = now // the first time counts from here
	}
	if ended >= trimAfter || ended > 0 && now.Sub(s.trimmed) >= trimInterval {
		s.trimmed = now
		s.ended.Add(-ended)
		return s.trim(ctx)
	}
	return nil
}

// trim removes entries that no group needs: those before the oldest one that some group has not
// been given, or has pending. That several workers do so, or that the server gets it late, does no
// harm: what all groups have acknowledged, none needs later.
func (s *Stream) trim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	groups, err := s.Client.XInfoGroups(ctx, s.Key).Result()
	if err != nil {
		return fmt.Errorf("XINFO GROUPS %s: %w", s.Key, err)
	}
	// Their pending entries after their positions: what is given to a group meanwhile, is after
	// its position, which bounds what is removed.
	pending := make([]*redis.XPendingCmd, len(groups))
	if _, err = s.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, group := range groups {
			pending[i] = pipe.XPending(ctx, s.Key, group.Name)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("XPENDING %s: %w", s.Key, err) // of a group that is gone, for one: the next time
	}
	if len(groups) == 0 {
		return nil
	}
	needed := entryID{math.MaxUint64, math.MaxUint64}
	for i, group := range groups {
		ids := []string{group.LastDeliveredID}
		if pending[i].Val().Count > 0 {
			ids = append(ids, pending[i].Val().Lower)
		}
		for j, text := range ids {
			id, err := parseEntryID(text)
			if err != nil {
				return err
			}
			if j == 0 {
				id = id.next() // the last delivered one itself is needed only if it is pending
			}
			if id.before(needed) {
				needed = id
			}
		}
	}
	return s.trimBefore(ctx, needed)
}

func (s *Stream) trimBefore(ctx context.Context, needed entryID) error {
	for range maxTrims {
		removed, err := s.Client.XTrimMinIDApprox(ctx, s.Key, needed.String(), 0).Result()
		if err != nil {
			return fmt.Errorf("XTRIM %s: %w", s.Key, err)
		}
		if removed == 0 {
			return nil
		}
		s.event(Trimmed, int(removed))
	}
	return nil
}

// tellTrimming tells once what becomes of finished entries.
func (s *Stream) tellTrimming() {
	if s.told {
		return
	}
	s.told = true
	if s.Trim {
		s.Log.Info("entries that all groups have acknowledged are removed from the stream", "channel", s.Key)
		return
	}
	s.Log.Warn("finished entries stay in the stream, whose memory grows for ever unless publishers trim it (XADD MAXLEN): set TRIM=acknowledged to have entries removed that all groups have acknowledged", "channel", s.Key)
}

// entryID is the ID of a stream's entry.
type entryID struct{ ms, seq uint64 }

func (id entryID) String() string { return fmt.Sprintf("%d-%d", id.ms, id.seq) }

func (id entryID) before(other entryID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}

// next is the least ID after it.
func (id entryID) next() entryID {
	if id.seq == math.MaxUint64 {
		return entryID{id.ms + 1, 0}
	}
	return entryID{id.ms, id.seq + 1}
}

func parseEntryID(text string) (entryID, error) {
	ms, seq, _ := strings.Cut(text, "-")
	var id entryID
	var badMS, badSeq error
	id.ms, badMS = strconv.ParseUint(ms, 10, 64)
	id.seq, badSeq = strconv.ParseUint(seq, 10, 64)
	if badMS != nil || badSeq != nil {
		return entryID{}, fmt.Errorf("%q is no ID of an entry: %w", text, errors.Join(badMS, badSeq))
	}
	return id, nil
}

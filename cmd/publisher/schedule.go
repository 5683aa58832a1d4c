package main

import (
	"math"
	"time"
)

// schedule says how many messages are due. It is pure: times are told from the start.
type schedule struct {
	rate          float64 // messages per second
	burst         int64
	burstInterval time.Duration
	unlimited     bool

	base    time.Duration // since when the rate counts
	spent   int64         // messages of the rate since base
	bursts  int64         // bursts that have begun
	pending int64         // messages of begun bursts that are not sent
}

func newSchedule(o options) *schedule {
	return &schedule{
		rate: o.rate, burst: o.burst, burstInterval: o.burstInterval,
		unlimited: o.rate == 0 && o.burst == 0,
	}
}

// maxLag is how far the rate may fall behind before what is missing is given up: after an
// outage messages go on at the rate, not all at once.
const maxLag = time.Second

// due is how many messages are to be sent by now, at most limit, and counts them as sent.
// The first burst is due at once.
func (s *schedule) due(elapsed time.Duration, limit int64) int64 {
	if s.unlimited {
		return limit
	}
	if s.burst > 0 {
		if begun := int64(elapsed/s.burstInterval) + 1; begun > s.bursts {
			s.pending += s.burst // a burst that was missed altogether is given up
			s.bursts = begun
		}
	}
	n := min(s.pending, limit)
	s.pending -= n
	if s.rate == 0 || n == limit {
		return n
	}
	owed := int64(s.rate*(elapsed-s.base).Seconds()) - s.spent
	if most := int64(math.Ceil(s.rate * maxLag.Seconds())); owed > most {
		s.base, s.spent, owed = elapsed-maxLag, 0, most
	}
	owed = min(max(owed, 0), limit-n)
	s.spent += owed
	return n + owed
}

// wait is how long nothing is due.
func (s *schedule) wait(elapsed time.Duration) time.Duration {
	if s.unlimited || s.pending > 0 {
		return 0
	}
	next := time.Duration(math.MaxInt64)
	if s.burst > 0 {
		next = time.Duration(s.bursts)*s.burstInterval - elapsed
	}
	if s.rate > 0 {
		at := s.base + time.Duration(math.Ceil(float64(s.spent+1)/s.rate*float64(time.Second)))
		next = min(next, at-elapsed)
	}
	return max(next, 0)
}

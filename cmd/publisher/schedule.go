package main

import (
	"math"
	"time"
)

// plan says how many messages are due. Times are told from the start.
type plan interface {
	// due is how many messages are to be sent by now, at most limit, and counts them as sent.
	due(elapsed time.Duration, limit int64) int64
	// wait is how long nothing is due.
	wait(elapsed time.Duration) time.Duration
	// lag is for how long the next message has been due, 0 if it is not due yet.
	lag(elapsed time.Duration) time.Duration
	// missed is how many messages have been given up, because they could not be sent in time.
	missed() int64
	// over tells that nothing will be due any more.
	over() bool
}

func newPlan(o options) plan {
	if o.trace != nil {
		return newReplay(*o.trace, o.seed)
	}
	return newSchedule(o)
}

// schedule is a rate, which may change evenly at first, and bursts.
type schedule struct {
	from, to      float64       // messages per second
	ramp          time.Duration // in which the rate changes from the one to the other
	burst         int64
	burstInterval time.Duration
	unlimited     bool

	spent   int64 // messages of the rate that were sent or given up
	bursts  int64 // bursts that have begun
	pending int64 // messages of begun bursts that are not sent
	givenUp int64
}

func newSchedule(o options) *schedule {
	s := &schedule{from: o.rate, to: o.rate, burst: o.burst, burstInterval: o.burstInterval}
	if o.ramp > 0 {
		s.to, s.ramp = o.rampTo, o.ramp
	}
	s.unlimited = s.from == 0 && s.to == 0 && s.burst == 0
	return s
}

// maxLag is how far the rate may fall behind before what is missing is given up: after an
// outage messages go on at the rate, not all at once.
const maxLag = time.Second

// The first burst is due at once.
func (s *schedule) due(elapsed time.Duration, limit int64) int64 {
	if s.unlimited {
		return limit
	}
	if s.burst > 0 {
		if begun := int64(elapsed/s.burstInterval) + 1; begun > s.bursts {
			s.pending += s.burst
			s.givenUp += (begun - s.bursts - 1) * s.burst // those that were missed altogether
			s.bursts = begun
		}
	}
	n := min(s.pending, limit)
	s.pending -= n
	if n == limit {
		return n
	}
	owed := int64(s.sum(elapsed.Seconds())) - s.spent
	if most := s.lately(elapsed); owed > most {
		s.givenUp += owed - most
		s.spent += owed - most
		owed = most
	}
	owed = min(max(owed, 0), limit-n)
	s.spent += owed
	return n + owed
}

// lately is how many messages the rate has had in the last maxLag, at least 1.
func (s *schedule) lately(elapsed time.Duration) int64 {
	lately := s.sum(elapsed.Seconds()) - s.sum(max(0, elapsed-maxLag).Seconds())
	const rounding = 1e-6
	return max(1, int64(math.Ceil(lately-rounding)))
}

// sum is the rate's messages until a time, in seconds.
func (s *schedule) sum(at float64) float64 {
	during := min(at, s.ramp.Seconds())
	sum := s.to * (at - during)
	if during > 0 {
		sum += during * (s.from + s.slope()*during/2)
	}
	return sum
}

// slope is by how much the rate changes in a second of the ramp.
func (s *schedule) slope() float64 { return (s.to - s.from) / s.ramp.Seconds() }

// when is the time, in seconds, at which sum is that many; infinite if it never is.
func (s *schedule) when(messages float64) float64 {
	if during := s.sum(s.ramp.Seconds()); messages > during {
		return s.ramp.Seconds() + (messages-during)/s.to // infinite if to is 0
	}
	// The root of slope/2·t² + from·t = messages, in the form that is exact for small slopes.
	return 2 * messages / (s.from + math.Sqrt(max(0, s.from*s.from+2*s.slope()*messages)))
}

func (s *schedule) wait(elapsed time.Duration) time.Duration {
	if s.unlimited || s.pending > 0 {
		return 0
	}
	next := time.Duration(math.MaxInt64)
	if s.burst > 0 {
		next = time.Duration(s.bursts)*s.burstInterval - elapsed
	}
	if at := math.Ceil(s.when(float64(s.spent+1)) * float64(time.Second)); at < math.MaxInt64 {
		next = min(next, time.Duration(at)-elapsed)
	}
	return max(next, 0)
}

func (s *schedule) lag(elapsed time.Duration) time.Duration {
	if s.unlimited {
		return 0
	}
	var lag time.Duration
	if s.pending > 0 {
		lag = elapsed - time.Duration(s.bursts-1)*s.burstInterval
	}
	if at := s.when(float64(s.spent+1)) * float64(time.Second); at < float64(elapsed) {
		lag = max(lag, elapsed-time.Duration(at))
	}
	return lag
}

func (s *schedule) missed() int64 { return s.givenUp }

func (s *schedule) over() bool { return false }

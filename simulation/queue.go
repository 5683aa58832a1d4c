package simulation

import "slices"

// negligible is the part of a message that rounding may leave, with up to 10⁹ messages counted
// in a float64.
const negligible = 1e-6

// queue is a first-in, first-out queue that models messages as a flow. Those of a second arrive
// evenly over it, and workers take them at an even rate. So each message's wait is known without
// processing them one by one. Compared with workers that take one message at a time, the error
// is at most one message's work. Times are seconds from the start.
type queue struct {
	cohorts []cohort // in order of arrival; the first is the next to be taken
	waits   waits

	arrived, taken float64 // messages so far
	waitingTime    float64 // the integral of the waiting messages over time, in message-seconds

	work  float64 // seconds that a worker has a message
	takes []take  // how many had been taken at which time, back to the last one that is still in flight
}

// cohort is messages that arrive evenly between two times.
type cohort struct {
	from, to float64
	count    float64
}

// take is a point of the curve of messages taken over time. Between two points it is straight.
type take struct {
	at    float64
	taken float64
}

func newQueue(work float64) *queue {
	return &queue{work: work, takes: []take{{}}}
}

func (q *queue) waiting() float64 { return q.arrived - q.taken }

// inWork is the number of messages in flight at the end of the last advance. A worker that is
// removed finishes its messages.
func (q *queue) inWork() float64 { return q.taken - q.finished() }

// finished is the number of messages that workers had finished at the end of the last advance. A
// message is finished a worker's time after it was taken.
func (q *queue) finished() float64 {
	return q.takenAt(q.takes[len(q.takes)-1].at - q.work)
}

func (q *queue) takenAt(at float64) float64 {
	next, exact := slices.BinarySearchFunc(q.takes, at, func(t take, at float64) int {
		switch {
		case t.at < at:
			return -1
		case t.at > at:
			return 1
		}
		return 0
	})
	switch {
	case exact:
		return q.takes[next].taken
	case next == 0:
		return 0
	}
	before, after := q.takes[next-1], q.takes[next]
	return before.taken + (after.taken-before.taken)*(at-before.at)/(after.at-before.at)
}

// advance lets arrivals come in evenly from one time to another while workers take up to
// rate messages per second.
func (q *queue) advance(from, to, arrivals, rate float64) {
	now := q.takeOld(from, to, rate, arrivals/(to-from))
	if now < to {
		q.takeNew(from, now, to, arrivals, rate)
	} else if arrivals > 0 {
		q.cohorts = append(q.cohorts, cohort{from, to, arrivals})
	}
	q.arrived += arrivals
	q.forget(to - q.work)
}

// takeOld takes messages that had arrived before, until there are none or the time is up,
// and returns when that was.
func (q *queue) takeOld(from, to, rate, arrivalRate float64) float64 {
	now := from
	for now < to && len(q.cohorts) > 0 {
		if rate <= 0 {
			q.take(now, to, 0, arrivalRate, from)
			return to
		}
		head := &q.cohorts[0]
		end := now + head.count/rate
		if end <= to {
			q.waits.add(head.count, now-head.from, end-head.to)
			q.take(now, end, head.count, arrivalRate, from)
			q.cohorts = q.cohorts[1:]
			now = end
			continue
		}
		count := rate * (to - now)
		through := head.from + (head.to-head.from)*count/head.count // when the last one taken arrived
		q.waits.add(count, now-head.from, to-through)
		q.take(now, to, count, arrivalRate, from)
		head.count -= count
		head.from = through
		now = to
	}
	return now
}

// takeNew takes messages of the current arrivals, once those before are gone.
func (q *queue) takeNew(from, now, to, arrivals, rate float64) {
	arrivalRate := arrivals / (to - from)
	caughtUp := now // when nobody waits any more
	if now > from || arrivalRate > rate {
		caughtUp = to
		if rate > arrivalRate {
			caughtUp = min(to, (rate*now-arrivalRate*from)/(rate-arrivalRate))
		}
		count := rate * (caughtUp - now)
		if count > arrivals-negligible {
			count = arrivals
		}
		through := from
		if arrivalRate > 0 {
			through += count / arrivalRate
		}
		q.waits.add(count, now-from, caughtUp-through)
		q.take(now, caughtUp, count, arrivalRate, from)
		if caughtUp == to && count < arrivals {
			q.cohorts = append(q.cohorts, cohort{through, to, arrivals - count})
			return
		}
	}
	if caughtUp < to {
		count := arrivalRate * (to - caughtUp)
		q.waits.add(count, 0, 0)
		q.take(caughtUp, to, count, arrivalRate, from)
	}
}

// take counts messages as taken evenly from one time to another. Until then those that
// arrive since start wait too.
func (q *queue) take(from, to, count, arrivalRate, start float64) {
	before := q.arrived + arrivalRate*(from-start) - q.taken
	after := q.arrived + arrivalRate*(to-start) - q.taken - count
	q.waitingTime += (before + after) / 2 * (to - from)
	q.taken += count
	q.takes = append(q.takes, take{to, q.taken})
}

// left is the number of messages that no worker has taken; exactly 0 if all were taken.
func (q *queue) left() float64 {
	var left float64
	for _, c := range q.cohorts {
		left += c.count
	}
	return left
}

// giveUp adds the waits so far of the messages that no worker took.
func (q *queue) giveUp(now float64) {
	for _, c := range q.cohorts {
		q.waits.add(c.count, now-c.from, now-c.to)
	}
}

// forget drops the points of the curve that end before a time.
func (q *queue) forget(before float64) {
	first := 0
	for first+1 < len(q.takes) && q.takes[first+1].at <= before {
		first++
	}
	q.takes = q.takes[first:]
}

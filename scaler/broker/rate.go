package broker

import (
	"slices"
	"time"
)

// rateWindow is the time over which arrivals are averaged: one HPA sync.
const rateWindow = 15 * time.Second

// rateStep is the least time between two points of the window, so that arrivals are
// averaged over 15 to 18 s: thousands of streams each keep their points.
const rateStep = rateWindow / 5

// rateMeter computes arrivals per second from a count that only grows.
type rateMeter struct {
	points []ratePoint // of the window, oldest first
	last   int64       // the newest count
	rate   *float64
}

type ratePoint struct {
	added int64
	at    time.Time
}

// add takes the count at a time and returns the rate since the start of the window; nil
// while there is less than a second of it.
func (m *rateMeter) add(added int64, at time.Time) *float64 {
	if added < m.last { // the stream was made anew
		*m = rateMeter{}
	}
	m.last = added
	if len(m.points) == 0 || at.Sub(m.points[len(m.points)-1].at) >= rateStep {
		m.points = append(m.points, ratePoint{added, at})
	}
	old := 0
	for old < len(m.points)-1 && at.Sub(m.points[old+1].at) >= rateWindow {
		old++
	}
	m.points = slices.Delete(m.points, 0, old) // in place: the window keeps its memory
	elapsed := at.Sub(m.points[0].at)
	if elapsed < time.Second {
		return nil
	}
	rate := float64(added-m.points[0].added) / elapsed.Seconds()
	if m.rate == nil || *m.rate != rate { // a sample that was given away keeps its own
		m.rate = &rate
	}
	return m.rate
}

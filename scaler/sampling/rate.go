package sampling

import (
	"slices"
	"time"
)

// rateWindow is the time over which arrivals are averaged: one HPA sync.
const rateWindow = 15 * time.Second

// rateStep is the least time between two points of the window, so that arrivals are
// averaged over 15 to 18 s: thousands of queues each keep their points.
const rateStep = rateWindow / 5

// A count that is a sum of several counters, which are not read in the same instant, may
// go back by a little: not more than countJitter messages, or a hundredth of it.
const countJitter = 16

// rateMeter computes messages per second, from a count of all that ever arrived or, where
// the server keeps none, from the depth.
type rateMeter struct {
	points []ratePoint // of the window, oldest first
	start  time.Time   // to which the points are relative
	last   int64       // the newest count
	growth bool        // it counts what waits, not what arrived
	rate   *float64
}

type ratePoint struct {
	count int64
	at    time.Duration // since start
}

// arrivals takes the count of all messages ever added at a time, and returns the rate since
// the start of the window; nil while there is less than a second of it.
func (m *rateMeter) arrivals(added int64, at time.Time) *float64 {
	back := m.last - added
	if m.growth || back > 0 && (added == 0 || back > max(countJitter, m.last/100)) { // it was made anew
		*m = rateMeter{}
	}
	return m.add(added, at)
}

// grown takes the depth at a time, and returns by how much it grew each second since the
// start of the window. At least so many arrived; nil where it did not grow.
func (m *rateMeter) grown(depth int64, at time.Time) *float64 {
	if !m.growth {
		*m = rateMeter{growth: true}
	}
	if rate := m.add(depth, at); rate != nil && *rate > 0 {
		return rate
	}
	return nil
}

func (m *rateMeter) add(count int64, at time.Time) *float64 {
	if len(m.points) == 0 {
		m.start = at
	}
	m.last = count
	now := at.Sub(m.start)
	if len(m.points) == 0 || now-m.points[len(m.points)-1].at >= rateStep {
		m.points = append(m.points, ratePoint{count, now})
	}
	old := 0
	for old < len(m.points)-1 && now-m.points[old+1].at >= rateWindow {
		old++
	}
	m.points = slices.Delete(m.points, 0, old) // in place: the window keeps its memory
	elapsed := now - m.points[0].at
	if elapsed < time.Second {
		return nil
	}
	rate := max(0, float64(count-m.points[0].count)/elapsed.Seconds())
	if m.rate == nil || *m.rate != rate { // a sample that was given away keeps its own
		m.rate = &rate
	}
	return m.rate
}

// idle reports whether nothing but 0 is in the window.
func (m *rateMeter) idle() bool {
	for _, point := range m.points {
		if point.count != 0 {
			return false
		}
	}
	return m.last == 0
}

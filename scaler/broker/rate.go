package broker

import "time"

// rateWindow is the time over which arrivals are averaged: one HPA sync.
const rateWindow = 15 * time.Second

// rateMeter computes arrivals per second from a count that only grows.
type rateMeter struct {
	points []ratePoint
}

type ratePoint struct {
	added int64
	at    time.Time
}

// add takes the count at a time and returns the rate since the start of the window; nil
// while there is less than a second of it, or where added is negative (not counted).
func (m *rateMeter) add(added int64, at time.Time) *float64 {
	if added < 0 {
		m.points = nil
		return nil
	}
	if len(m.points) > 0 && added < m.points[len(m.points)-1].added {
		m.points = nil // the stream was made anew
	}
	m.points = append(m.points, ratePoint{added, at})
	for len(m.points) > 1 && at.Sub(m.points[1].at) >= rateWindow {
		m.points = m.points[1:]
	}
	first := m.points[0]
	elapsed := at.Sub(first.at)
	if elapsed < time.Second {
		return nil
	}
	rate := float64(added-first.added) / elapsed.Seconds()
	return &rate
}

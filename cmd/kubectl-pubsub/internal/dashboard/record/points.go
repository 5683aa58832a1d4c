package record

import (
	"math"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// The limits of what is remembered.
const (
	// mostPoints is how many points a channel has.
	mostPoints = 4_000
	// fewestPoints is how many it has however many channels there are.
	fewestPoints = 240
	// mostPointsOfAll is how many all channels have together; at 56 bytes each they take 56 MB.
	mostPointsOfAll = 1_000_000
	// mostMarks and fewestMarks are how many marks a channel has.
	mostMarks, fewestMarks = 400, 20
	// mostMarksOfAll is how many all channels have together; with their words they take some 40 MB.
	mostMarksOfAll = 100_000
)

// unknown stands for a number that is not known, all of which are 0 or more.
const unknown = -1

// point is a protocol.Point in 56 bytes.
type point struct {
	at                       int64 // Unix time in milliseconds
	depth                    int64 // these four may be unknown
	lower, upper             int64
	rate, inFlight           int32 // may be unknown, too
	replicas, ready, desired int32 // unknown in a gap, and only there
	held                     bool
}

// gap is a point from which on nothing is known.
func gap(at int64) point {
	return point{at: at, depth: unknown, lower: unknown, upper: unknown, rate: unknown, inFlight: unknown, replicas: unknown, ready: unknown, desired: unknown}
}

func (p point) isGap() bool { return p.replicas == unknown }

// same is whether two points tell the same.
func (p point) same(other point) bool {
	p.at, p.held = other.at, other.held
	return p == other
}

func number(value *int64) int64 {
	if value == nil {
		return unknown
	}
	return *value
}

func pointer(value int64) *int64 {
	if value == unknown {
		return nil
	}
	return &value
}

func (p point) message() protocol.Point {
	at := time.UnixMilli(p.at).UTC()
	if p.isGap() {
		return protocol.Point{Time: at, Gap: true}
	}
	return protocol.Point{
		Time: at, Held: p.held, Depth: pointer(p.depth), LowerBound: pointer(p.lower), UpperBound: pointer(p.upper),
		Rate: pointer(int64(p.rate)), InFlight: pointer(int64(p.inFlight)), Replicas: p.replicas, Ready: p.ready, Desired: p.desired,
	}
}

func compact(p protocol.Point) point {
	if p.Gap {
		return gap(p.Time.UnixMilli())
	}
	return point{
		at: p.Time.UnixMilli(), held: p.Held, depth: number(p.Depth), lower: number(p.LowerBound), upper: number(p.UpperBound),
		rate: int32(min(number(p.Rate), math.MaxInt32)), inFlight: int32(min(number(p.InFlight), math.MaxInt32)), replicas: p.Replicas, ready: p.Ready, desired: p.Desired,
	}
}

func messages(points []point) []protocol.Point {
	if len(points) == 0 {
		return nil
	}
	out := make([]protocol.Point, len(points))
	for i, p := range points {
		out[i] = p.message()
	}
	return out
}

// series are the newest of things that came one after the other. Each has a number that stays.
type series[T any] struct {
	items []T
	first int // the number of items[0]
}

// next is the number of the one that comes.
func (s *series[T]) next() int { return s.first + len(s.items) }

// since are those from a number on, of which there may be fewer left.
func (s *series[T]) since(number int) []T {
	return s.items[min(max(0, number-s.first), len(s.items)):]
}

// add keeps at most most, and drops a quarter of them at once if there are more: to drop them one
// by one would copy all of them each time.
func (s *series[T]) add(item T, most int) {
	if excess := len(s.items) + 1 - most; excess > 0 {
		drop := min(len(s.items), max(excess, most/4))
		kept := copy(s.items, s.items[drop:])
		clear(s.items[kept:])
		s.items = s.items[:kept]
		s.first += drop
	}
	s.items = append(s.items, item)
}

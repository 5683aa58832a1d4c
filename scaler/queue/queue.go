package queue

import (
	"math"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// Kind is a kind of queue.
type Kind string

// The kinds, but for those of presets (KindOf, SharedKindOf). None is what an absent key is: an
// empty queue whose kind is not known yet.
const (
	Auto      Kind = "auto"
	None      Kind = "none"
	List      Kind = "list"
	Stream    Kind = "stream"
	SortedSet Kind = "sortedset"
	PubSub    Kind = "pubsub"
)

// Score is what the score of a sorted set's member says.
type Score string

// The scores. By AnyScore all members are ready; by the others, those whose time has come.
const (
	AnyScore         Score = ""
	UnixSeconds      Score = "UnixSeconds"
	UnixMilliseconds Score = "UnixMilliseconds"
)

// Queue names a queue on a server. It is comparable.
type Queue struct {
	// Key is the key, or the Pub/Sub channel; of a preset, the queue's name in the
	// framework; of what a framework shares, the names of the queues, joined by "," (joined).
	Key  string
	Kind Kind // any but None
	// Group is a stream's consumer group; empty: its only one.
	Group string
	// Prefix of a preset's keys; empty: the framework's own (framework.Prefix). Other keys have none.
	Prefix string
	// Options is what a channel says of a preset's own settings.
	Options framework.Options
	// Score is what the scores of a sorted set say, or of an Auto that is one.
	Score Score
	// Age is set where the age of the oldest waiting message is wanted.
	Age bool
}

// Depth is what was read of a queue, in messages.
type Depth struct {
	Kind       Kind  // the Queue's; of an Auto: None, List, Stream or SortedSet
	Ready      int64 // waiting for a worker, which may take them now
	InFlight   int64 // held by a worker and not acknowledged
	LowerBound bool  // the server can't tell exactly; there are at least so many
	// Estimate is set where Ready is the best that can be had, and may be decided by like a
	// depth that is exact. Of a stream it is an upper bound: no less than what waits, and more
	// by no more than what was deleted before it was delivered. Of a Pub/Sub channel it is
	// what is measured in place of a depth; LowerBound is set, too.
	Estimate bool
	// Consumed is set of a list whose consumers show what they hold: there are some now.
	Consumed bool
	Added    int64 // messages ever added; -1 where nothing counts them
	// WorkInPlace is set of a list whose consumers work, or worked a moment ago, on messages where they wait, because the
	// server is at maxmemory: those are Ready, and not in InFlight.
	WorkInPlace bool
	// Remark is what else is to be known of how the depth came to be, without anything that changes while
	// nothing else does; empty: nothing.
	Remark string
	// Oldest is when the message that waits the longest came, or became due. Zero: none
	// waits, or Age was not wanted.
	Oldest time.Time
}

// Total is the depth that decisions are made from.
func (d Depth) Total() int64 { return Sum(d.Ready, d.InFlight) }

// AtLeast tells whether the depth may be any from Total up, so that nothing may shrink by it.
// Pub/Sub is the exception: its bound has no end by nature, and a fleet that could never
// shrink would be of no use.
func (d Depth) AtLeast() bool { return d.LowerBound && !d.Estimate }

// ShowsWork tells whether InFlight is what is in flight. Else nothing tells that, and it is 0
// whatever the workers do. Of a preset with something that all queues share, it is told there.
func (d Depth) ShowsWork() bool {
	if l, ok := layouts[d.Kind]; ok {
		return l.framework.ShowsWork()
	}
	return d.Kind == Stream || d.Kind == List && (d.Consumed || d.InFlight > 0)
}

// WorkAtLeast tells whether InFlight may be too low. Of a stream, only Ready may be.
func (d Depth) WorkAtLeast() bool { return d.WorkInPlace || d.LowerBound && d.Kind != Stream }

// Sum adds counts, none of which is negative. It ends at math.MaxInt64: a server may hold, or
// claim, more than that.
func Sum(counts ...int64) (total int64) {
	for _, count := range counts {
		if count > math.MaxInt64-total {
			return math.MaxInt64
		}
		total += count
	}
	return total
}

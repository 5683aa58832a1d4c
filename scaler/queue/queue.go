package queue

import (
	"fmt"
	"time"
)

// Kind is a kind of queue.
type Kind string

// The kinds. None is what an absent key is: an empty queue whose kind is not known yet.
const (
	Auto      Kind = "auto"
	None      Kind = "none"
	List      Kind = "list"
	Stream    Kind = "stream"
	SortedSet Kind = "sortedset"
	PubSub    Kind = "pubsub"
)

// The presets: queues of a job framework, which keeps one in several keys.
const (
	Sidekiq Kind = "sidekiq"
	Celery  Kind = "celery"
	BullMQ  Kind = "bullmq"
	Asynq   Kind = "asynq"
	RQ      Kind = "rq"
)

// What a framework keeps for all its queues together, in keys that name no queue.
const (
	SidekiqShared Kind = "sidekiq-shared"
	CeleryShared  Kind = "celery-shared"
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
	// framework; of what a framework shares, the names of the queues, joined by ",".
	Key  string
	Kind Kind // any but None
	// Group is a stream's consumer group; empty: its only one.
	Group string
	// Prefix of a preset's keys: BullMQ's prefix (empty: bull), Celery's global_keyprefix,
	// or Sidekiq's namespace. Others have none.
	Prefix string
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
	Added      int64 // messages ever added; -1 where nothing counts them
	// Oldest is when the message that waits the longest came, or became due. Zero: none
	// waits, or Age was not wanted.
	Oldest time.Time
}

// Total is the depth that decisions are made from.
func (d Depth) Total() int64 { return d.Ready + d.InFlight }

// valid tells a depth from what a server that lies makes of it: no count is below 0, and
// their sum is a number.
func (d Depth) valid() error {
	if d.Ready < 0 || d.InFlight < 0 || d.Total() < 0 {
		return &ReplyError{Command: "the commands that count messages", Err: fmt.Errorf("%d wait and %d are in flight", d.Ready, d.InFlight)}
	}
	return nil
}

package queue

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// maxRounds bounds one read: its kind, whether it has consumers, who they are, what they
// hold; and once more where something changed between two rounds.
const maxRounds = 6

// Reader reads the depth of one queue, again and again, as part of a Batch. It keeps what
// it learned and the commands that it sends, so that a steady queue costs one round and
// next to no allocation. It is not safe for concurrent use.
type Reader struct {
	queue Queue
	kind  kindReader // nil: the queue can't be read (UnknownError)

	// The read under way, or the last one.
	rounds int
	depth  Depth
	err    error
}

// kindReader reads queues of one kind.
type kindReader interface {
	// ask appends the commands of a round, but for those of a consumed's consumers.
	ask(commands []redis.Cmder, r round) []redis.Cmder
	// answer reads the replies of a round. Where done is false and there is no error,
	// another is needed; in the last one it is done in any case.
	answer(r round) (depth Depth, done bool, err error)
}

// round is one round of a read, as a kindReader is told.
type round struct {
	queue   *Queue
	now     time.Time // of the read
	cluster bool      // of a node of a cluster
	first   bool
	last    bool
}

// NewReader returns a reader of that queue.
func NewReader(q Queue) Reader {
	return Reader{queue: q, kind: kindReaderOf(q)}
}

// kindReaderOf is nil for what no reader is known for. To read that as another kind would tell
// a depth that is wrong.
func kindReaderOf(q Queue) kindReader {
	switch q.Kind {
	case Auto:
		if newSortedSetReader(q) == nil {
			return nil // before the key turns out to be a sorted set
		}
		return newTypeReader(q)
	case List:
		return &listReader{}
	case Stream:
		return &streamReader{}
	case SortedSet:
		return newSortedSetReader(q)
	case PubSub:
		return newPubSubReader(q)
	case None: // what was found, not what is looked for: no framework is called so
	}
	return newPresetReader(q)
}

// Queue is the queue that is read.
func (r *Reader) Queue() Queue { return r.queue }

// Result is what the last read of the Batch came to.
func (r *Reader) Result() (Depth, error) { return r.depth, r.err }

// begin starts a new read. It is false where there is nothing to read with, which is the result.
func (r *Reader) begin() bool {
	r.rounds, r.depth, r.err = 0, Depth{}, nil
	if r.kind == nil {
		r.err = &UnknownError{Queue: r.queue}
	}
	return r.kind != nil
}

// round is the one under way, or that of the last ask.
func (r *Reader) round(b *Batch) round {
	return round{queue: &r.queue, now: b.now, cluster: b.cluster, first: r.rounds == 1, last: r.rounds >= maxRounds}
}

// ask appends the commands of the next round, but for those of a consumed's consumers.
func (r *Reader) ask(commands []redis.Cmder, b *Batch) []redis.Cmder {
	r.rounds++
	return r.kind.ask(commands, r.round(b))
}

// isLarge tells whether the replies may hold more than some numbers and names: whole messages,
// or what is known of each group, worker or client.
func (r *Reader) isLarge() bool {
	switch kind := r.kind.(type) {
	case *typeReader:
		return false
	case *listReader:
		return r.queue.Age || len(kind.known) > 0
	case *sortedSetReader:
		return r.queue.Age
	default:
		return true
	}
}

// answer reads the replies of a round. Where done is false, another is needed.
func (r *Reader) answer(b *Batch) (done bool) {
	this := r.round(b)
	r.depth, done, r.err = r.kind.answer(this)
	switch kind := r.kind.(type) {
	case *typeReader:
		if r.err == nil && kind.found != "" {
			r.kind = kind.settled(r.queue)
		}
	case *listReader, *streamReader, *sortedSetReader:
		if wrongType(r.err) && !this.last {
			// The key was replaced by one of another type, or never had the type named.
			r.kind, r.depth, r.err = newTypeReader(r.queue), Depth{}, nil
			return false
		}
	}
	if r.err != nil {
		r.depth = Depth{}
	}
	return done || r.err != nil
}

package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Kind is a kind of queue.
type Kind string

// The kinds. None is what an absent key is: an empty queue whose kind is not known yet.
const (
	Auto   Kind = "auto"
	None   Kind = "none"
	List   Kind = "list"
	Stream Kind = "stream"
)

// Queue names a queue on a server. It is comparable.
type Queue struct {
	Key   string
	Kind  Kind   // Auto, List or Stream
	Group string // a stream's consumer group; empty: its only one
}

// Depth is what was read of a queue, in messages.
type Depth struct {
	Kind       Kind  // None, List or Stream
	Ready      int64 // waiting for a worker
	InFlight   int64 // held by a worker and not acknowledged
	LowerBound bool  // the server can't tell exactly; there are at least so many
	Added      int64 // messages ever added; -1 where the server does not count them
}

// Total is the depth that decisions are made from.
func (d Depth) Total() int64 { return d.Ready + d.InFlight }

// WrongTypeError is a key of a type that is not the one named, or none that is a queue.
type WrongTypeError struct {
	Key  string
	Want Kind
	Got  string
}

func (e *WrongTypeError) Error() string {
	if e.Want == Auto {
		return fmt.Sprintf("key %q holds a %s, which is not a queue: name a list or a stream as channelName", e.Key, e.Got)
	}
	return fmt.Sprintf("key %q holds a %s, not a %s: correct channelName, or set the queue type to Auto", e.Key, e.Got, e.Want)
}

// GroupError is a stream with several consumer groups of which none was named.
type GroupError struct {
	Key    string
	Groups []string
}

func (e *GroupError) Error() string {
	return fmt.Sprintf("stream %q has %d consumer groups (%s): set consumerGroup to one of them", e.Key, len(e.Groups), strings.Join(e.Groups, ", "))
}

// Reader reads the depth of one queue, again and again. It keeps what it learned, so
// that a steady queue costs one round. It is not safe for concurrent use.
type Reader struct {
	queue  Queue
	kind   Kind // Auto: to be asked
	rounds int  // of the current read
	list   listReader
	stream streamReader
	typed  *redis.StatusCmd
	named  *redis.IntCmd // whether a list's consumers are named
}

// maxRounds bounds one read: its kind, its consumers, the rest; and once more where
// something changed between two rounds.
const maxRounds = 5

// NewReader returns a reader of that queue.
func NewReader(q Queue) *Reader {
	return &Reader{queue: q, kind: q.Kind}
}

// Begin starts a new read.
func (r *Reader) Begin() { r.rounds, r.stream.countAfter = 0, "" }

// Ask appends the commands of the next round to the pipeline.
func (r *Reader) Ask(ctx context.Context, pipe redis.Pipeliner) {
	r.rounds++
	switch r.kind {
	case List:
		r.list.ask(ctx, pipe, r.queue.Key)
	case Stream:
		r.stream.ask(ctx, pipe, r.queue)
	default:
		r.typed = pipe.Type(ctx, r.queue.Key)
		r.named = pipe.Exists(ctx, ConsumersKey(r.queue.Key))
	}
}

// Answer reads the replies to Ask, once the pipeline has been executed. Where done is
// false and err nil, another round is needed.
func (r *Reader) Answer() (depth Depth, done bool, err error) {
	last := r.rounds >= maxRounds
	switch r.kind {
	case List:
		depth, done, err = r.list.answer(last)
	case Stream:
		depth, done, err = r.stream.answer(r.queue, last)
	default:
		return r.answerType()
	}
	if wrongType(err) && !last {
		// The key was replaced by one of another type, or never had the type named.
		r.kind = Auto
		return Depth{}, false, nil
	}
	return depth, done, err
}

// answerType settles the kind from TYPE's reply.
func (r *Reader) answerType() (Depth, bool, error) {
	got, err := r.typed.Result()
	if err != nil {
		return Depth{}, true, err
	}
	named, err := r.named.Result()
	if err != nil {
		return Depth{}, true, err
	}
	kind := Kind(got)
	if kind == None && named > 0 && r.queue.Kind != Stream {
		kind = List // whose last messages are all in flight: Redis deletes an empty list
	}
	switch {
	case kind == None:
		r.kind = r.queue.Kind
		return Depth{Kind: None, Added: -1}, true, nil
	case kind != List && kind != Stream, r.queue.Kind != Auto && r.queue.Kind != kind:
		return Depth{}, true, &WrongTypeError{Key: r.queue.Key, Want: r.queue.Kind, Got: got}
	}
	r.kind = kind
	return Depth{}, false, nil
}

func wrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// noSuchKey tells an absent key from other errors: XINFO answers "ERR no such key", on
// Redis and on DragonFly.
func noSuchKey(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such key")
}

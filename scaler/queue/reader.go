package queue

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// unbound is the context of every command: a command outlives the read that it was made
// for, and go-redis goes by the context of the pipeline.
var unbound = context.Background()

// maxRounds bounds one read: its kind, whether it has consumers, who they are, what they
// hold; and once more where something changed between two rounds.
const maxRounds = 6

// Reader reads the depth of one queue, again and again, as part of a Batch. It keeps what
// it learned and the commands that it sends, so that a steady queue costs one round and
// next to no allocation. It is not safe for concurrent use.
type Reader struct {
	queue Queue
	kind  Kind // Auto: to be asked

	// The read under way, or the last one.
	rounds int
	depth  Depth
	err    error

	// shared is this round's question whether any of several lists has consumers; nil
	// where this queue is asked alone.
	shared *redis.IntCmd
	// named is set where the answer was yes: this queue is asked alone, and tells.
	named bool
	// apart is set on a server that takes no question about keys of several slots.
	apart bool

	consumers any // ConsumersKey, once it was needed
	list      listReader
	stream    *streamReader
	typed     *redis.StatusCmd // TYPE
	exists    *redis.IntCmd    // EXISTS of the key of the list's consumers
}

// NewReader returns a reader of that queue.
func NewReader(q Queue) Reader {
	return Reader{queue: q, kind: q.Kind}
}

// Queue is the queue that is read.
func (r *Reader) Queue() Queue { return r.queue }

// Result is what the last read of the Batch came to.
func (r *Reader) Result() (Depth, error) { return r.depth, r.err }

// begin starts a new read.
func (r *Reader) begin() {
	r.rounds, r.depth, r.err = 0, Depth{}, nil
	if r.stream != nil {
		r.stream.countAfter = ""
	}
}

// ask appends the commands of the next round, but for those of askConsumers.
func (r *Reader) ask(commands []redis.Cmder) []redis.Cmder {
	r.rounds++
	r.shared = nil
	switch r.kind {
	case List:
		return r.list.ask(commands, r.queue.Key)
	case Stream:
		if r.stream == nil {
			r.stream = &streamReader{}
		}
		return r.stream.ask(commands, r.queue)
	default:
		if r.typed == nil {
			r.typed = redis.NewStatusCmd(unbound, "type", r.queue.Key)
		}
		return append(commands, fresh(r.typed))
	}
}

// hasConsumers tells whether work in flight is with consumers who are named in a key of
// their own, so that askConsumers or a shared question must follow ask.
func (r *Reader) hasConsumers() bool { return r.kind != Stream }

// sharing tells whether "nobody" in answer to a shared question would do.
func (r *Reader) sharing() bool {
	return r.hasConsumers() && !r.named && !r.apart && len(r.list.consumers) == 0
}

// askConsumers appends the commands that tell who the queue's consumers are.
func (r *Reader) askConsumers(commands []redis.Cmder) []redis.Cmder {
	if r.kind == List {
		return r.list.askConsumers(commands, r.queue.Key, r.consumersKey())
	}
	if r.exists == nil {
		r.exists = redis.NewIntCmd(unbound, "exists", r.consumersKey())
	}
	return append(commands, fresh(r.exists))
}

// consumersKey is the key of the list's consumers, as an argument of a command.
func (r *Reader) consumersKey() any {
	if r.consumers == nil {
		r.consumers = ConsumersKey(r.queue.Key)
	}
	return r.consumers
}

// errNoReply is the error of a command until its reply has been read.
var errNoReply = errors.New("no reply")

// fresh readies a command to be sent, for the first time or again. go-redis leaves the
// error and the value of a command as they are where the server refuses the connection
// (a wrong password, for one): without an error of its own an old value, or 0, would pass
// for a reply.
func fresh[C redis.Cmder](command C) C {
	command.SetErr(errNoReply)
	return command
}

// answer reads the replies of a round. Where done is false, another is needed.
func (r *Reader) answer() (done bool) {
	last := r.rounds >= maxRounds
	switch r.kind {
	case List:
		r.depth, done, r.err = r.answerList(last)
	case Stream:
		r.depth, done, r.err = r.stream.answer(r.queue, last)
	default:
		r.depth, done, r.err = r.answerType(last)
	}
	if r.kind != Auto && wrongType(r.err) && !last {
		// The key was replaced by one of another type, or never had the type named.
		r.kind, r.err = Auto, nil
		return false
	}
	return done || r.err != nil
}

// consumersNamed reads the answer whether a queue whose consumers are not known has any.
// Where certain is false, it must be asked alone in another round.
func (r *Reader) consumersNamed(alone *redis.IntCmd) (named, certain bool, err error) {
	command := alone
	if r.shared != nil {
		command = r.shared
	}
	count, err := command.Result()
	if err != nil && r.shared != nil && redis.HasErrorPrefix(err, "CROSSSLOT") {
		r.apart = true
		return false, false, nil
	}
	if err != nil {
		return false, true, err
	}
	r.named = count > 0
	return r.named, r.shared == nil || count == 0, nil
}

// answerList reads the replies for a list.
func (r *Reader) answerList(last bool) (Depth, bool, error) {
	if r.shared == nil {
		depth, done, err := r.list.answer(last)
		r.named = done && len(r.list.consumers) > 0
		return depth, done, err
	}
	ready, err := r.list.length.Result()
	if err != nil {
		return Depth{}, true, err
	}
	_, certain, err := r.consumersNamed(nil)
	if err != nil {
		return Depth{}, true, err
	}
	return Depth{Kind: List, Ready: ready, Added: -1, LowerBound: !certain}, certain || last, nil
}

// answerType settles the kind from TYPE's reply.
func (r *Reader) answerType(last bool) (Depth, bool, error) {
	got, err := r.typed.Result()
	if err != nil {
		return Depth{}, true, err
	}
	named, certain, err := r.consumersNamed(r.exists)
	if err != nil {
		return Depth{}, true, err
	}
	kind := Kind(got)
	if kind == None && r.queue.Kind != Stream {
		if !certain && !last {
			return Depth{}, false, nil
		}
		if named {
			kind = List // whose last messages are all in flight: Redis deletes an empty list
		}
	}
	switch {
	case kind == None:
		r.kind = r.queue.Kind
		return Depth{Kind: None, Added: -1}, true, nil
	case kind != List && kind != Stream, r.queue.Kind != Auto && r.queue.Kind != kind:
		return Depth{}, true, &WrongTypeError{Key: r.queue.Key, Want: r.queue.Kind, Got: got}
	}
	r.kind = kind
	r.typed, r.exists = nil, nil // asked for once in a queue's life, as a rule
	return Depth{}, false, nil
}

func wrongType(err error) bool {
	return err != nil && redis.HasErrorPrefix(err, "WRONGTYPE") // which allocates in any case
}

// noSuchKey tells an absent key from other errors: XINFO answers "ERR no such key", on
// Redis and on DragonFly.
func noSuchKey(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such key")
}

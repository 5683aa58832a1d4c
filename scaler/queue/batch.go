package queue

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

const (
	// sharedKeys is how many lists share one question whether they have consumers. A
	// server does nothing else while it answers: EXISTS of 100 keys takes it some 20 µs.
	sharedKeys = 100
	// streamsPerRound bounds the streams of a round. A reply to XINFO STREAM holds two
	// whole entries, and the server keeps the replies until the last command has come.
	streamsPerRound = 1000
)

// Batch reads many queues of one server together, again and again: Begin, then Ask and
// Answer in turn until Ask has no more commands. It is not safe for concurrent use.
//
// Most lists have no consumers that are known by name: those are asked together, with one
// EXISTS for many, and only where the answer is yes, each alone. So a steady list costs one
// command, and what a read tells of it is the same as if each had been asked alone:
//   - A worker that is named before it takes its first message, as cmd/subscriber is, can't
//     hide one: the LLEN of the queue precedes the question for its consumers, and that the
//     LLEN of what they hold. A message that is taken during the read counts once or twice.
//   - A consumer counts from the first read on that begins after it was named. There is no
//     tick in which it is not seen yet.
//   - What is put back into the queue (from a consumer that is gone) just between two
//     commands of one read may be missing from that read, and is in the next.
//   - Where consumers come faster than maxRounds rounds can follow, LowerBound says so.
type Batch struct {
	readers  []*Reader
	asking   []*Reader // without a result so far
	asked    int       // of asking, those in the round under way
	commands []redis.Cmder
	sharing  []*Reader // of one question to come
}

// NewBatch returns a batch. A reader must not be in use in two at the same time.
func NewBatch(readers []*Reader) *Batch { return &Batch{readers: readers} }

// Begin starts a new read of all.
func (b *Batch) Begin() {
	for _, r := range b.readers {
		r.begin()
	}
	b.asking = append(b.asking[:0], b.readers...)
}

// Ask returns the commands of the next round, which go into one pipeline; none where the
// read is complete. They are good until the next call of Ask.
func (b *Batch) Ask() []redis.Cmder {
	b.commands, b.asked = b.commands[:0], 0
	streams := 0
	for _, r := range b.asking {
		if r.kind == Stream {
			if streams++; streams > streamsPerRound {
				break
			}
		}
		b.asked++
		b.commands = r.ask(b.commands)
		switch {
		case r.sharing():
			b.sharing = append(b.sharing, r)
			if len(b.sharing) == sharedKeys {
				b.askTogether()
			}
		case r.hasConsumers():
			b.commands = r.askConsumers(b.commands)
		}
	}
	b.askTogether()
	return b.commands
}

// askTogether appends the question whether any of several lists has consumers.
func (b *Batch) askTogether() {
	switch len(b.sharing) {
	case 0:
		return
	case 1:
		b.commands = b.sharing[0].askConsumers(b.commands)
	default:
		args := make([]any, 0, 1+len(b.sharing))
		args = append(args, "exists")
		for _, r := range b.sharing {
			args = append(args, r.consumersKey())
		}
		command := fresh(redis.NewIntCmd(unbound, args...))
		for _, r := range b.sharing {
			r.shared = command
		}
		b.commands = append(b.commands, command)
	}
	b.sharing = b.sharing[:0]
}

// Answer reads the replies to Ask, once the pipeline has been executed. err is what that
// came to: it is the result of queues whose commands got no reply.
func (b *Batch) Answer(err error) {
	again := b.asking[:0]
	for i, r := range b.asking {
		if i >= b.asked || !r.answer() {
			again = append(again, r)
			continue
		}
		if err != nil && errors.Is(r.err, errNoReply) {
			r.err = err
		}
	}
	b.asking = again
}

// Fail ends the read: what has no result yet has this one.
func (b *Batch) Fail(err error) {
	for _, r := range b.asking {
		r.depth, r.err = Depth{}, err
	}
	b.asking = b.asking[:0]
}

package queue

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sharedKeys is how many lists share one question whether they have consumers, which is
	// about consumersKeys of each. A server does nothing else while it answers: EXISTS of 300
	// keys takes it some 60 µs.
	sharedKeys    = 100
	consumersKeys = 3
	// streamsPerRound bounds the streams of a round, and headsPerRound the bytes of their first
	// and last entries, as far as they are known from the read before. A reply to XINFO STREAM
	// holds both, and the server keeps the replies until the last command has come.
	streamsPerRound = 1000
	headsPerRound   = 16 << 20
)

// Batch reads many queues of one server together, again and again: Begin, then Ask and
// Answer (or Narrow) in turn until Ask has no more commands. It is not safe for concurrent use.
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
	cluster  bool
	now      time.Time
	asking   []*Reader // without a result so far
	asked    int       // of asking, those in the round under way
	large    int       // of asked, those whose replies may be large
	most     int       // how many of such a round may have; 0: streamsPerRound alone bounds it
	commands []redis.Cmder
	sharing  []sharer // of one question to come
}

// sharer is a queue that shares a question.
type sharer struct {
	consumed
	queue *Queue
}

// NewBatch returns a batch. A reader must not be in use in two at the same time.
func NewBatch(readers []*Reader) *Batch { return &Batch{readers: readers} }

// NewClusterBatch returns a batch of queues that are on one node of a cluster. None of its
// commands has keys of several slots, and no stream is believed to be absent for XINFO's
// word alone (ElsewhereError).
func NewClusterBatch(readers []*Reader) *Batch { return &Batch{readers: readers, cluster: true} }

// Begin starts a new read of all. By now it is decided what is due.
func (b *Batch) Begin(now time.Time) {
	b.now = now
	b.asking = b.asking[:0]
	for _, r := range b.readers {
		if r.begin() {
			b.asking = append(b.asking, r)
		}
	}
}

// Ask returns the commands of the next round, which go into one pipeline; none where the
// read is complete. They are good until the next call of Ask.
func (b *Batch) Ask() []redis.Cmder {
	b.commands, b.asked, b.large = b.commands[:0], 0, 0
	streams, bytes := 0, 0
	for _, r := range b.asking {
		isLarge := r.isLarge()
		if isLarge && b.most > 0 && b.large == b.most {
			break
		}
		if stream, ok := r.kind.(*streamReader); ok {
			streams++
			if !stream.canBeBrief(&r.queue, b.now) {
				bytes += stream.heads.size()
			}
			if streams > streamsPerRound || streams > 1 && bytes > headsPerRound {
				break
			}
		}
		b.asked++
		if isLarge {
			b.large++
		}
		b.commands = r.ask(b.commands, b)
		if kind, ok := r.kind.(consumed); ok {
			b.askConsumers(r, kind)
		}
	}
	b.askTogether()
	return b.commands
}

// Narrow has the round under way asked again in parts, because its replies are too large to
// be read together: how large they are is known only once they come. It is false where a round
// can't be smaller. The rounds stay so small for as long as the batch is used.
func (b *Batch) Narrow() bool {
	if b.large < 2 {
		return false
	}
	b.most = b.large / 2
	for _, r := range b.asking[:b.asked] {
		r.rounds-- // it has not been answered
	}
	return true
}

// askConsumers appends the question for one queue's consumers, or notes that it may be
// shared: where "nobody" would do for an answer.
func (b *Batch) askConsumers(r *Reader, kind consumed) {
	question := kind.question(&r.queue)
	if question == nil {
		return
	}
	question.shared = nil
	if question.named {
		b.commands = kind.askConsumers(b.commands, &r.queue)
		return
	}
	alone := question.apart || b.cluster // whose keys have one slot
	if alone || len(b.sharing) == sharedKeys {
		b.askTogether()
	}
	b.sharing = append(b.sharing, sharer{kind, &r.queue})
	if alone {
		b.askTogether()
	}
}

// askTogether appends the question whether any of those lists has consumers.
func (b *Batch) askTogether() {
	if len(b.sharing) == 0 {
		return
	}
	args := make([]any, 0, 1+consumersKeys*len(b.sharing))
	args = append(args, "exists")
	for _, s := range b.sharing {
		args = append(args, s.question(s.queue).keysOf(s.queue)...)
	}
	command := fresh(number(args...))
	for _, s := range b.sharing {
		s.question(s.queue).shared = command
	}
	b.commands = append(b.commands, command)
	b.sharing = b.sharing[:0]
}

// Answer reads the replies to Ask, once the pipeline has been executed. err is what that
// came to: it is the result of queues whose commands got no reply.
func (b *Batch) Answer(err error) {
	again := b.asking[:0]
	for i, r := range b.asking {
		if i >= b.asked || !r.answer(b) {
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

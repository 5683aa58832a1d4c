package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// publisher sends messages to one queue.
type publisher struct {
	options
	client redis.UniversalClient
	run    string // tells this run's messages from another's
	kind   string // List, Stream, SortedSet or PubSub
	now    func() time.Time
	// trouble is told once when the server fails, and nil when it is back.
	trouble func(err error)

	next   int64 // number of the next message
	totals totals
}

// totals of a run.
type totals struct {
	sent    int64 // the server said so
	unknown int64 // sent without a reply: they may be in the queue or not
	errors  int64 // exchanges with the server that failed
}

func newPublisher(o options, client redis.UniversalClient, trouble func(error)) *publisher {
	return &publisher{options: o, client: client, run: fmt.Sprintf("%08x", rand.Uint32()), trouble: trouble, now: time.Now}
}

// errPermanent is in the chain of errors that no retry can mend.
var errPermanent = errors.New("permanent")

const (
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	operationTimeout      = 5 * time.Second
)

// typeKinds are the kinds of queue by TYPE's names.
var typeKinds = map[string]string{"list": kindList, "stream": kindStream, "zset": kindSortedSet}

// detect settles the kind of the queue, and refuses a key that is not of it. A channel of
// Pub/Sub is no key.
func (p *publisher) detect(ctx context.Context) error {
	if p.queueType == kindPubSub {
		p.kind = kindPubSub
		return nil
	}
	return p.retry(ctx, func(ctx context.Context) (bool, error) {
		got, err := p.client.Type(ctx, p.channel).Result()
		if err != nil {
			return true, err
		}
		return false, p.settleKind(got)
	})
}

func (p *publisher) settleKind(got string) error {
	switch {
	case got == "none" && p.queueType == kindAuto:
		p.kind = kindList
	case got == "none":
		p.kind = p.queueType
	case typeKinds[got] == "":
		return fmt.Errorf("%w: --channel is %q, which holds a %s: set it to the key of a list, a stream or a sorted set", errPermanent, p.channel, got)
	case p.queueType != kindAuto && p.queueType != typeKinds[got]:
		return fmt.Errorf("%w: --channel is %q, which holds a %s, not a %s: leave --queue-type out, or correct --channel", errPermanent, p.channel, got, p.queueType)
	default:
		p.kind = typeKinds[got]
	}
	if p.maxLength > 0 && p.kind != kindStream {
		return fmt.Errorf("%w: --max-length is %d, but %q is a %s, and only a stream is trimmed: leave it out, or set --queue-type to Stream", errPermanent, p.maxLength, p.channel, p.kind)
	}
	return nil
}

// retry repeats operation while it says that it must be done again, with pauses that grow,
// until ctx ends or an error comes that no retry can mend.
func (p *publisher) retry(ctx context.Context, operation func(context.Context) (again bool, err error)) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		// The operation may finish when ctx ends: its outcome is to be known.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), operationTimeout)
		again, err := operation(bounded)
		cancel()
		if err != nil {
			p.totals.errors++
			if permanent(err) {
				return err
			}
		}
		p.trouble(err)
		if !again {
			return nil
		}
		wait(ctx, pause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func permanent(err error) bool {
	return errors.Is(err, errPermanent) || redis.IsAuthError(err) || redis.IsPermissionError(err) || redis.HasErrorPrefix(err, "WRONGTYPE")
}

// send sends the next n messages. Where the server did not take some for certain, it
// sends those again; where it isn't known, it counts them as such and goes on.
func (p *publisher) send(ctx context.Context, n int64) error {
	payloads := make([]string, n)
	for i := range payloads {
		payloads[i] = payload(p.run, p.next+int64(i), p.size)
	}
	p.next += n
	return p.retry(ctx, func(ctx context.Context) (bool, error) {
		var err error
		payloads, err = p.exchange(ctx, payloads)
		return len(payloads) > 0, err
	})
}

// payload is a message of that size: the run and the message's number, filled up with dots.
// Of a size that is too small for them the last digits are kept.
func payload(run string, number int64, size int) string {
	text := fmt.Sprintf("%s-%012d", run, number)
	if len(text) >= size {
		return text[len(text)-size:]
	}
	return text + strings.Repeat(".", size-len(text))
}

// publish sends messages by the schedule until the count or ctx ends. report is called
// after each exchange and each wait.
func (p *publisher) publish(ctx context.Context, now func() time.Time, report func()) error {
	plan := newSchedule(p.options)
	began := now()
	for ctx.Err() == nil {
		limit := int64(p.pipeline)
		if p.count > 0 {
			limit = min(limit, p.count-p.next)
		}
		if limit == 0 {
			return nil
		}
		if n := plan.due(now().Sub(began), limit); n > 0 {
			if err := p.send(ctx, n); err != nil {
				return err
			}
		} else {
			wait(ctx, min(plan.wait(now().Sub(began)), maxWait))
		}
		report()
	}
	return ctx.Err()
}

// maxWait bounds a wait, so that progress is told meanwhile.
const maxWait = 100 * time.Millisecond

func wait(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

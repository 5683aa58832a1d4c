package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// publisher sends messages to one or several queues, which take turns.
type publisher struct {
	options
	client redis.UniversalClient
	maker  *maker
	input  *input        // nil: the payloads are not read
	queues []destination // as many as there are channels
	now    func() time.Time
	// trouble is told once when the server fails, and nil when it is back.
	trouble func(err error)
	// late is told when the rate can't be kept, and when it can be again.
	late func(behind bool, t totals)
	// tell is told the totals after each attempt, and whether it failed.
	tell   func(t totals, failed bool)
	tracer oteltrace.Tracer // nil: messages are not traced

	next   int64 // number of the next message
	totals totals
}

// destination is one queue.
type destination struct {
	key  string
	kind string // List, Stream, SortedSet or PubSub
}

// totals of a run.
type totals struct {
	sent    int64 // the server said so
	unknown int64 // sent without a reply: they may be in the queue or not
	errors  int64 // exchanges with the server that failed
	again   int64 // messages that were sent again, because the server had not taken them; each time counts
	missed  int64 // given up, because they could not be sent when they were due
	same    int64 // of those sent to a sorted set, the ones that were in it already

	lag, longestLag time.Duration // for how long the next message has been due
}

func newPublisher(o options, client redis.UniversalClient, trouble func(error)) *publisher {
	p := &publisher{options: o, client: client, maker: newMaker(o), trouble: trouble, now: time.Now, late: func(bool, totals) {}, tell: func(totals, bool) {}}
	for _, channel := range o.channels {
		p.queues = append(p.queues, destination{key: channel, kind: o.queueType})
	}
	return p
}

// errPermanent is in the chain of errors that no retry can mend.
var errPermanent = errors.New("permanent")

const (
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	operationTimeout      = 5 * time.Second
)

// typeKinds are the kinds of queue by TYPE's names.
var typeKinds = map[string]string{"list": kindList, "stream": kindStream, "zset": kindSortedSet}

// detect settles the kind of each queue, and refuses a key that is not of it. A channel of
// Pub/Sub is no key.
func (p *publisher) detect(ctx context.Context) error {
	if p.queueType == kindPubSub {
		return nil
	}
	for i := range p.queues {
		err := p.retry(ctx, func(ctx context.Context) (bool, error) {
			got, err := p.client.Type(ctx, p.queues[i].key).Result()
			if err != nil {
				return true, err
			}
			p.queues[i].kind, err = p.settleKind(p.queues[i].key, got)
			return false, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settleKind is the kind of the queue at a key of the type got.
func (p *publisher) settleKind(key, got string) (kind string, err error) {
	switch {
	case got == "none" && p.queueType == kindAuto:
		kind = kindList
	case got == "none":
		kind = p.queueType
	case typeKinds[got] == "":
		return "", fmt.Errorf("%w: --channel is %q, which holds a %s: set it to the key of a list, a stream or a sorted set", errPermanent, key, got)
	case p.queueType != kindAuto && p.queueType != typeKinds[got]:
		return "", fmt.Errorf("%w: --channel is %q, which holds a %s, not a %s: leave --queue-type out, or correct --channel", errPermanent, key, got, p.queueType)
	default:
		kind = typeKinds[got]
	}
	if p.maxLength > 0 && kind != kindStream {
		return "", fmt.Errorf("%w: --max-length is %d, but %q is a %s, and only a stream is trimmed: leave it out, or set --queue-type to Stream", errPermanent, p.maxLength, key, kind)
	}
	if len(p.fields) > 0 && kind != kindStream {
		return "", fmt.Errorf("%w: --field is given, but %q is a %s, and only a stream's entries have fields: leave it out, or set --queue-type to Stream", errPermanent, key, kind)
	}
	return kind, nil
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
		p.tell(p.totals, err != nil)
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

// send sends the next n messages, fewer if as many can't be read; io.EOF tells that there are
// none any more. If the server did not take some for certain, it sends those again. If that
// isn't known, it counts them as such and goes on.
func (p *publisher) send(ctx context.Context, n int64) error {
	var lines []string
	if p.input != nil {
		var err error
		if lines, err = p.input.take(ctx, n); err != nil {
			return err
		}
		n = int64(len(lines))
	}
	batches := make([][]message, len(p.queues))
	for i := range n {
		number := p.next + i
		queue := int(number % int64(len(p.queues)))
		var line *string
		if lines != nil {
			line = &lines[i]
		}
		made, err := p.maker.message(number, p.queues[queue].key, p.now(), line)
		if err != nil {
			return err
		}
		batches[queue] = append(batches[queue], p.traced(ctx, made, p.queues[queue]))
	}
	p.next += n
	for i, batch := range batches {
		if len(batch) == 0 {
			continue
		}
		attempts := 0
		err := p.retry(ctx, func(ctx context.Context) (bool, error) {
			if attempts++; attempts > 1 {
				p.totals.again += int64(len(batch))
			}
			var err error
			batch, err = p.exchange(ctx, p.queues[i], batch)
			return len(batch) > 0, err
		})
		if err != nil {
			for _, m := range batch {
				m.ended(err)
			}
			return err
		}
	}
	return nil
}

// publish sends messages by the plan until that, the count, the input or ctx ends. report is
// called after each exchange and each wait.
func (p *publisher) publish(ctx context.Context, now func() time.Time, report func()) error {
	plan := newPlan(p.options)
	began := now()
	for ctx.Err() == nil {
		limit := int64(p.pipeline)
		if p.count > 0 {
			limit = min(limit, p.count-p.next)
		}
		if limit == 0 || plan.over() {
			return nil
		}
		p.watchRate(plan, now().Sub(began))
		if n := plan.due(now().Sub(began), limit); n > 0 {
			if err := p.send(ctx, n); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		} else {
			wait(ctx, min(plan.wait(now().Sub(began)), maxWait))
		}
		report()
	}
	return ctx.Err()
}

// inTime is how late messages may be while the rate counts as kept.
const inTime = 100 * time.Millisecond

// watchRate notes how late messages are. What is read is as late as it comes in: the rate is
// only its limit.
func (p *publisher) watchRate(plan plan, elapsed time.Duration) {
	if p.input != nil {
		return
	}
	t := &p.totals
	t.missed, t.lag = plan.missed(), plan.lag(elapsed)
	t.longestLag = max(t.longestLag, t.lag)
	switch {
	case t.lag >= maxLag:
		p.late(true, *t)
	case t.lag < inTime:
		p.late(false, *t)
	}
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

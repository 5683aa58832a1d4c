package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connect opens no connection yet. The client repeats nothing by itself: a command whose
// reply is lost may have been executed.
func connect(o options) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: o.redisAddress, Username: o.username, Password: o.password,
		Protocol: 2, PoolSize: 2, DialTimeout: 2 * time.Second, DialerRetries: 1, MaxRetries: -1,
		// DragonFly does not know these.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// publisher sends messages to one queue.
type publisher struct {
	options
	client *redis.Client
	run    string // tells this run's messages from another's
	stream bool
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

func newPublisher(o options, client *redis.Client, trouble func(error)) *publisher {
	return &publisher{options: o, client: client, run: fmt.Sprintf("%08x", rand.Uint32()), trouble: trouble}
}

// errPermanent is in the chain of errors that no retry can mend.
var errPermanent = errors.New("permanent")

const (
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
	operationTimeout      = 5 * time.Second
)

// detect settles the kind of the queue, and refuses a key that is not of it.
func (p *publisher) detect(ctx context.Context) error {
	return p.retry(ctx, func(ctx context.Context) (bool, error) {
		got, err := p.client.Type(ctx, p.channel).Result()
		if err != nil {
			return true, err
		}
		return false, p.settleKind(got)
	})
}

func (p *publisher) settleKind(got string) error {
	want := strings.ToLower(p.queueType)
	switch {
	case got != "none" && got != "list" && got != "stream":
		return fmt.Errorf("%w: --channel is %q, which holds a %s: set it to the key of a list or a stream", errPermanent, p.channel, got)
	case got != "none" && p.queueType != kindAuto && got != want:
		return fmt.Errorf("%w: --channel is %q, which holds a %s, not a %s: leave --queue-type out, or correct --channel", errPermanent, p.channel, got, want)
	}
	p.stream = got == "stream" || got == "none" && p.queueType == kindStream
	if p.maxLength > 0 && !p.stream {
		return fmt.Errorf("%w: --max-length is %d, but %q is a list, which is not trimmed: leave it out, or set --queue-type to Stream", errPermanent, p.maxLength, p.channel)
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

// exchange sends the messages once, and returns those that the server did not take for
// certain.
func (p *publisher) exchange(ctx context.Context, payloads []string) (unsent []string, err error) {
	if !p.stream {
		// One command, which is executed whole or not at all.
		values := make([]any, len(payloads))
		for i, value := range payloads {
			values[i] = value
		}
		err = p.client.LPush(ctx, p.channel, values...).Err()
		return p.tally(payloads, func(int) error { return err }), err
	}
	commands := make([]*redis.StringCmd, len(payloads))
	_, err = p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, value := range payloads {
			commands[i] = pipe.XAdd(ctx, &redis.XAddArgs{
				Stream: p.channel, MaxLen: p.maxLength, Approx: p.maxLength > 0, Values: []any{"payload", value},
			})
		}
		return nil
	})
	return p.tally(payloads, func(i int) error { return commands[i].Err() }), err
}

// tally adds each message to what its outcome is, and returns those that were not taken.
func (p *publisher) tally(payloads []string, outcome func(i int) error) (unsent []string) {
	for i, value := range payloads {
		err := outcome(i)
		switch {
		case err == nil:
			p.totals.sent++
		case mayHaveHappened(err):
			p.totals.unknown++
		default:
			unsent = append(unsent, value)
		}
	}
	return unsent
}

// mayHaveHappened tells whether a command that failed may have been executed: not where
// the server refused it, and not where there was no connection to send it on.
func mayHaveHappened(err error) bool {
	var refused redis.Error
	var network *net.OpError
	return !errors.As(err, &refused) && !(errors.As(err, &network) && network.Op == "dial") && !errors.Is(err, redis.ErrPoolTimeout)
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

package main

import (
	"context"
	"fmt"
	"math"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
)

// exchange sends the messages once, and returns those that the server did not take for
// certain.
func (p *publisher) exchange(ctx context.Context, payloads []string) (unsent []string, err error) {
	switch p.kind {
	case kindList:
		// One command, which is executed whole or not at all; so is the next one.
		values := make([]any, len(payloads))
		for i, value := range payloads {
			values[i] = value
		}
		err = p.client.LPush(ctx, p.channel, values...).Err()
		return p.tally(payloads, func(int) error { return err }), err
	case kindSortedSet:
		members := make([]redis.Z, len(payloads))
		for i, value := range payloads {
			members[i] = redis.Z{Score: p.scoreNow(), Member: value}
		}
		err = p.client.ZAdd(ctx, p.channel, members...).Err()
		return p.tally(payloads, func(int) error { return err }), err
	case kindStream, kindPubSub: // below
	default:
		return payloads, fmt.Errorf("%w: this publisher does not know how to send to a queue of type %q: report it as a fault", errPermanent, p.kind)
	}
	commands := make([]redis.Cmder, len(payloads))
	_, err = p.pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, value := range payloads {
			if p.kind == kindPubSub {
				commands[i] = pipe.Publish(ctx, p.channel, value)
				continue
			}
			commands[i] = pipe.XAdd(ctx, &redis.XAddArgs{
				Stream: p.channel, MaxLen: p.maxLength, Approx: p.maxLength > 0, Values: []any{"payload", value},
			})
		}
		return nil
	})
	return p.tally(payloads, func(i int) error { return commands[i].Err() }), err
}

// pipelined is a transaction in a cluster, since go-redis repeats pipelines there whose
// replies are lost, but no transactions (package connection, once).
func (p *publisher) pipelined(ctx context.Context, fill func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	if _, cluster := p.client.(*redis.ClusterClient); cluster {
		return p.client.TxPipelined(ctx, fill)
	}
	return p.client.Pipelined(ctx, fill)
}

func (p *publisher) scoreNow() float64 {
	switch p.score {
	case scoreSeconds:
		return float64(p.now().Unix())
	case scoreMilliseconds:
		return float64(p.now().UnixMilli())
	}
	return math.NaN() // which a server refuses
}

// tally adds each message to what its outcome is, and returns those that were not taken.
func (p *publisher) tally(payloads []string, outcome func(i int) error) (unsent []string) {
	for i, value := range payloads {
		err := outcome(i)
		switch {
		case err == nil:
			p.totals.sent++
		case connection.MayHaveHappened(err):
			p.totals.unknown++
		default:
			unsent = append(unsent, value)
		}
	}
	return unsent
}

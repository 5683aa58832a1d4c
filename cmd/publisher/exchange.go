package main

import (
	"context"
	"fmt"
	"math"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
)

// exchange sends the messages to one queue once, and returns those that the server did not take
// for certain.
func (p *publisher) exchange(ctx context.Context, to destination, messages []message) (unsent []message, err error) {
	switch to.kind {
	case kindList:
		// One command, which is executed whole or not at all; so is the next one.
		values := make([]any, len(messages))
		for i, m := range messages {
			values[i] = m.payload
		}
		err = p.client.LPush(ctx, to.key, values...).Err()
		return p.tally(messages, func(int) error { return err }), err
	case kindSortedSet:
		members := make([]redis.Z, len(messages))
		for i, m := range messages {
			members[i] = redis.Z{Score: p.scoreNow(), Member: m.payload}
		}
		added, err := p.client.ZAdd(ctx, to.key, members...).Result()
		if err == nil {
			p.totals.same += int64(len(members)) - added
		}
		return p.tally(messages, func(int) error { return err }), err
	case kindStream, kindPubSub: // below
	default:
		return messages, fmt.Errorf("%w: this publisher does not know how to send to a queue of type %q: report it as a fault", errPermanent, to.kind)
	}
	commands := make([]redis.Cmder, len(messages))
	_, err = p.pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, m := range messages {
			if to.kind == kindPubSub {
				commands[i] = pipe.Publish(ctx, to.key, m.payload)
				continue
			}
			commands[i] = pipe.XAdd(ctx, &redis.XAddArgs{
				Stream: to.key, MaxLen: p.maxLength, Approx: p.maxLength > 0, Values: append([]any{payloadField, m.payload}, m.fields...),
			})
		}
		return nil
	})
	return p.tally(messages, func(i int) error { return commands[i].Err() }), err
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
func (p *publisher) tally(messages []message, outcome func(i int) error) (unsent []message) {
	for i, m := range messages {
		err := outcome(i)
		switch {
		case err == nil:
			p.totals.sent++
			m.ended(nil)
		case connection.MayHaveHappened(err):
			p.totals.unknown++
			m.ended(err)
		default:
			unsent = append(unsent, m)
		}
	}
	return unsent
}

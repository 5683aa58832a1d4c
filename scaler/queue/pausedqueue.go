package queue

import (
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// pausedQueue tells whether what waits is runnable: by EXISTS of a key, HEXISTS of a hash's field, or SMEMBERS of a set.
type pausedQueue struct {
	key     framework.Key
	command redis.Cmder
	paused  func() (bool, error) // by the reply
}

// newPausedQueue is nil where it is not known what such a key says.
func newPausedQueue(q Queue, key framework.Key, name string) *pausedQueue {
	p := &pausedQueue{key: key}
	switch key.Holds {
	case framework.String:
		exists := number("exists", name)
		p.command, p.paused = exists, func() (bool, error) { count, err := countOf(exists); return count > 0, err }
	case framework.Hash:
		field := keyed(redis.NewBoolCmd(unbound, "hexists", name, key.Field), 1)
		p.command, p.paused = field, field.Result
	case framework.Set:
		members := keyed(redis.NewStringSliceCmd(unbound, "smembers", name), 1)
		p.command, p.paused = members, func() (bool, error) {
			names, err := members.Result()
			return slices.Contains(names, q.Key), err
		}
	case framework.List, framework.SortedSet: // no framework does so
		return nil
	}
	return p
}

func (p *pausedQueue) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	p.command.SetErr(errNoReply) // as fresh does
	return append(commands, p.command)
}

func (p *pausedQueue) add(depth *presetDepth, replies *replies, _ round) bool {
	paused, err := p.paused()
	if !p.key.Optional || !absent(err) {
		replies.failed(p.command, p.key.Holds, err)
	}
	depth.paused = err == nil && paused || depth.paused
	return true
}

// absent tells of an optional key's error that it is as if there were no such key.
func absent(err error) bool {
	return wrongType(err) || err != nil && redis.HasErrorPrefix(err, "NOPERM")
}

package queue

import (
	"github.com/redis/go-redis/v9"
)

// consumed is a kindReader of a queue whose work in flight is with consumers who are named
// in a key of their own: askConsumers, or a question shared with others, follows ask.
type consumed interface {
	kindReader
	// question is nil where there can be no consumers.
	question(q *Queue) *question
	// askConsumers appends the commands that tell who the consumers are.
	askConsumers(commands []redis.Cmder, q *Queue) []redis.Cmder
}

// question is what is known of whether a list has consumers.
type question struct {
	keys []any // as arguments of a command, once they were needed
	// shared is this round's question whether any of several lists has consumers; nil
	// where this queue is asked alone.
	shared *redis.IntCmd
	// named is set where the answer was yes: this queue is asked alone, and tells.
	named bool
	// apart is set on a server that takes no question about keys of several slots.
	apart bool
}

// keysOf are the keys of which a list has one at least that has consumers, as arguments of a
// command: ConsumersKey first.
func (c *question) keysOf(q *Queue) []any {
	if c.keys == nil {
		c.keys = []any{ConsumersKey(q.Key), NextKey(q.Key), TakenKey(q.Key)}
	}
	return c.keys
}

// read reads the answer whether a queue whose consumers are not known has any. Where
// certain is false, it must be asked alone in another round.
func (c *question) read(alone *redis.IntCmd) (named, certain bool, err error) {
	command := alone
	if c.shared != nil {
		command = c.shared
	}
	count, err := countOf(command)
	if err != nil && c.shared != nil && redis.HasErrorPrefix(err, "CROSSSLOT") {
		c.apart = true
		return false, false, nil
	}
	if err != nil && c.shared != nil && redis.HasErrorPrefix(err, "TRYAGAIN") {
		c.named = true // the keys are on two nodes while their slot moves: each is asked for alone
		return false, false, nil
	}
	if err != nil {
		return false, true, err
	}
	c.named = count > 0
	return c.named, c.shared == nil || count == 0, nil
}

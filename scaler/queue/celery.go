package queue

import (
	"github.com/redis/go-redis/v9"
)

// celeryUnacked is the hash of the tasks that workers hold, of all queues of the database:
// what they fetched ahead, and what has a countdown or an eta, too.
const celeryUnacked = "unacked"

// celeryPriorities is what kombu appends to a queue's name for each step of priority
// (kombu, transport/redis.py: sep, and priority_steps 0, 3, 6 and 9, the first without).
var celeryPriorities = [...]string{"", "\x06\x163", "\x06\x166", "\x06\x169"}

// celeryReader reads one queue of Celery: a list for each step of priority.
type celeryReader struct {
	lengths [len(celeryPriorities)]*redis.IntCmd
}

func newCeleryReader(q Queue) *celeryReader {
	c := &celeryReader{}
	for i, suffix := range celeryPriorities {
		c.lengths[i] = number("llen", q.Prefix+q.Key+suffix)
	}
	return c
}

func (c *celeryReader) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	for _, length := range c.lengths {
		commands = append(commands, fresh(length))
	}
	return commands
}

func (c *celeryReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	depth := Depth{Kind: Celery, Added: -1}
	for _, length := range c.lengths {
		depth.Ready = Sum(depth.Ready, replies.number(length, List))
	}
	if r.queue.Age {
		replies.failed(nil, List, &AgeUnknownError{Key: r.queue.Key, Kind: Celery})
	}
	return replies.result(depth, true)
}

// celerySharedReader reads how many tasks Celery's workers hold.
type celerySharedReader struct {
	unacked *redis.IntCmd
}

func newCelerySharedReader(q Queue) *celerySharedReader {
	return &celerySharedReader{unacked: number("hlen", q.Prefix+celeryUnacked)}
}

func (c *celerySharedReader) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	return append(commands, fresh(c.unacked))
}

func (c *celerySharedReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	depth := Depth{Kind: CeleryShared, InFlight: replies.number(c.unacked, hash), Added: -1}
	return replies.result(depth, true)
}

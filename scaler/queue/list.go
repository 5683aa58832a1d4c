package queue

import (
	"github.com/redis/go-redis/v9"
)

// listReader reads LLEN of a list, and of what each of its consumers holds.
type listReader struct {
	length    *redis.IntCmd
	names     *redis.StringSliceCmd // the consumers'; used where there are any
	consumers []consumer            // as known from the round before
}

// consumer is a consumer of a list, and the length of what it holds.
type consumer struct {
	name string
	held *redis.IntCmd
}

// What waits is asked for first, then who consumes and what they hold. So a message that
// a worker takes meanwhile is counted twice rather than not at all: missing one could read
// as an idle queue and let its worker be stopped.
func (l *listReader) ask(commands []redis.Cmder, key string) []redis.Cmder {
	if l.length == nil {
		l.length = redis.NewIntCmd(unbound, "llen", key)
	}
	return append(commands, fresh(l.length))
}

func (l *listReader) askConsumers(commands []redis.Cmder, key string, consumersKey any) []redis.Cmder {
	if l.names == nil {
		l.names = redis.NewStringSliceCmd(unbound, "zrange", consumersKey, 0, -1)
	}
	commands = append(commands, fresh(l.names))
	for i := range l.consumers {
		c := &l.consumers[i]
		if c.held == nil {
			c.held = redis.NewIntCmd(unbound, "llen", ProcessingKey(key, c.name))
		}
		commands = append(commands, fresh(c.held))
	}
	return commands
}

func (l *listReader) answer(last bool) (Depth, bool, error) {
	depth := Depth{Kind: List, Added: -1}
	var err error
	if depth.Ready, err = l.length.Result(); err != nil {
		return Depth{}, true, err
	}
	names, err := l.names.Result()
	if err != nil {
		return Depth{}, true, err
	}
	for _, c := range l.consumers {
		held, err := c.held.Result()
		if err != nil {
			return Depth{}, true, err
		}
		depth.InFlight += held
	}
	if l.know(names) {
		return depth, true, nil
	}
	// Ask once more, with the consumers that there are now. Where they never stop
	// changing, those that came last are left out.
	depth.LowerBound = true
	return depth, last, nil
}

// know tells whether the consumers are still those of that name, and else takes them over.
func (l *listReader) know(names []string) bool {
	same := len(names) == len(l.consumers)
	for i := 0; same && i < len(names); i++ {
		same = names[i] == l.consumers[i].name
	}
	if same {
		return true
	}
	l.consumers = make([]consumer, len(names))
	for i, name := range names {
		l.consumers[i].name = name
	}
	return false
}

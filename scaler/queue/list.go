package queue

import (
	"github.com/redis/go-redis/v9"
)

// listReader reads LLEN of a list, and what its consumers hold: those of cmd/subscriber
// together, others each in a list of its own.
type listReader struct {
	consumers question
	length    *redis.IntCmd
	taken     takenMessages
	names     *redis.StringSliceCmd // the consumers'; used where there are any
	known     []consumer            // as of the round before
	arrivals  *arrivals             // nil: it has had no consumers
}

// consumer is a consumer of a list, and the length of what it holds.
type consumer struct {
	name string
	held *redis.IntCmd
}

func (l *listReader) question(*Queue) *question { return &l.consumers }

// What waits is asked for first, then who consumes and what they hold. So a message that
// a worker takes meanwhile is counted twice rather than not at all: missing one could read
// as an idle queue and let its worker be stopped.
func (l *listReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if l.length == nil {
		l.length = number("llen", r.queue.Key)
	}
	return append(commands, fresh(l.length))
}

func (l *listReader) askConsumers(commands []redis.Cmder, q *Queue) []redis.Cmder {
	if l.names == nil {
		l.names = keyed(redis.NewStringSliceCmd(unbound, "zrange", l.consumers.keysOf(q)[0], 0, -1), 1)
	}
	commands = append(l.taken.ask(commands, q), fresh(l.names))
	for i := range l.known {
		c := &l.known[i]
		if c.held == nil {
			c.held = number("llen", ProcessingKey(q.Key, c.name))
		}
		commands = append(commands, fresh(c.held))
	}
	if len(l.known) > 0 {
		if l.arrivals == nil {
			l.arrivals = newArrivals(q)
		}
		commands = append(commands, fresh(l.arrivals.command), fresh(l.arrivals.done), fresh(l.arrivals.spare))
	}
	return commands
}

func (l *listReader) answer(r round) (Depth, bool, error) {
	depth := Depth{Kind: List, Added: -1}
	var err error
	if depth.Ready, err = countOf(l.length); err != nil {
		return Depth{}, true, err
	}
	if r.queue.Age {
		return Depth{}, true, &AgeUnknownError{Key: r.queue.Key, Kind: List}
	}
	var done bool
	if l.consumers.shared != nil {
		_, done, err = l.consumers.read(nil)
	} else {
		var waiting int64
		waiting, depth.InFlight, done, err = l.held()
		depth.Ready = Sum(depth.Ready, waiting)
		l.consumers.named = err == nil && (!done || len(l.known) > 0)
	}
	if err != nil {
		return Depth{}, true, err
	}
	// Where consumers never stop changing, those that came last are left out.
	depth.LowerBound = !done
	depth.Consumed = l.consumers.shared == nil && len(l.known) > 0
	if l.arrivals != nil {
		depth.Added = l.arrivals.added(depth)
		depth.WorkInPlace = depth.Consumed && l.arrivals.inPlace > 0
	}
	return depth, done || r.last, nil
}

// held is what consumers have taken that waits for another delivery, and what they hold. Where
// it is not complete, there are others now, and they must be asked in another round.
func (l *listReader) held() (waiting, held int64, complete bool, err error) {
	names, err := l.names.Result()
	if err != nil {
		return 0, 0, true, err
	}
	if waiting, held, err = l.taken.answer(); err != nil {
		return 0, 0, true, err
	}
	for _, c := range l.known {
		length, err := countOf(c.held)
		if err != nil {
			return 0, 0, true, err
		}
		held = Sum(held, length)
	}
	if len(l.known) > 0 {
		if err = l.arrivals.count(); err != nil {
			return 0, 0, true, err
		}
	}
	return waiting, held, l.know(names), nil
}

// know tells whether the consumers are still those of that name, and else takes them over.
func (l *listReader) know(names []string) bool {
	same := len(names) == len(l.known)
	for i := 0; same && i < len(names); i++ {
		same = names[i] == l.known[i].name
	}
	if same {
		return true
	}
	l.known = make([]consumer, len(names))
	for i, name := range names {
		l.known[i].name = name
	}
	return false
}

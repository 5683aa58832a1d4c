package queue

import (
	"github.com/redis/go-redis/v9"
)

// listReader reads LLEN of a list, and of what each of its consumers holds.
type listReader struct {
	consumers question
	length    *redis.IntCmd
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
		l.names = keyed(redis.NewStringSliceCmd(unbound, "zrange", l.consumers.keyOf(q), 0, -1), 1)
	}
	commands = append(commands, fresh(l.names))
	for i := range l.known {
		c := &l.known[i]
		if c.held == nil {
			c.held = number("llen", ProcessingKey(q.Key, c.name))
		}
		commands = append(commands, fresh(c.held))
	}
	if len(l.known) > 0 {
		if l.arrivals == nil {
			l.arrivals = &arrivals{command: text("get", FinishedKey(q.Key)), finished: -1, highest: -1}
		}
		commands = append(commands, fresh(l.arrivals.command))
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
		depth.InFlight, done, err = l.held()
		l.consumers.named = err == nil && (!done || len(l.known) > 0)
	}
	if err != nil {
		return Depth{}, true, err
	}
	// Where consumers never stop changing, those that came last are left out.
	depth.LowerBound = !done
	if l.arrivals != nil {
		depth.Added = l.arrivals.added(depth)
	}
	return depth, done || r.last, nil
}

// held is what the known consumers hold. Where it is not complete, there are others now,
// and they must be asked in another round.
func (l *listReader) held() (held int64, complete bool, err error) {
	names, err := l.names.Result()
	if err != nil {
		return 0, true, err
	}
	for _, c := range l.known {
		length, err := countOf(c.held)
		if err != nil {
			return 0, true, err
		}
		held = Sum(held, length)
	}
	if len(l.known) > 0 {
		if l.arrivals.finished, err = counted(l.arrivals.command); wrongType(err) {
			l.arrivals.finished = -1 // it is something else that bears this name
		} else if err != nil {
			return 0, true, err
		}
	}
	return held, l.know(names), nil
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

// arrivals counts what ever came to a list whose consumers count what they have finished.
// While there are no consumers nothing is finished, so the last count is good until some
// come: it was asked for after the names of those who left.
type arrivals struct {
	command  *redis.StringCmd // GET of FinishedKey
	finished int64            // -1: they don't count
	highest  int64            // that was told; -1: none was
}

// movingMessages is how many messages may be counted twice because they moved between the
// commands of one read. A count that falls by more is that of a list that was emptied.
const movingMessages = 64

// added is how many messages ever came. A read is not atomic: where the next one finds a
// few messages less, the count stands still instead of falling.
func (a *arrivals) added(depth Depth) int64 {
	if a.finished < 0 {
		a.highest = -1
		return -1
	}
	added := Sum(depth.Total(), a.finished)
	if depth.LowerBound || added < a.highest && a.highest-added <= movingMessages {
		return a.highest
	}
	a.highest = added
	return added
}

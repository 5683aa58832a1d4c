package queue

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// bullMQClock is that of BullMQ's delayed jobs, and of Bull's: milliseconds × 4096, and a
// counter below (BullMQ, src/commands/includes/getDelayedScore.lua).
var bullMQClock = clock{
	score: func(now time.Time) string { return strconv.FormatInt((now.UnixMilli()+1)<<12-1, 10) },
	time:  func(score float64) time.Time { return milliseconds(score / 4096) },
}

// bullMQMarker begins an element of the list wait that is no job: versions before 5 put it
// at the tail, to wake a worker when a delayed job is due.
const bullMQMarker = "0:"

// bullMQReader reads one queue of BullMQ. What is not ready runs through the keys in the
// order in which they are asked for, so a job that moves meanwhile counts twice rather
// than not at all.
type bullMQReader struct {
	delayed     due
	wait        *redis.IntCmd    // LLEN
	tail        *redis.StringCmd // its oldest job, or a marker
	prioritized *redis.IntCmd    // ZCARD
	paused      *redis.BoolCmd   // HEXISTS of the queue's meta
	active      *redis.IntCmd    // LLEN
	id          *redis.StringCmd // what counts the jobs
	age         *bullMQAge       // nil: ages are not wanted
}

// bullMQAge is what tells the age of the oldest job. Of those in prioritized it is the one
// that comes next: the oldest of the highest priority. An older one of a lower priority
// could be found only by looking at all.
type bullMQAge struct {
	job   jobTime
	next  *redis.StringSliceCmd // ZRANGE of prioritized
	first jobTime               // of prioritized
	// before is the element before the tail, where that was a marker.
	before *redis.StringCmd
	marked bool
}

// bullMQKeys is what precedes the names of a queue's keys.
func bullMQKeys(q Queue) string {
	prefix := q.Prefix
	if prefix == "" {
		prefix = "bull"
	}
	return prefix + ":" + q.Key + ":"
}

func newBullMQReader(q Queue) *bullMQReader {
	keys := bullMQKeys(q)
	b := &bullMQReader{
		delayed:     newDue(keys+"delayed", bullMQClock, q.Age),
		wait:        number("llen", keys+"wait"),
		tail:        text("lindex", keys+"wait", -1),
		prioritized: number("zcard", keys+"prioritized"),
		paused:      keyed(redis.NewBoolCmd(unbound, "hexists", keys+"meta", "paused"), 1),
		active:      number("llen", keys+"active"),
		id:          text("get", keys+"id"),
	}
	if q.Age {
		job := jobTime{hash: keys, field: "timestamp", read: readUnix(time.Millisecond)}
		b.age = &bullMQAge{
			job:    job,
			next:   keyed(redis.NewStringSliceCmd(unbound, "zrange", keys+"prioritized", 0, 0), 1),
			first:  job,
			before: text("lindex", keys+"wait", -2),
		}
	}
	return b
}

func (b *bullMQReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	commands = b.delayed.ask(commands, r.now)
	commands = append(commands, fresh(b.wait), fresh(b.tail), fresh(b.prioritized), fresh(b.paused), fresh(b.active), fresh(b.id))
	if b.age == nil {
		return commands
	}
	commands = append(commands, fresh(b.age.next))
	if b.age.marked {
		commands = append(commands, fresh(b.age.before))
	}
	return b.age.first.ask(b.age.job.ask(commands))
}

func (b *bullMQReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	depth := Depth{Kind: BullMQ}
	depth.Ready, depth.Oldest = replies.due(&b.delayed, r.now)
	waiting, oldest := replies.number(b.wait, List), replies.element(b.tail)
	marked := strings.HasPrefix(oldest, bullMQMarker)
	if marked {
		waiting = max(0, waiting-1)
	}
	depth.Ready = Sum(depth.Ready, waiting, replies.number(b.prioritized, SortedSet))
	paused, err := b.paused.Result()
	replies.failed(b.paused, hash, err)
	depth.InFlight = replies.number(b.active, List)
	depth.Added, err = counted(b.id)
	replies.failed(b.id, stringOf, err)
	if errors.Is(b.id.Err(), redis.Nil) && depth.Total() == 0 {
		depth.Added = 0 // the first job will make the counter
	}
	done := true
	if b.age != nil {
		done = b.age.add(&depth, oldest, marked, &replies, r)
	}
	if paused { // what waits is not runnable
		depth.Ready, depth.Oldest = 0, time.Time{}
	}
	return replies.result(depth, done)
}

// add adds when the oldest job came. Where it returns false, another round must tell.
func (a *bullMQAge) add(depth *Depth, oldest string, marked bool, replies *replies, r round) (done bool) {
	next, err := a.next.Result()
	replies.failed(a.next, SortedSet, err)
	if len(next) == 0 {
		next = []string{""}
	}
	known := a.first.add(depth, next[0], replies, r)
	if marked {
		if !a.marked {
			a.marked = true
			return r.last
		}
		oldest = replies.element(a.before)
	}
	a.marked = marked
	return a.job.add(depth, oldest, replies, r) && known
}

package queue

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// asynqReader reads one queue of Asynq (hibiken/asynq, internal/base/base.go). Tasks that
// are completed or archived are none that wait, nor are those of a group that is not
// complete.
type asynqReader struct {
	scheduled due
	retry     due
	pending   *redis.IntCmd // LLEN
	paused    *redis.IntCmd // EXISTS
	active    *redis.IntCmd // LLEN
	oldest    *redis.StringCmd
	job       *jobTime // nil, as is oldest: ages are not wanted
}

// asynqKeys is what precedes the names of a queue's keys. The braces are Asynq's own: they
// keep a queue on one node of a cluster.
func asynqKeys(q Queue) string { return "asynq:{" + q.Key + "}:" }

func newAsynqReader(q Queue) *asynqReader {
	keys := asynqKeys(q)
	a := &asynqReader{
		scheduled: newDue(keys+"scheduled", secondsClock, q.Age),
		retry:     newDue(keys+"retry", secondsClock, q.Age),
		pending:   number("llen", keys+"pending"),
		paused:    number("exists", keys+"paused"),
		active:    number("llen", keys+"active"),
	}
	if q.Age {
		a.oldest = text("lindex", keys+"pending", -1)
		a.job = &jobTime{hash: keys + "t:", field: "pending_since", read: readUnix(time.Nanosecond)}
	}
	return a
}

// ask has the keys in the order in which a task runs through them.
func (a *asynqReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	commands = a.scheduled.ask(commands, r.now)
	commands = a.retry.ask(commands, r.now)
	commands = append(commands, fresh(a.pending), fresh(a.paused), fresh(a.active))
	if a.job == nil {
		return commands
	}
	return a.job.ask(append(commands, fresh(a.oldest)))
}

func (a *asynqReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	scheduled, since := replies.due(&a.scheduled, r.now)
	retried, retriedSince := replies.due(&a.retry, r.now)
	depth := Depth{Kind: Asynq, Added: -1, Oldest: earlier(since, retriedSince)}
	depth.Ready = Sum(scheduled, retried, replies.number(a.pending, List))
	paused := replies.number(a.paused, stringOf) > 0
	depth.InFlight = replies.number(a.active, List)
	done := true
	if a.job != nil {
		done = a.job.add(&depth, replies.element(a.oldest), &replies, r)
	}
	if paused { // what waits is not runnable
		depth.Ready, depth.Oldest = 0, time.Time{}
	}
	return replies.result(depth, done)
}

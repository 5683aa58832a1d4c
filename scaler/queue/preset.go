package queue

import (
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// frameworks is the presets' own names. Other kinds are no framework's (TestEveryKindIsKnown).
//
//exhaustive:ignore
var frameworks = map[Kind]string{
	Sidekiq: "Sidekiq", SidekiqShared: "Sidekiq", Celery: "Celery", CeleryShared: "Celery",
	BullMQ: "BullMQ", Asynq: "Asynq", RQ: "RQ",
}

// OfPreset is the queues that a preset's names come to: one each, and what the framework
// keeps for all queues together once, after them. prefix is the Queue's Prefix; age tells
// whether the age of the oldest waiting job is wanted (Celery records none).
func OfPreset(preset Kind, prefix string, names []string, age bool) []Queue {
	queues := make([]Queue, 0, len(names)+1)
	for _, name := range names {
		queues = append(queues, Queue{Key: name, Kind: preset, Prefix: prefix, Age: age})
	}
	shared := Queue{Key: strings.Join(names, ","), Prefix: prefix}
	switch preset {
	case Sidekiq:
		shared.Kind, shared.Age = SidekiqShared, age
		queues = append(queues, shared)
	case Celery:
		shared.Kind = CeleryShared
		queues = append(queues, shared)
	case BullMQ, Asynq, RQ: // they keep each queue's jobs apart
	case Auto, None, List, Stream, SortedSet, PubSub, SidekiqShared, CeleryShared: // no presets
	}
	return queues
}

// IsShared tells whether this is what a framework keeps for all queues together.
func (q Queue) IsShared() bool { return q.Kind == SidekiqShared || q.Kind == CeleryShared }

// RoutingKey is a key of the queue, by which the node of a cluster can be told that it is on:
// the key itself, or one of a preset's.
func (q Queue) RoutingKey() string {
	switch q.Kind {
	case Sidekiq:
		return sidekiqPrefix(q.Prefix) + "queue:" + q.Key
	case SidekiqShared:
		return sidekiqPrefix(q.Prefix) + "schedule"
	case Celery:
		return q.Prefix + q.Key
	case CeleryShared:
		return q.Prefix + celeryUnacked
	case BullMQ:
		return bullMQKeys(q) + "wait"
	case Asynq:
		return asynqKeys(q) + "pending"
	case RQ:
		return rqQueue + q.Key
	case Auto, None, List, Stream, SortedSet, PubSub:
	}
	return q.Key
}

// replies reads what a preset's commands came to, and keeps the first error.
type replies struct {
	queue *Queue
	err   error
}

// number is the reply to a command about a key of that type.
func (r *replies) number(command *redis.IntCmd, holds Kind) int64 {
	count, err := countOf(command)
	r.failed(command, holds, err)
	return count
}

// failed keeps the error of a command about a key of that type, if it is one.
func (r *replies) failed(command redis.Cmder, holds Kind, err error) {
	if err == nil || r.err != nil {
		return
	}
	if wrongType(err) {
		key, _ := command.Args()[1].(string)
		err = &WrongTypeError{Key: key, Want: holds, Preset: r.queue.Kind}
	}
	r.err = err
}

// due is how many members of a sorted set are due, and since when the first of them.
func (r *replies) due(d *due, now time.Time) (count int64, since time.Time) {
	count = r.number(d.count, SortedSet)
	since, known, err := d.since(now)
	if err == nil && !known {
		err = &AgeUnknownError{Key: r.queue.Key, Kind: r.queue.Kind}
	}
	r.failed(d.count, SortedSet, err)
	return count, since
}

// came is the depth with the time at which its oldest job came; zero is none.
func (r *replies) came(depth *Depth, at, now time.Time) {
	if at.IsZero() {
		return
	}
	if !plausible(at, now) {
		r.failed(nil, "", &AgeUnknownError{Key: r.queue.Key, Kind: r.queue.Kind})
		return
	}
	depth.Oldest = earlier(depth.Oldest, at)
}

// result ends a round.
func (r *replies) result(depth Depth, done bool) (Depth, bool, error) {
	if r.err != nil {
		return Depth{}, true, r.err
	}
	return depth, done, nil
}

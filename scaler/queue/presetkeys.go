package queue

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// newKeyReader is nil where it is not known how to read what the key counts.
func newKeyReader(q Queue, f framework.Framework, key framework.Key) keyReader {
	name := f.Render(key.Name, q.Prefix, q.Key)
	switch key.Counts {
	case framework.Waiting:
		return newWaitingJobs(q, f, key)
	case framework.Due:
		return &dueJobs{due: newDue(name, key.Clock, q.Age)}
	case framework.Held:
		if key.Owner != nil && q.Options.InFlight == framework.InFlightOfQueues {
			return newOwnedJobs(q, f, key)
		}
		if length := lengthOf(key.Holds, name); length != nil {
			return &heldJobs{count: length, holds: key.Holds}
		}
	case framework.Reserved:
		return &reservedJobs{count: number("zcount", name, "", "+inf"), clock: key.Clock}
	case framework.Paused:
		if paused := newPausedQueue(q, key, name); paused != nil {
			return paused
		}
	case framework.Limited:
		return newLimitedQueue(key, name)
	case framework.Added:
		return &addedJobs{counter: text("get", name)}
	case framework.Orphans:
		return newOrphans(q, f, key)
	case framework.Processes:
		return newProcesses(q, f, key)
	}
	return nil
}

// lengthOf is the command that counts what a key of that type holds; nil where there is none.
func lengthOf(holds framework.Type, key string) *redis.IntCmd {
	switch holds {
	case framework.List:
		return number("llen", key)
	case framework.SortedSet:
		return number("zcard", key)
	case framework.Hash:
		return number("hlen", key)
	case framework.Set, framework.String: // no framework keeps jobs in one
	}
	return nil
}

// dueJobs is a sorted set with the time from which on each job may run.
type dueJobs struct{ due due }

func (d *dueJobs) ask(commands []redis.Cmder, r round) []redis.Cmder {
	return d.due.ask(commands, r.now)
}

func (d *dueJobs) add(depth *presetDepth, replies *replies, r round) bool {
	depth.Ready = Sum(depth.Ready, replies.number(d.due.count, framework.SortedSet))
	since, known, err := d.due.since(r.now)
	if err == nil && !known {
		err = &AgeUnknownError{Key: r.queue.Key, Kind: r.queue.Kind}
	}
	replies.failed(d.due.count, framework.SortedSet, err)
	depth.Oldest = earlier(depth.Oldest, since)
	return true
}

// heldJobs is a list or a hash of jobs in work.
type heldJobs struct {
	count *redis.IntCmd // LLEN or HLEN
	holds framework.Type
}

func (h *heldJobs) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	return append(commands, fresh(h.count))
}

func (h *heldJobs) add(depth *presetDepth, replies *replies, _ round) bool {
	count := replies.number(h.count, h.holds)
	depth.InFlight, depth.held = Sum(depth.InFlight, count), depth.held || count > 0
	return true
}

// reservedJobs is a sorted set of jobs in work, with the time until which each is.
type reservedJobs struct {
	count *redis.IntCmd // ZCOUNT
	clock framework.Clock
}

func (h *reservedJobs) ask(commands []redis.Cmder, r round) []redis.Cmder {
	h.count.Args()[2] = "(" + h.clock.Latest(r.now) // what ends now is due
	return append(commands, fresh(h.count))
}

func (h *reservedJobs) add(depth *presetDepth, replies *replies, _ round) bool {
	depth.InFlight = Sum(depth.InFlight, replies.number(h.count, framework.SortedSet))
	return true
}

// addedJobs is what counts the jobs that were ever added.
type addedJobs struct{ counter *redis.StringCmd }

func (a *addedJobs) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	return append(commands, fresh(a.counter))
}

func (a *addedJobs) add(depth *presetDepth, replies *replies, _ round) bool {
	added, err := counted(a.counter)
	replies.failed(a.counter, framework.String, err)
	depth.Added, depth.noCounter = added, errors.Is(a.counter.Err(), redis.Nil)
	return true
}

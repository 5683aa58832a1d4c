package queue

import (
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// waitingJobs is a list or a sorted set of jobs that wait.
type waitingJobs struct {
	holds  framework.Type
	length *redis.IntCmd // LLEN or ZCARD
	marker string        // begins a tail that is no job
	// The oldest job, or a marker. Both nil: neither age nor marker is asked for.
	element *redis.StringCmd      // LINDEX
	member  *redis.StringSliceCmd // ZRANGE
	age     *jobAge               // nil: ages are not wanted, or not known
}

// jobAge is what tells the age of the oldest job of a key.
type jobAge struct {
	job  *jobTime           // nil: the element is the job
	key  string             // that holds such elements
	read framework.ReadTime // of one
	// before is the element before the tail, where that was a marker.
	before *redis.StringCmd
	marked bool
}

// newWaitingJobs is nil where no command counts what the key holds.
func newWaitingJobs(q Queue, f framework.Framework, key framework.Key) keyReader {
	name := f.Render(key.Name, q.Prefix, q.Key)
	w := &waitingJobs{holds: key.Holds, length: lengthOf(key.Holds, name), marker: key.Marker}
	if w.length == nil {
		return nil
	}
	at := -1 // where the marker is
	if q.Age && key.Oldest != nil {
		at = key.Oldest.At
		w.age = &jobAge{key: name, read: key.Oldest.Read, before: text("lindex", name, -2)}
		if key.Oldest.Hash != "" {
			w.age.job = &jobTime{hash: f.Render(key.Oldest.Hash, q.Prefix, q.Key), field: key.Oldest.Field, read: key.Oldest.Read}
		}
	}
	switch {
	case w.age == nil && w.marker == "":
	case key.Holds == framework.List:
		w.element = text("lindex", name, at)
	default:
		w.member = keyed(redis.NewStringSliceCmd(unbound, "zrange", name, at, at), 1)
	}
	return w
}

func (w *waitingJobs) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	commands = append(commands, fresh(w.length))
	if w.element != nil {
		commands = append(commands, fresh(w.element))
	}
	if w.member != nil {
		commands = append(commands, fresh(w.member))
	}
	if w.age == nil {
		return commands
	}
	if w.age.marked {
		commands = append(commands, fresh(w.age.before))
	}
	if w.age.job == nil {
		return commands
	}
	return w.age.job.ask(commands)
}

func (w *waitingJobs) add(depth *presetDepth, replies *replies, r round) (done bool) {
	waiting, oldest := replies.number(w.length, w.holds), w.oldest(replies)
	marked := w.marker != "" && strings.HasPrefix(oldest, w.marker)
	if marked {
		waiting = max(0, waiting-1)
	}
	depth.Ready = Sum(depth.Ready, waiting)
	if w.age == nil {
		return true
	}
	if w.age.job == nil && w.element != nil {
		w.element.SetVal("") // it is a whole job
	}
	return w.age.add(&depth.Depth, oldest, marked, replies, r)
}

// oldest is the element that is looked at; empty where there is none, or nobody asks.
func (w *waitingJobs) oldest(replies *replies) string {
	switch {
	case w.element != nil:
		return replies.element(w.element)
	case w.member != nil:
		members, err := w.member.Result()
		replies.failed(w.member, w.holds, err)
		if len(members) > 0 {
			return members[0]
		}
	}
	return ""
}

// add adds when the oldest job came. Where it returns false, another round must tell.
func (a *jobAge) add(depth *Depth, oldest string, marked bool, replies *replies, r round) (done bool) {
	if marked {
		if !a.marked {
			a.marked = true
			return r.last
		}
		oldest = replies.element(a.before)
	}
	a.marked = marked
	if a.job != nil {
		return a.job.add(depth, oldest, replies, r)
	}
	if oldest == "" {
		return true
	}
	came, err := a.read(oldest)
	if err != nil {
		err = &ReplyError{Command: "the oldest of " + a.key, Err: err}
	}
	replies.failed(nil, "", err)
	replies.came(depth, came, r.now)
	return true
}

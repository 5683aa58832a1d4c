// Package frameworktest is for tests: what a server holds while a job framework is at work, by its
// documented layout, and the depth that this comes to. One example for each framework serves the
// tests of every room.
package frameworktest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// Example is queues of a framework. In each of them something waits, and there is what a naive
// reading gets wrong: work in flight, what is not due yet, markers, priorities, what is done.
type Example struct {
	// Queues is the queues' names. Where a cluster is possible, they put a queue on one node.
	Queues []string
	// Commands fill a server.
	Commands [][]any
	// List is the key of which the length alone would be taken for the depth.
	List string
	// Ready and InFlight are the depth of all together, in jobs.
	Ready, InFlight int64
}

// Of is the example of a framework, with times that count from now.
func Of(t testing.TB, f framework.Framework, now time.Time) Example {
	t.Helper()
	example, ok := examples[f.Name]
	require.True(t, ok, "%s has no example: add what a server holds of it to the table in examples.go", f.Name)
	return example(moment(now))
}

// Prefixed is the commands with a prefix before each key, for a framework whose own is empty.
func (e Example) Prefixed(prefix string) [][]any {
	commands := make([][]any, len(e.Commands))
	for i, words := range e.Commands {
		commands[i] = slices.Clone(words)
		commands[i][1] = fmt.Sprint(prefix, words[1])
	}
	return commands
}

// examples has a row for each framework.
var examples = map[string]func(moment) Example{
	"Sidekiq":  sidekiq,
	"Celery":   celery,
	"BullMQ":   bullMQ,
	"Asynq":    asynq,
	"RQ":       rq,
	"Laravel":  laravel,
	"Bull":     bull,
	"BeeQueue": beeQueue,
	"Arq":      arq,
}

// moment is the time of an example.
type moment time.Time

func (m moment) in(d time.Duration) time.Time { return time.Time(m).Add(d) }

// seconds is a score, so long from now.
func (m moment) seconds(in time.Duration) string { return strconv.FormatInt(m.in(in).Unix(), 10) }

func sidekiq(now moment) Example {
	job := func(queue string) string {
		return fmt.Sprintf(`{"class":"Mail","args":[],"queue":%q,"jid":"1","created_at":1,"enqueued_at":%s}`, queue, now.seconds(-time.Minute))
	}
	return Example{
		Queues: []string{"default", "mailers"}, List: "queue:default", Ready: 6, InFlight: 2,
		Commands: [][]any{
			{"SADD", "queues", "default", "mailers"},
			{"LPUSH", "queue:default", job("default"), job("default")},
			{"LPUSH", "queue:mailers", job("mailers")},
			{"ZADD", "schedule", now.seconds(-time.Minute), job("default"), now.seconds(time.Hour), job("mailers")},
			{"ZADD", "retry", now.seconds(-time.Minute), job("mailers")},
			{"ZADD", "dead", now.seconds(-time.Minute), job("mailers")},
			{"SADD", "processes", "host:1:a", "host:2:b", "host:3:gone"},
			{"HSET", "host:1:a", "info", `{"queues":["default"]}`, "busy", "2"},
			{"HSET", "host:2:b", "info", `{"queues":["another"]}`, "busy", "4"},
			{"SADD", "paused", "another"},
			{"SADD", "super_processes", "host:1:a", "host:3:gone"},
			{"LPUSH", "queue:sq|host:1:a|default", job("default"), job("default")},
			{"LPUSH", "queue:sq|host:3:gone|mailers", job("mailers")},
		},
	}
}

func celery(now moment) Example {
	return Example{
		Queues: []string{"celery"}, List: "celery", Ready: 5, InFlight: 2,
		Commands: [][]any{
			{"LPUSH", "celery", "{}", "{}"},
			{"LPUSH", "celery\x06\x163", "{}"}, {"LPUSH", "celery\x06\x166", "{}"}, {"LPUSH", "celery\x06\x169", "{}"},
			{"HSET", "unacked", "tag-1", "[]", "tag-2", "[]"},
			{"ZADD", "unacked_index", now.seconds(0), "tag-1", now.seconds(0), "tag-2"},
		},
	}
}

func bullMQ(now moment) Example {
	score := func(in time.Duration) string { return strconv.FormatInt(now.in(in).UnixMilli()*4096, 10) }
	came := now.in(-time.Minute).UnixMilli()
	return Example{
		Queues: []string{"{mail}"}, List: "bull:{mail}:wait", Ready: 4, InFlight: 1,
		Commands: [][]any{
			{"LPUSH", "bull:{mail}:wait", "0:123", "1", "2"}, // jobs come on the left; the marker is at the tail
			{"HSET", "bull:{mail}:1", "timestamp", came}, {"HSET", "bull:{mail}:2", "timestamp", came}, {"HSET", "bull:{mail}:3", "timestamp", came},
			{"ZADD", "bull:{mail}:prioritized", "1", "3"},
			{"ZADD", "bull:{mail}:delayed", score(-time.Minute), "4", score(time.Hour), "5"},
			{"LPUSH", "bull:{mail}:active", "6"},
			{"ZADD", "bull:{mail}:completed", "1", "7"}, {"ZADD", "bull:{mail}:failed", "1", "8"},
			{"SET", "bull:{mail}:id", "8"}, {"HSET", "bull:{mail}:meta", "opts.maxLenEvents", "10000", "concurrency", "100"},
		},
	}
}

func asynq(now moment) Example {
	return Example{
		Queues: []string{"mail"}, List: "asynq:{mail}:pending", Ready: 4, InFlight: 1,
		Commands: [][]any{
			{"SADD", "asynq:queues", "mail"},
			{"LPUSH", "asynq:{mail}:pending", "1", "2"},
			{"HSET", "asynq:{mail}:t:1", "state", "pending", "pending_since", now.in(-time.Minute).UnixNano()},
			{"ZADD", "asynq:{mail}:scheduled", now.seconds(-time.Minute), "3", now.seconds(time.Hour), "4"},
			{"ZADD", "asynq:{mail}:retry", now.seconds(-time.Minute), "5"},
			{"LPUSH", "asynq:{mail}:active", "6"}, {"ZADD", "asynq:{mail}:lease", now.seconds(time.Minute), "6"},
			{"ZADD", "asynq:{mail}:completed", now.seconds(time.Hour), "7", now.seconds(time.Hour), "8"},
			{"ZADD", "asynq:{mail}:archived", now.seconds(-time.Hour), "9"},
		},
	}
}

func rq(now moment) Example {
	return Example{
		Queues: []string{"mail"}, List: "rq:queue:mail", Ready: 3, InFlight: 2,
		Commands: [][]any{
			{"SADD", "rq:queues", "rq:queue:mail"},
			{"RPUSH", "rq:queue:mail", "1", "2"},
			{"HSET", "rq:job:1", "enqueued_at", now.in(-time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z")},
			{"RPUSH", "rq:queue:mail:intermediate", "0"},
			{"ZADD", "rq:wip:mail", now.seconds(time.Minute), "3", now.seconds(-time.Minute), "4"}, // that one's worker is gone
			{"ZADD", "rq:scheduled:mail", now.seconds(-time.Minute), "5", now.seconds(time.Hour), "6"},
			{"ZADD", "rq:finished:mail", now.seconds(time.Hour), "7"}, {"ZADD", "rq:failed:mail", now.seconds(time.Hour), "8"},
		},
	}
}

func laravel(now moment) Example {
	return Example{
		Queues: []string{"{mail}"}, List: "queues:{mail}", Ready: 4, InFlight: 2,
		Commands: [][]any{
			{"RPUSH", "queues:{mail}", "{}", "{}"},
			{"RPUSH", "queues:{mail}:notify", "1", "1"},
			{"ZADD", "queues:{mail}:delayed", now.seconds(-time.Minute), "3", now.seconds(time.Hour), "4"},
			{"ZADD", "queues:{mail}:reserved", now.seconds(time.Minute), "5", now.seconds(time.Minute), "6", now.seconds(-time.Minute), "7"}, // that one's worker is gone
		},
	}
}

func bull(now moment) Example {
	score := func(in time.Duration) string { return strconv.FormatInt(now.in(in).UnixMilli()*4096, 10) }
	came := now.in(-time.Minute).UnixMilli()
	return Example{
		Queues: []string{"{jobs}"}, List: "bull:{jobs}:wait", Ready: 3, InFlight: 1,
		Commands: [][]any{
			{"LPUSH", "bull:{jobs}:wait", "1", "2"},
			{"HSET", "bull:{jobs}:1", "timestamp", came}, {"HSET", "bull:{jobs}:2", "timestamp", came},
			{"ZADD", "bull:{jobs}:priority", "5", "2"}, // which waits in the list
			{"ZADD", "bull:{jobs}:delayed", score(-time.Minute), "3", score(time.Hour), "4"},
			{"LPUSH", "bull:{jobs}:active", "5"}, {"SADD", "bull:{jobs}:stalled", "5"},
			{"ZADD", "bull:{jobs}:completed", "1", "6"}, {"ZADD", "bull:{jobs}:failed", "1", "7"},
			{"SET", "bull:{jobs}:id", "7"},
		},
	}
}

func beeQueue(now moment) Example {
	milliseconds := func(in time.Duration) int64 { return now.in(in).UnixMilli() }
	return Example{
		Queues: []string{"mail"}, List: "bq:mail:waiting", Ready: 3, InFlight: 1,
		Commands: [][]any{
			{"LPUSH", "bq:mail:waiting", "1", "2"},
			{"ZADD", "bq:mail:delayed", milliseconds(-time.Minute), "3", milliseconds(time.Hour), "4"},
			{"LPUSH", "bq:mail:active", "5"}, {"SADD", "bq:mail:stalling", "5"},
			{"SADD", "bq:mail:succeeded", "6"}, {"SADD", "bq:mail:failed", "7"},
			{"HSET", "bq:mail:jobs", "1", "{}", "2", "{}", "3", "{}", "4", "{}", "5", "{}", "6", "{}", "7", "{}"},
			{"SET", "bq:mail:id", "7"},
		},
	}
}

func arq(now moment) Example {
	milliseconds := func(in time.Duration) int64 { return now.in(in).UnixMilli() }
	return Example{
		Queues: []string{"arq:queue"}, List: "arq:queue", Ready: 2,
		Commands: [][]any{
			{"ZADD", "arq:queue", milliseconds(-time.Minute), "1", milliseconds(-time.Second), "2", milliseconds(time.Hour), "3"},
			{"SET", "arq:in-progress:1", "1"}, // and in the queue
			{"SET", "arq:result:4", "pickled"},
		},
	}
}

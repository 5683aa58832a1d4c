package queue

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// sidekiqReader reads one queue of Sidekiq: LLEN of queue:<name>, into which jobs are
// pushed on the left. The private lists in which super_fetch (Sidekiq Pro) keeps a copy of
// the jobs in work are not read: the processes' busy counts those.
type sidekiqReader struct {
	length *redis.IntCmd
	oldest *redis.StringCmd // the job itself; nil: ages are not wanted
}

// sidekiqPrefix is what precedes Sidekiq's keys in a namespace.
func sidekiqPrefix(namespace string) string {
	if namespace == "" {
		return ""
	}
	return strings.TrimSuffix(namespace, ":") + ":"
}

func newSidekiqReader(q Queue) *sidekiqReader {
	key := sidekiqPrefix(q.Prefix) + "queue:" + q.Key
	s := &sidekiqReader{length: number("llen", key)}
	if q.Age {
		s.oldest = text("lindex", key, -1)
	}
	return s
}

func (s *sidekiqReader) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	commands = append(commands, fresh(s.length))
	if s.oldest != nil {
		commands = append(commands, fresh(s.oldest))
	}
	return commands
}

func (s *sidekiqReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	depth := Depth{Kind: Sidekiq, Ready: replies.number(s.length, List), Added: -1}
	if s.oldest != nil {
		job := replies.element(s.oldest)
		s.oldest.SetVal("") // it is a whole job
		if job != "" {
			replies.came(&depth, enqueued(job), r.now)
		}
	}
	return replies.result(depth, true)
}

// sidekiqMilliseconds is the number from which on a job's enqueued_at is in milliseconds,
// as it is since Sidekiq 8: as seconds it would be some thousand years ahead.
const sidekiqMilliseconds = 1e11

// enqueued is when a job of Sidekiq was put into its queue; 1970, which is not plausible,
// where it does not say.
func enqueued(job string) time.Time {
	var fields struct {
		EnqueuedAt float64 `json:"enqueued_at"`
	}
	if json.Unmarshal([]byte(job), &fields) != nil {
		return time.UnixMilli(0)
	}
	if fields.EnqueuedAt < sidekiqMilliseconds {
		fields.EnqueuedAt *= 1000
	}
	return milliseconds(fields.EnqueuedAt)
}

package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// sidekiqSharedReader reads what Sidekiq keeps for all queues together: jobs that are due
// in schedule and retry, and how many jobs each process is at work on. Who the processes
// are, the set named processes tells; each beats every 10 seconds, and until then a job
// that it has taken is not in its busy.
type sidekiqSharedReader struct {
	prefix     string
	queues     []string // the channel's
	schedule   due
	retry      due
	identities *redis.StringSliceCmd
	known      []process // as of the round before, by identity
}

// process is a process of Sidekiq, and what its hash tells of it.
type process struct {
	identity string
	command  *redis.SliceCmd // HMGET
	info     string          // that was read into counts
	counts   bool
}

func newSidekiqSharedReader(q Queue) *sidekiqSharedReader {
	prefix := sidekiqPrefix(q.Prefix)
	return &sidekiqSharedReader{
		prefix:     prefix,
		queues:     strings.Split(q.Key, ","),
		schedule:   newDue(prefix+"schedule", secondsClock, q.Age),
		retry:      newDue(prefix+"retry", secondsClock, q.Age),
		identities: keyed(redis.NewStringSliceCmd(unbound, "smembers", prefix+"processes"), 1),
	}
}

func (s *sidekiqSharedReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	commands = s.schedule.ask(commands, r.now)
	commands = s.retry.ask(commands, r.now)
	commands = append(commands, fresh(s.identities))
	for i := range s.known {
		commands = append(commands, fresh(s.known[i].command))
	}
	return commands
}

func (s *sidekiqSharedReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	scheduled, since := replies.due(&s.schedule, r.now)
	retried, retriedSince := replies.due(&s.retry, r.now)
	identities, err := s.identities.Result()
	replies.failed(s.identities, set, err)
	depth := Depth{Kind: SidekiqShared, Ready: Sum(scheduled, retried), Added: -1, Oldest: earlier(since, retriedSince)}
	for i := range s.known {
		depth.InFlight = Sum(depth.InFlight, s.busy(&s.known[i], &replies))
	}
	if replies.err != nil {
		return replies.result(depth, true)
	}
	slices.Sort(identities)
	if s.know(identities) {
		return depth, true, nil
	}
	// Ask once more, with the processes that there are now. Where they never stop
	// changing, those that came last are left out.
	depth.LowerBound = true
	return depth, r.last, nil
}

// busy is how many jobs a process is at work on. One that ended without a farewell stays in
// the set, but its hash expires a minute after its last beat.
func (s *sidekiqSharedReader) busy(p *process, replies *replies) int64 {
	fields, err := p.command.Result()
	replies.failed(p.command, hash, err)
	if err != nil || len(fields) != 2 {
		return 0
	}
	busy, ok := fields[1].(string)
	if !ok {
		return 0 // it has expired
	}
	count, err := strconv.ParseInt(busy, 10, 64)
	switch {
	case err != nil:
		replies.failed(p.command, hash, &ReplyError{Command: "HMGET " + s.prefix + p.identity, Err: fmt.Errorf("busy is %q, not a number", busy)})
		return 0
	case count < 0:
		replies.failed(p.command, hash, notACount(p.command, count))
		return 0
	case count == 0:
		return 0
	}
	if info, _ := fields[0].(string); info != p.info || info == "" {
		p.info, p.counts = info, worksOn(info, s.queues)
	}
	if !p.counts {
		return 0
	}
	return count
}

// worksOn tells whether a process of that info (JSON) serves one of the queues. It does
// where that can't be read: work in flight is not to be missed.
func worksOn(info string, queues []string) bool {
	var process struct {
		Queues   []string `json:"queues"`
		Capsules map[string]struct {
			Weights map[string]json.RawMessage `json:"weights"`
		} `json:"capsules"`
	}
	if json.Unmarshal([]byte(info), &process) != nil {
		return true
	}
	served := process.Queues
	for _, capsule := range process.Capsules {
		for name := range capsule.Weights {
			served = append(served, name)
		}
	}
	return len(served) == 0 || slices.ContainsFunc(served, func(name string) bool { return slices.Contains(queues, name) })
}

// know tells whether the processes are still those, and else takes them over.
func (s *sidekiqSharedReader) know(identities []string) bool {
	if slices.EqualFunc(identities, s.known, func(identity string, p process) bool { return identity == p.identity }) {
		return true
	}
	s.known = make([]process, len(identities))
	for i, identity := range identities {
		s.known[i].identity = identity
		s.known[i].command = keyed(redis.NewSliceCmd(unbound, "hmget", s.prefix+identity, "info", "busy"), 1)
	}
	return false
}

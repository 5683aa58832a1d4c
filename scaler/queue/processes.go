package queue

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// processes reads how many jobs each process of a framework is at work on. Who the processes
// are, a set tells; each beats every 10 seconds (Sidekiq), and until then a job that it has taken is not in
// its busy.
type processes struct {
	prefix     string
	queues     []string // the channel's
	serves     func(info string, queues []string) bool
	identities *redis.StringSliceCmd // SMEMBERS
	known      []process             // as of the round before, by identity
}

// process is a process of a framework, and what its hash tells of it.
type process struct {
	identity string
	command  *redis.SliceCmd // HMGET
	info     string          // that was read into counts
	counts   bool
}

func newProcesses(q Queue, f framework.Framework, key framework.Key) *processes {
	return &processes{
		prefix:     f.Render("<prefix>", q.Prefix, ""),
		queues:     separated(q.Key),
		serves:     key.Serves,
		identities: keyed(redis.NewStringSliceCmd(unbound, "smembers", f.Render(key.Name, q.Prefix, "")), 1),
	}
}

func (p *processes) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	commands = append(commands, fresh(p.identities))
	for i := range p.known {
		commands = append(commands, fresh(p.known[i].command))
	}
	return commands
}

func (p *processes) add(depth *presetDepth, replies *replies, r round) (done bool) {
	identities, err := p.identities.Result()
	replies.failed(p.identities, framework.Set, err)
	for i := range p.known {
		depth.InFlight = Sum(depth.InFlight, p.busy(&p.known[i], replies))
	}
	if replies.err != nil {
		return true
	}
	slices.Sort(identities)
	if p.know(identities) {
		return true
	}
	// Ask once more, with the processes that there are now. Where they never stop
	// changing, those that came last are left out.
	depth.LowerBound = true
	return r.last
}

// busy is how many jobs a process is at work on. One that ended without a farewell stays in
// the set, but its hash expires a minute after its last beat.
func (p *processes) busy(one *process, replies *replies) int64 {
	fields, err := one.command.Result()
	replies.failed(one.command, framework.Hash, err)
	if err != nil || len(fields) != 2 {
		return 0
	}
	busy, ok := fields[1].(string)
	if !ok {
		return 0 // it has expired
	}
	count, err := strconv.ParseInt(busy, 10, 64)
	if err == nil && count == 0 {
		return 0
	}
	if info, _ := fields[0].(string); info != one.info || info == "" {
		one.info, one.counts = info, p.serves(info, p.queues)
	}
	switch {
	case !one.counts:
		return 0
	case err != nil:
		replies.failed(one.command, framework.Hash, &ReplyError{Command: "HMGET " + p.prefix + one.identity, Err: fmt.Errorf("busy is %q, not a number", busy)})
		return 0
	case count < 0:
		replies.failed(one.command, framework.Hash, notACount(one.command, count))
		return 0
	}
	return count
}

// know tells whether the processes are still those, and else takes them over.
func (p *processes) know(identities []string) bool {
	if slices.EqualFunc(identities, p.known, func(identity string, known process) bool { return identity == known.identity }) {
		return true
	}
	p.known = make([]process, len(identities))
	for i, identity := range identities {
		p.known[i].identity = identity
		p.known[i].command = keyed(redis.NewSliceCmd(unbound, "hmget", p.prefix+identity, "info", "busy"), 1)
	}
	return false
}

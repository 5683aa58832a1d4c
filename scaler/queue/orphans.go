package queue

import (
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// orphans counts the jobs that processes left behind which are gone: the next one that starts puts them back. Who the
// processes are, a set tells, and whether each lives, the hash of its beats.
type orphans struct {
	prefix     string
	queues     []string // the channel's
	list       func(process, queue string) string
	optional   bool
	identities *redis.StringSliceCmd // SMEMBERS
	known      []mortal              // as of the round before, by identity
}

// mortal is a process, and what it holds once it is gone.
type mortal struct {
	identity string
	exists   *redis.IntCmd
	lists    []*redis.IntCmd // LLEN of each queue's; nil while it lives
}

func newOrphans(q Queue, f framework.Framework, key framework.Key) *orphans {
	return &orphans{
		prefix: f.Render("<prefix>", q.Prefix, ""), queues: separated(q.Key), list: key.List, optional: key.Optional,
		identities: keyed(redis.NewStringSliceCmd(unbound, "smembers", f.Render(key.Name, q.Prefix, "")), 1),
	}
}

func (o *orphans) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	commands = append(commands, fresh(o.identities))
	for i := range o.known {
		commands = append(commands, fresh(o.known[i].exists))
		for _, length := range o.known[i].lists {
			commands = append(commands, fresh(length))
		}
	}
	return commands
}

func (o *orphans) add(depth *presetDepth, replies *replies, r round) (done bool) {
	identities, err := o.identities.Result()
	if o.optional && absent(err) {
		o.known = nil
		return true
	}
	replies.failed(o.identities, framework.Set, err)
	all := true
	for i := range o.known {
		all = o.left(&o.known[i], depth, replies) && all
	}
	if replies.err != nil {
		return true
	}
	slices.Sort(identities)
	if o.know(identities) && all {
		return true
	}
	// Ask once more, of the processes that there are now, and what those hold that have gone.
	depth.LowerBound = true
	return r.last
}

// left adds what a process left behind. Where it returns false, its lists are yet to be asked for.
func (o *orphans) left(one *mortal, depth *presetDepth, replies *replies) (known bool) {
	if replies.number(one.exists, framework.Hash) > 0 {
		one.lists = nil
		return true
	}
	if one.lists == nil {
		for _, queue := range o.queues {
			one.lists = append(one.lists, number("llen", o.prefix+o.list(one.identity, queue)))
		}
		return false
	}
	for _, length := range one.lists {
		depth.Ready = Sum(depth.Ready, replies.number(length, framework.List))
	}
	return true
}

// know tells whether the processes are still those, and else takes them over.
func (o *orphans) know(identities []string) bool {
	if slices.EqualFunc(identities, o.known, func(identity string, known mortal) bool { return identity == known.identity }) {
		return true
	}
	o.known = make([]mortal, len(identities))
	for i, identity := range identities {
		o.known[i] = mortal{identity: identity, exists: number("exists", o.prefix+identity)}
	}
	return false
}

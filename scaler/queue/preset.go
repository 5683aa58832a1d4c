package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// KindOf is the kind of a framework's queues, and SharedKindOf that of what it keeps for all of
// them together, in keys that name no queue.
func KindOf(f framework.Framework) Kind { return Kind(strings.ToLower(f.Name)) }

// SharedKindOf is told of in KindOf.
func SharedKindOf(f framework.Framework) Kind { return KindOf(f) + "-shared" }

// layout is what a preset's kind stands for.
type layout struct {
	framework framework.Framework
	shared    bool
}

// keys is those of one queue, or of all together.
func (l layout) keys(o framework.Options) []framework.Key {
	if l.shared {
		return l.framework.SharedKeys(o)
	}
	return l.framework.QueueKeys(o)
}

// layouts is those of the frameworks' kinds; other kinds have none.
var layouts = layoutsOf(framework.All())

func layoutsOf(frameworks []framework.Framework) map[Kind]layout {
	layouts := make(map[Kind]layout, 2*len(frameworks))
	for _, f := range frameworks {
		layouts[KindOf(f)] = layout{framework: f}
		if len(f.Shared) > 0 {
			layouts[SharedKindOf(f)] = layout{framework: f, shared: true}
		}
	}
	return layouts
}

// routing is the key by which the node of a cluster is told: what jobs wait in, else the first.
func (l layout) routing(o framework.Options) string {
	keys := l.keys(o)
	if len(keys) == 0 {
		keys = l.framework.Shared // none of which is read
	}
	for _, key := range keys {
		if key.Counts == framework.Waiting {
			return key.Name
		}
	}
	return keys[0].Name
}

// OfPreset is the queues that a framework's names come to: one each, and what the framework
// keeps for all queues together once, after them. prefix is the Queue's Prefix; age tells
// whether the age of the oldest waiting job is wanted (not every framework records one).
func OfPreset(f framework.Framework, prefix string, names []string, age bool) []Queue {
	queues := make([]Queue, 0, len(names)+1)
	for _, name := range names {
		queues = append(queues, Queue{Key: name, Kind: KindOf(f), Prefix: prefix, Age: age})
	}
	if len(f.Shared) > 0 {
		queues = append(queues, Queue{Key: joined(names), Kind: SharedKindOf(f), Prefix: prefix, Age: age && f.HasAges()})
	}
	return queues
}

// WithOptions is those queues as a channel's options have them: without those of which nothing is
// to be read.
func WithOptions(queues []Queue, o framework.Options) []Queue {
	for i := range queues {
		queues[i].Options = o
	}
	return slices.DeleteFunc(queues, func(q Queue) bool { return len(layouts[q.Kind].keys(o)) == 0 })
}

// IsShared tells whether this is what a framework keeps for all queues together.
func (q Queue) IsShared() bool { return layouts[q.Kind].shared }

// RoutingKey is a key of the queue, by which the node of a cluster can be told that it is on:
// the key itself, or one of a preset's.
func (q Queue) RoutingKey() string {
	if l, ok := layouts[q.Kind]; ok {
		return l.framework.Render(l.routing(q.Options), q.Prefix, q.Key)
	}
	return q.Key
}

// presetReader reads the keys of a framework.
type presetReader struct {
	unheld  string // a remark where nothing is in flight
	keys    []keyReader
	ages    bool // of what waits can be known
	depth   presetDepth
	replies replies
}

// keyReader reads one key of a framework, as a kindReader reads a queue.
type keyReader interface {
	ask(commands []redis.Cmder, r round) []redis.Cmder
	// add adds what the key tells. Where it returns false, another round must tell.
	add(depth *presetDepth, replies *replies, r round) (done bool)
}

// presetDepth is what the keys have told so far.
type presetDepth struct {
	Depth
	paused    bool // what waits is not runnable
	held      bool // something is in work, of whichever queue
	limits    limits
	noCounter bool // of the jobs that were added: the first one will make it
}

// newPresetReader is nil where the kind is no framework's, or what one of its keys counts is not
// known.
func newPresetReader(q Queue) kindReader {
	l, ok := layouts[q.Kind]
	if !ok {
		return nil
	}
	keys := l.keys(q.Options)
	if len(keys) == 0 {
		return nil
	}
	p := &presetReader{ages: l.framework.HasAges()}
	if l.shared {
		p.unheld = l.framework.Unheld
	}
	for _, key := range keys {
		reader := newKeyReader(q, l.framework, key)
		if reader == nil {
			return nil
		}
		p.keys = append(p.keys, reader)
	}
	return p
}

func (p *presetReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	for _, key := range p.keys {
		commands = key.ask(commands, r)
	}
	return commands
}

func (p *presetReader) answer(r round) (Depth, bool, error) {
	p.replies = replies{queue: r.queue}
	p.depth = presetDepth{Depth: Depth{Kind: r.queue.Kind, Added: -1}, limits: noLimits}
	done := true
	for _, key := range p.keys {
		known := key.add(&p.depth, &p.replies, r)
		done = done && known
	}
	if p.replies.err != nil {
		return Depth{}, true, p.replies.err
	}
	if r.queue.Age && !p.ages {
		return Depth{}, true, &AgeUnknownError{Key: r.queue.Key, Kind: r.queue.Kind}
	}
	if p.depth.noCounter && p.depth.Total() == 0 {
		p.depth.Added = 0
	}
	p.depth.hold(r.queue.Key)
	if !p.depth.held && p.depth.Remark == "" {
		p.depth.Remark = p.unheld
	}
	return p.depth.Depth, done, nil
}

// replies reads what a preset's commands came to, and keeps the first error.
type replies struct {
	queue *Queue
	err   error
}

// number is the reply to a command about a key of that type.
func (r *replies) number(command *redis.IntCmd, holds framework.Type) int64 {
	count, err := countOf(command)
	r.failed(command, holds, err)
	return count
}

// failed keeps the error of a command about a key of that type, if it is one.
func (r *replies) failed(command redis.Cmder, holds framework.Type, err error) {
	if err == nil || r.err != nil {
		return
	}
	if wrongType(err) {
		key, _ := command.Args()[1].(string)
		err = &WrongTypeError{Key: key, Want: Kind(holds), Preset: r.queue.Kind}
	}
	r.err = err
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

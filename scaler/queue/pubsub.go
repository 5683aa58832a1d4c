package queue

import (
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// BytesPerMessage is how many bytes of a Pub/Sub subscriber's output buffer count as one
// message, begun ones as whole. A server does not tell how many messages a buffer holds,
// so a target for a Pub/Sub channel is one of KiB rather than of messages.
const BytesPerMessage = 1024

// backlogInterval is the least time between two looks at the subscribers' buffers:
// CLIENT LIST costs the server time for each of its clients, and INFO for each thread.
const backlogInterval = 5 * time.Second

// backlogSource is where a server tells what subscribers have not taken.
type backlogSource int

const (
	fromClients backlogSource = iota // Redis: CLIENT LIST
	fromMemory                       // DragonFly: INFO memory, of all its subscribers together, and CLIENT LIST, whether ours keep up
)

// pubSubReader reads how far the subscribers of a channel lag behind. It is the best that
// can be had, and a lower bound: there is no queue, a message published while nobody
// listens is gone, and what the kernel's socket buffers hold is not seen. On a cluster,
// only the subscribers of the node that is asked are.
type pubSubReader struct {
	listening *redis.MapStringIntCmd // PUBSUB NUMSUB
	clients   *redis.StringCmd
	memory    *redis.StringCmd

	source  backlogSource
	asking  bool // the source is asked in this round
	refused error
	tried   bool // CLIENT LIST was, in this read
	nobody  bool // and had no client
	listed  bool // CLIENT LIST has no buffers, but says who waits (DragonFly from 1.39)
	silent  bool // nobody listened the last time
	backlog int64
	at      time.Time // of backlog; zero: it is not known
}

func newPubSubReader(q Queue) *pubSubReader {
	return &pubSubReader{
		listening: keyed(redis.NewMapStringIntCmd(unbound, "pubsub", "numsub", q.Key), 2),
		clients:   redis.NewStringCmd(unbound, "client", "list", "type", "pubsub"),
		memory:    redis.NewStringCmd(unbound, "info", "memory"),
	}
}

func (p *pubSubReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if r.first {
		p.refused, p.tried, p.nobody = nil, false, false
	}
	commands = append(commands, fresh(p.listening))
	age := r.now.Sub(p.at)
	p.asking = (!p.silent || !r.first) && (p.at.IsZero() || age < 0 || age >= backlogInterval)
	if !p.asking {
		return commands
	}
	switch {
	case p.source == fromMemory && p.listed:
		return append(commands, fresh(p.memory), fresh(p.clients))
	case p.source == fromMemory:
		return append(commands, fresh(p.memory))
	}
	return append(commands, fresh(p.clients))
}

func (p *pubSubReader) answer(r round) (Depth, bool, error) {
	depth := Depth{Kind: PubSub, LowerBound: true, Estimate: true, Added: -1}
	subscribers, err := p.listening.Result()
	if err != nil {
		return Depth{}, true, err
	}
	if r.queue.Age {
		return Depth{}, true, &AgeUnknownError{Key: r.queue.Key, Kind: PubSub}
	}
	listening := subscribers[r.queue.Key]
	if listening < 0 {
		return Depth{}, true, &ReplyError{Command: "PUBSUB NUMSUB", Err: fmt.Errorf("%d is not a count", listening)}
	}
	if p.silent = listening == 0; p.silent {
		p.backlog, p.at = 0, time.Time{}
		return depth, true, nil
	}
	if !p.asking && p.at.IsZero() { // nobody listened until now
		return depth, r.last, nil
	}
	if p.asking {
		if done, err := p.look(r); err != nil || !done {
			return Depth{}, done, err
		}
	}
	depth.Ready = Sum(p.backlog, BytesPerMessage-1) / BytesPerMessage
	return depth, true, nil
}

// look takes the backlog from the source that was asked. Where it returns false, the other
// one is to be asked.
func (p *pubSubReader) look(r round) (done bool, err error) {
	if p.source == fromClients {
		return p.lookAtClients(r)
	}
	info, err := p.memory.Result()
	p.memory.SetVal("")
	if err != nil && !refusal(err) {
		return true, err
	}
	bytes, ok := subscriberBytes(info)
	if p.keepUp(r) {
		bytes = 0 // what waits is for subscribers of other channels
	}
	if ok {
		p.backlog, p.at = bytes, r.now
		return true, nil
	}
	p.source = fromClients
	if !p.tried && !r.last {
		return false, nil
	}
	if p.nobody { // they left after they were counted
		p.backlog, p.at = 0, r.now
		return true, nil
	}
	return true, &BacklogError{Channel: r.queue.Key, Err: p.refused}
}

// keepUp reads whether the channel's own subscribers keep up, if the server tells.
func (p *pubSubReader) keepUp(r round) bool {
	if !p.listed {
		return false
	}
	list, err := p.clients.Result()
	p.clients.SetVal("")
	p.listed = err == nil
	return err == nil && keepUp(list, ClientName(r.queue.Key))
}

func (p *pubSubReader) lookAtClients(r round) (done bool, err error) {
	p.tried = true
	list, err := p.clients.Result()
	p.clients.SetVal("")
	if err != nil && !refusal(err) {
		return true, err
	}
	if bytes, ok := clientBytes(list, ClientName(r.queue.Key)); ok && err == nil {
		p.backlog, p.at = bytes, r.now
		return true, nil
	}
	p.refused, p.nobody = err, err == nil && list == ""
	p.listed = err == nil && strings.Contains(list, " "+waitField+"=")
	if r.last {
		return true, &BacklogError{Channel: r.queue.Key, Err: err}
	}
	p.source = fromMemory
	return false, nil
}

// refusal tells a command that the server does not know, or the user may not run, from one
// that failed.
func refusal(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || strings.HasPrefix(err.Error(), "ERR ")
}

// Package sampling reads queue depths from DragonFly and Redis servers, whose connections are
// those of scaler/broker. It keeps one sampler for each distinct server: however many queues are watched there, they share
// one connection pool, and one pipeline a tick reads them all (one for each node of a
// cluster).
package sampling

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Sample is a depth and when it was read.
type Sample struct {
	queue.Depth
	At time.Time // when the read began
	// Rate is how many messages arrive each second; nil while unknown.
	Rate *float64
	// RateLowerBound is set where arrivals are not counted: the rate is by how much the
	// depth grows, and what was taken meanwhile arrived too.
	RateLowerBound bool
	// Work is what was in flight over time; nil unless the Inquiry asks for it.
	Work *Work
}

// Defaults of Options.
const (
	DefaultTick        = time.Second
	DefaultIdleTimeout = 5 * time.Minute
)

// Options configure a Pool; the zero value of each field means its default.
type Options struct {
	Tick        time.Duration // between two reads of a queue
	IdleTimeout time.Duration // a queue that nobody asked for in that time is dropped
	// MaxServersPerNamespace bounds the servers that a namespace may have watched (For).
	MaxServersPerNamespace int
	Metrics                *Metrics // by default, none are registered
	broker.Options                  // of the connections
}

func (o Options) withDefaults() Options {
	if o.Tick == 0 {
		o.Tick = DefaultTick
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.MaxServersPerNamespace == 0 {
		o.MaxServersPerNamespace = DefaultMaxServersPerNamespace
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	o.Options = o.WithDefaults()
	return o
}

// ErrClosed is returned once the pool has been closed.
var ErrClosed = errors.New("the scaler is shutting down")

// Pool holds the samplers. It is safe for concurrent use.
type Pool struct {
	options   Options
	ctx       context.Context // ends every sampler
	cancel    context.CancelFunc
	running   sync.WaitGroup
	connector *broker.Connector

	mu       sync.Mutex
	samplers map[broker.Server]*sampler
	servers  map[string]int // by the namespace that asked first
}

// NewPool returns an empty pool; Close ends it.
func NewPool(options Options) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{options: options.withDefaults(), ctx: ctx, cancel: cancel, samplers: map[broker.Server]*sampler{}, servers: map[string]int{}}
	p.connector = broker.NewConnector(ctx, p.options.Options, &p.running, p.options.Metrics.panics.Inc)
	return p
}

// Close ends all samplers and closes their connections.
func (p *Pool) Close() {
	p.mu.Lock()
	p.cancel()
	p.mu.Unlock()
	p.running.Wait()
}

// Depth returns a sample of the queue that is not older than two ticks. The first call
// for a queue reads it at once, and keeps it watched; calls that come meanwhile share
// that read. A queue that can't be read is a *broker.ReadError, a closed pool ErrClosed; a
// deadline of ctx is honoured.
func (p *Pool) Depth(ctx context.Context, server broker.Server, q queue.Queue) (Sample, error) {
	return p.For("").Depth(ctx, server, q)
}

// Depths is Depth for several queues of one server, which are read together. The error is
// that of the first queue, in their order, that has one.
func (p *Pool) Depths(ctx context.Context, server broker.Server, queues []queue.Queue) ([]Sample, error) {
	return p.For("").Depths(ctx, server, queues)
}

// watch finds or starts the sampler of the server and the entries of the queues; with
// reserve, the entries are kept until a subscriber takes them over.
func (p *Pool) watch(namespace string, server broker.Server, queues []queue.Queue, reserve bool) (*sampler, []*watched, error) {
	if err := p.options.Allowed.Refuses(server); err != nil {
		return nil, nil, &broker.ReadError{Server: server, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, nil, ErrClosed
	}
	s, ok := p.samplers[server]
	if !ok {
		if err := p.admit(namespace); err != nil {
			return nil, nil, &broker.ReadError{Server: server, Err: err}
		}
		s = newSampler(p, namespace, server)
		p.samplers[server] = s
		p.running.Go(func() { s.run(func() bool { return p.retire(s) }) })
	} else if namespace != s.namespace {
		s.connections.SharedBetweenNamespaces()
	}
	return s, s.entries(queues, reserve), nil
}

// retire takes a sampler without queues out of the pool. It is refused where a queue
// came meanwhile.
func (p *Pool) retire(s *sampler) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.size() > 0 {
		return false
	}
	delete(p.samplers, s.server)
	p.dismiss(s.namespace)
	return true
}

// Size is the number of servers and of queues that are watched.
func (p *Pool) Size() (servers, queues int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.samplers {
		queues += s.size()
	}
	return len(p.samplers), queues
}

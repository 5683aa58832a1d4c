// Package broker reads queue depths from DragonFly and Redis servers. It keeps one
// sampler for each distinct server: however many queues are watched there, they share
// one connection pool, and one pipeline a tick reads them all.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Server names a server. It is comparable: what differs in any field is another server
// with connections of its own.
type Server struct {
	Address string // host:port
}

// Sample is a depth and when it was read.
type Sample struct {
	queue.Depth
	At   time.Time // when the read began
	Rate *float64  // messages that arrive per second; nil while unknown
}

// Defaults of Options.
const (
	DefaultTick        = time.Second
	DefaultIdleTimeout = 5 * time.Minute
	DefaultReadTimeout = 1500 * time.Millisecond
)

// Options configure a Pool; the zero value of each field means its default.
type Options struct {
	Tick        time.Duration // between two reads of a queue
	IdleTimeout time.Duration // a queue that nobody asked for in that time is dropped
	ReadTimeout time.Duration // for one tick's read of a server
	Now         func() time.Time
	Logger      *slog.Logger
	Metrics     *Metrics
}

func (o Options) withDefaults() Options {
	if o.Tick == 0 {
		o.Tick = DefaultTick
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// ErrClosed is returned once the pool has been closed.
var ErrClosed = errors.New("the scaler is shutting down")

// Pool holds the samplers. It is safe for concurrent use.
type Pool struct {
	options Options
	ctx     context.Context // ends every sampler
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	samplers map[Server]*sampler
}

// NewPool returns an empty pool; Close ends it.
func NewPool(options Options) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{options: options.withDefaults(), ctx: ctx, cancel: cancel, samplers: map[Server]*sampler{}}
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
// that read. Errors are those of Explain in errors.go; a deadline of ctx is honoured.
func (p *Pool) Depth(ctx context.Context, server Server, q queue.Queue) (Sample, error) {
	s, w, err := p.watch(server, q, false)
	if err != nil {
		return Sample{}, err
	}
	return s.fresh(ctx, w)
}

// Subscription tells of new samples of one queue, which stays watched until Close.
type Subscription struct {
	sampler *sampler
	watched *watched
	updates chan struct{}
	eager   bool
	closed  bool
}

// Subscribe watches a queue until the subscription is closed.
func (p *Pool) Subscribe(server Server, q queue.Queue) (*Subscription, error) {
	s, w, err := p.watch(server, q, true)
	if err != nil {
		return nil, err
	}
	sub := &Subscription{sampler: s, watched: w, updates: make(chan struct{}, 1)}
	s.mu.Lock()
	w.subscribers = append(w.subscribers, sub.updates)
	w.reserved--
	if !w.validUntil.IsZero() {
		sub.updates <- struct{}{} // there is a result already
	}
	s.mu.Unlock()
	return sub, nil
}

// Updates receives after each read of the queue, failed ones included; reads that come
// while nobody receives are merged into one.
func (s *Subscription) Updates() <-chan struct{} { return s.updates }

// Await has the queue read four times a tick while eager is true: for who waits for the
// first message, which is to be seen soon.
func (s *Subscription) Await(eager bool) {
	s.sampler.mu.Lock()
	defer s.sampler.mu.Unlock()
	s.await(eager && !s.closed)
}

func (s *Subscription) await(eager bool) {
	if eager == s.eager {
		return
	}
	change := 1
	if !eager {
		change = -1
	}
	s.eager = eager
	s.watched.eager += change
	s.sampler.regroup = true
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.sampler.mu.Lock()
	defer s.sampler.mu.Unlock()
	s.await(false)
	s.closed = true
	s.watched.subscribers = slices.DeleteFunc(s.watched.subscribers, func(c chan struct{}) bool { return c == s.updates })
}

// watch finds or starts the sampler of the server and the entry of the queue; with
// reserve, the entry is kept until a subscriber takes it over.
func (p *Pool) watch(server Server, q queue.Queue, reserve bool) (*sampler, *watched, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, nil, ErrClosed
	}
	s, ok := p.samplers[server]
	if !ok {
		s = newSampler(server, p.options)
		p.samplers[server] = s
		p.running.Go(func() { s.run(p.ctx, func() bool { return p.retire(s) }) })
	}
	return s, s.entry(q, reserve), nil
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

func (s Server) String() string { return fmt.Sprintf("redis://%s", s.Address) }

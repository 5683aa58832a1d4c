package sampling

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// watched is one queue of a sampler. Its fields are guarded by the sampler's mutex, but
// for reader, which only its lane's goroutine uses. There are thousands, and each tick
// goes through them all: they are small, and what few of them need is made when needed.
type watched struct {
	reader queue.Reader
	lane   *lane // that reads it

	sample      Sample
	err         error
	validUntil  time.Time // of sample or err; zero: never read
	lastAsked   time.Time
	dropped     bool          // nobody asked for it lately: it is not read any more
	reserved    int           // subscribers on their way
	eager       int           // subscribers that wait for an edge
	next        chan struct{} // closed by the next read's end; nil: nobody waits
	subscribers []chan struct{}
	rate        *rateMeter // nil: nothing was counted yet
	work        *workMeter // nil: nobody asks for it
}

// sampler reads the queues of one server: in one lane, or in one for each node of a cluster.
type sampler struct {
	server      broker.Server
	namespace   string // that asked for it first; empty: it counts for none
	options     Options
	ctx         context.Context //nolint:containedctx // it is the sampler's life
	cancel      context.CancelFunc
	running     *sync.WaitGroup
	connections *broker.Connections
	first       *lane

	mu     sync.Mutex
	queues map[queue.Queue]*watched
	lanes  map[string]*lane // but for the first: of a cluster's nodes, by their addresses
	// waiting has the spans of traced calls that wait for a queue's next read; nil without traces.
	waiting map[*watched][]trace.Span
}

func newSampler(p *Pool, namespace string, server broker.Server) *sampler {
	ctx, cancel := context.WithCancel(p.ctx)
	s := &sampler{
		server: server, namespace: namespace, options: p.options, ctx: ctx, cancel: cancel, running: &p.running,
		queues: map[queue.Queue]*watched{},
	}
	s.connections = p.connector.Connect(ctx, server, namespace, s.readAgain)
	s.first = newLane(s, "")
	return s
}

// run reads until its context ends, or until no queue is left and retire agrees.
func (s *sampler) run(retire func() bool) {
	defer s.cancel()
	s.first.run(retire)
}

func (s *sampler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queues)
}

// entries finds or adds queues, and notes that they were asked for.
func (s *sampler) entries(queues []queue.Queue, reserve bool) []*watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*watched, len(queues))
	now := s.options.Now()
	for i, q := range queues {
		w, ok := s.queues[q]
		if !ok {
			w = &watched{reader: queue.NewReader(q)}
			s.queues[q] = w
			s.first.take(w)
		}
		w.lastAsked = now
		if reserve {
			w.reserved++
		}
		all[i] = w
	}
	return all
}

// readAgain has all queues read now, whatever the back-off.
func (s *sampler) readAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	notify(s.first.again)
	for _, l := range s.lanes {
		notify(l.again)
	}
}

// fresh returns the entry's sample, after the next read where it is too old.
func (s *sampler) fresh(ctx context.Context, w *watched) (Sample, error) {
	for {
		s.mu.Lock()
		sample, err, next, node := w.sample, w.err, w.next, w.lane.address
		valid := !s.options.Now().After(w.validUntil)
		if !valid && next == nil {
			next = make(chan struct{})
			w.next = next
		}
		if !valid {
			s.waits(ctx, w)
		}
		s.mu.Unlock()
		if valid {
			return sample, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			if err != nil {
				return Sample{}, err // the last failure says more than that time ran out
			}
			return Sample{}, s.connections.NoAnswer(node, context.Cause(ctx))
		}
	}
}

// record publishes the results of a lane's read, which began at that time, and lets those
// go on who wait for it. It returns whether a queue is with another node of the cluster.
func (s *sampler) record(l *lane, link *broker.Link, b batch, began time.Time) (elsewhere bool) {
	// What was read of a demoted master does not count, though it has been read.
	var stale *broker.StaleReplicaError
	if !errors.As(l.failure, &stale) {
		stale = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	validUntil := began.Add(2 * s.options.Tick)
	for _, w := range b.watched {
		depth, err := w.reader.Result()
		if stale != nil {
			err = l.failure
		}
		if err == nil {
			if depth.Remark != "" && link != nil {
				depth.Remark = link.Redact(depth.Remark)
			}
			w.sampled(depth, began)
			s.remember(w, depth, began)
			w.err, w.validUntil = nil, validUntil
		} else {
			elsewhere = elsewhere || errors.As(err, new(*queue.ElsewhereError))
			w.sample = Sample{}
			if w.work != nil {
				w.work.gap = true
			}
			w.err = s.readError(l, link, err)
			w.validUntil = s.options.Now().Add(l.delay() + s.options.ReadTimeout)
		}
		delete(s.waiting, w) // of a read that could not begin
		w.tell()
	}
	return elsewhere
}

// remember takes over what is in flight, where somebody asks for that. The mutex is held.
func (s *sampler) remember(w *watched, depth queue.Depth, at time.Time) {
	switch {
	case w.work == nil:
	case at.Sub(w.work.asked) > s.options.IdleTimeout:
		w.work = nil
	default:
		w.work.sampled(depth, at, s.longestGap())
	}
}

// longestGap is how long a sample may stand for: after that, and a read that took its time, the
// next one has come.
func (s *sampler) longestGap() time.Duration { return 2*s.options.Tick + s.options.ReadTimeout }

// workOf is the work of a queue over a window. From the first call on it is remembered.
// The mutex is held.
func (s *sampler) workOf(w *watched, window Window, now time.Time) *Work {
	if w.work == nil {
		w.work = &workMeter{}
		w.work.want(window(0, 0), now)
		if w.err == nil && !w.sample.At.IsZero() {
			w.work.sampled(w.sample.Depth, w.sample.At, s.longestGap())
		}
	}
	work := w.work.over(window, now, s.longestGap())
	return &work
}

// readError is an error of a read, without secrets; the link is nil where there was none.
func (s *sampler) readError(l *lane, link *broker.Link, err error) *broker.ReadError {
	if link == nil {
		return &broker.ReadError{Server: s.server, Node: l.address, Err: err}
	}
	return link.ReadError(l.address, err)
}

// wanted reports whether somebody waits or will wait for a read.
func (w *watched) wanted() bool { return len(w.subscribers) > 0 || w.reserved > 0 || w.next != nil }

// sampled takes a depth.
func (w *watched) sampled(depth queue.Depth, at time.Time) {
	sample := Sample{Depth: depth, At: at}
	switch {
	case depth.Added >= 0:
		if w.rate == nil {
			w.rate = &rateMeter{}
		}
		sample.Rate = w.rate.arrivals(depth.Added, at)
	case depth.LowerBound: // where that begins or ends, nothing grew
		w.rate = nil
	default:
		sample.Rate = w.grown(depth.Total(), at)
		sample.RateLowerBound = sample.Rate != nil
	}
	w.sample = sample
}

// grown is the growth of the depth. A queue that stays empty, as most do, needs no meter.
func (w *watched) grown(depth int64, at time.Time) *float64 {
	if w.rate == nil {
		if depth == 0 {
			return nil
		}
		w.rate = &rateMeter{}
		if !w.sample.At.IsZero() && w.sample.Total() == 0 {
			w.rate.grown(0, w.sample.At)
		}
	}
	rate := w.rate.grown(depth, at)
	if w.rate.idle() {
		w.rate = nil
	}
	return rate
}

// tell lets those go on who wait for a read.
func (w *watched) tell() {
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
	for _, updates := range w.subscribers {
		notify(updates)
	}
}

// end ends all waiting with ErrClosed: there will be no other read.
func (s *sampler) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.queues {
		w.sample, w.err = Sample{}, ErrClosed
		w.validUntil = s.options.Now().Add(s.options.ReadTimeout)
		w.tell()
	}
}

package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
}

// sampler reads the queues of one server: in one lane, or in one for each node of a cluster.
type sampler struct {
	server  Server
	options Options
	ctx     context.Context //nolint:containedctx // it is the sampler's life
	cancel  context.CancelFunc
	running *sync.WaitGroup
	links   *links
	first   *lane

	mu     sync.Mutex
	queues map[queue.Queue]*watched
	lanes  map[string]*lane // but for the first: of a cluster's nodes, by their addresses
}

func newSampler(ctx context.Context, server Server, options Options, running *sync.WaitGroup) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{
		server: server, options: options, ctx: ctx, cancel: cancel, running: running,
		queues: map[queue.Queue]*watched{},
	}
	s.links = newLinks(ctx, server, options, running, s.readAgain)
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
			return Sample{}, &ReadError{Server: s.server, Err: s.links.told(node, fmt.Errorf("no answer yet: %w", context.Cause(ctx)))}
		}
	}
}

// record publishes the results of a lane's read, which began at that time, and lets those
// go on who wait for it. It returns whether a queue is with another node of the cluster.
func (s *sampler) record(l *lane, link *link, b batch, began time.Time) (elsewhere bool) {
	// What was read of a demoted master does not count, though it has been read.
	var stale *StaleReplicaError
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
				depth.Remark = link.words.line(depth.Remark)
			}
			w.sampled(depth, began)
			w.err, w.validUntil = nil, validUntil
		} else {
			elsewhere = elsewhere || errors.As(err, new(*queue.ElsewhereError))
			w.sample = Sample{}
			w.err = s.readError(l, link, err)
			w.validUntil = s.options.Now().Add(l.delay() + s.options.ReadTimeout)
		}
		w.tell()
	}
	return elsewhere
}

func (s *sampler) readError(l *lane, link *link, err error) error {
	node := l.address
	if link != nil {
		err = link.words.answer(link.told(l.address, err))
		node = link.words.name(node)
	}
	return &ReadError{Server: s.server, Node: node, Err: err}
}

// wanted tells whether somebody waits or will wait for a read.
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

// end tells everybody who waits that there will be no other read.
func (s *sampler) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.queues {
		w.sample, w.err = Sample{}, ErrClosed
		w.validUntil = s.options.Now().Add(s.options.ReadTimeout)
		w.tell()
	}
}

package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// watched is one queue of a sampler. Its fields are guarded by the sampler's mutex, but
// for reader, which only the sampler's goroutine uses.
type watched struct {
	reader *queue.Reader

	sample      Sample
	err         error
	validUntil  time.Time     // of sample or err; zero: never read
	next        chan struct{} // closed by the next read's end
	lastAsked   time.Time
	subscribers map[chan struct{}]struct{}
	reserved    int // subscribers on their way
	eager       int // subscribers that wait for an edge
	rate        rateMeter
}

// sampler reads the queues of one server, in its own goroutine.
type sampler struct {
	server  Server
	options Options
	wake    chan struct{} // asks for a read before the next tick

	mu     sync.Mutex
	queues map[queue.Queue]*watched
	eager  int // of all queues

	failures   int         // in a row; of the goroutine
	connecting atomic.Bool // a connection was tried, and none has been made since
}

func newSampler(server Server, options Options) *sampler {
	return &sampler{server: server, options: options, wake: make(chan struct{}, 1), queues: map[queue.Queue]*watched{}}
}

func (s *sampler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queues)
}

// entry finds or adds a queue, and notes that it was asked for.
func (s *sampler) entry(q queue.Queue, reserve bool) *watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.queues[q]
	if !ok {
		w = &watched{reader: queue.NewReader(q), next: make(chan struct{}), subscribers: map[chan struct{}]struct{}{}}
		s.queues[q] = w
		s.wakeUp()
	}
	w.lastAsked = s.options.Now()
	if reserve {
		w.reserved++
	}
	return w
}

func (s *sampler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // a read is asked for already
	}
}

// fresh returns the entry's sample, after the next read where it is too old.
func (s *sampler) fresh(ctx context.Context, w *watched) (Sample, error) {
	for {
		s.mu.Lock()
		sample, err, next := w.sample, w.err, w.next
		valid := !s.options.Now().After(w.validUntil)
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
			return Sample{}, &ReadError{Server: s.server, Err: fmt.Errorf("no answer yet: %w", context.Cause(ctx))}
		}
	}
}

// evict drops the queues that nobody asked for.
func (s *sampler) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	for q, w := range s.queues {
		if len(w.subscribers) == 0 && w.reserved == 0 && now.Sub(w.lastAsked) > s.options.IdleTimeout {
			delete(s.queues, q)
		}
	}
}

// batch is the queues to read: those that wanted picks; nil picks all.
func (s *sampler) batch(wanted func(*watched) bool) []*watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := make([]*watched, 0, len(s.queues))
	for _, w := range s.queues {
		if wanted == nil || wanted(w) {
			batch = append(batch, w)
		}
	}
	return batch
}

func unread(w *watched) bool { return w.validUntil.IsZero() }

func awaited(w *watched) bool { return w.eager > 0 }

// anyAwaited spares the search for the queues that are.
func (s *sampler) anyAwaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eager > 0
}

// record publishes the results of one read, which began at that time, and lets those go
// on who wait for it.
func (s *sampler) record(batch []*watched, results []result, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range batch {
		w.err = results[i].err
		if w.err == nil {
			w.sample = Sample{Depth: results[i].depth, At: began, Rate: w.rate.add(results[i].depth.Added, began)}
			w.validUntil = began.Add(2 * s.options.Tick)
		} else {
			w.sample = Sample{}
			w.validUntil = s.options.Now().Add(s.delay() + s.options.ReadTimeout)
		}
		close(w.next)
		w.next = make(chan struct{})
		for updates := range w.subscribers {
			select {
			case updates <- struct{}{}:
			default: // it has one to receive yet
			}
		}
	}
}

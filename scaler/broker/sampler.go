package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// watched is one queue of a sampler. Its fields are guarded by the sampler's mutex, but
// for reader, which only the sampler's goroutine uses. There are thousands, and each tick
// goes through them all: they are small, and what few of them need is made when needed.
type watched struct {
	reader queue.Reader

	sample      Sample
	err         error
	validUntil  time.Time // of sample or err; zero: never read
	lastAsked   time.Time
	reserved    int           // subscribers on their way
	eager       int           // subscribers that wait for an edge
	next        chan struct{} // closed by the next read's end; nil: nobody waits
	subscribers []chan struct{}
	rate        *rateMeter // nil: nothing was counted yet
}

// sampler reads the queues of one server, in its own goroutine.
type sampler struct {
	server  Server
	options Options
	wake    chan struct{} // asks for a read before the next tick

	mu     sync.Mutex
	queues map[queue.Queue]*watched
	added  []*watched // since the last tick
	unread int        // of added, those since the last read: they are the last
	// regroup is set where other queues are awaited than those of the batch.
	regroup bool

	// The goroutine's own.
	all        batch       // the queues of the last tick, in the order in which they came
	awaited    batch       // of these and those added, whose next message somebody awaits
	failures   int         // in a row
	failure    error       // of the last read
	connecting atomic.Bool // a connection was tried, and none has been made since
}

// batch is queues that are read together.
type batch struct {
	watched []*watched
	read    *queue.Batch
}

func newBatch(all []*watched) batch {
	readers := make([]*queue.Reader, len(all))
	for i, w := range all {
		readers[i] = &w.reader
	}
	return batch{watched: all, read: queue.NewBatch(readers)}
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
		w = &watched{reader: queue.NewReader(q)}
		s.queues[q] = w
		s.added = append(s.added, w)
		s.unread++
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
			return Sample{}, &ReadError{Server: s.server, Err: s.told(fmt.Errorf("no answer yet: %w", context.Cause(ctx)))}
		}
	}
}

// firstReads is the queues that were never read.
func (s *sampler) firstReads() batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread := slices.Clone(s.added[len(s.added)-s.unread:])
	s.unread = 0
	return newBatch(unread)
}

// tick is all queues, less those that nobody asked for lately: they are dropped.
func (s *sampler) tick() batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	kept := slices.DeleteFunc(s.all.watched, func(w *watched) bool {
		if w.wanted() || now.Sub(w.lastAsked) <= s.options.IdleTimeout {
			return false
		}
		delete(s.queues, w.reader.Queue())
		return true
	})
	if len(s.added) > 0 || len(kept) < len(s.all.watched) {
		s.all = newBatch(append(kept, s.added...))
		s.added, s.unread = nil, 0
	}
	return s.all
}

// edges is the queues whose next message somebody awaits.
func (s *sampler) edges() batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.regroup {
		var awaited []*watched
		for _, w := range slices.Concat(s.all.watched, s.added) {
			if w.eager > 0 {
				awaited = append(awaited, w)
			}
		}
		s.awaited, s.regroup = newBatch(awaited), false
	}
	return s.awaited
}

// record publishes the results of a read, which began at that time, and lets those go on
// who wait for it.
func (s *sampler) record(b batch, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	validUntil := began.Add(2 * s.options.Tick)
	for _, w := range b.watched {
		depth, err := w.reader.Result()
		if err == nil {
			w.sample = Sample{Depth: depth, At: began, Rate: w.arrived(depth.Added, began)}
			w.err, w.validUntil = nil, validUntil
		} else {
			w.sample = Sample{}
			w.err = &ReadError{Server: s.server, Err: s.told(err)}
			w.validUntil = s.options.Now().Add(s.delay() + s.options.ReadTimeout)
		}
		w.tell()
	}
}

// wanted tells whether somebody waits or will wait for a read.
func (w *watched) wanted() bool { return len(w.subscribers) > 0 || w.reserved > 0 || w.next != nil }

// arrived is the rate of arrivals, where they are counted.
func (w *watched) arrived(added int64, at time.Time) *float64 {
	if added < 0 {
		w.rate = nil
		return nil
	}
	if w.rate == nil {
		w.rate = &rateMeter{}
	}
	return w.rate.add(added, at)
}

// tell lets those go on who wait for a read.
func (w *watched) tell() {
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
	for _, updates := range w.subscribers {
		select {
		case updates <- struct{}{}:
		default: // it has one to receive yet
		}
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

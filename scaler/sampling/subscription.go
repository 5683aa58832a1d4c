package sampling

import (
	"slices"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Subscription notifies of new samples of some queues, which stay watched until Close.
type Subscription struct {
	sampler *sampler
	watched []*watched
	updates chan struct{}
	eager   bool
	closed  bool
}

// Subscribe watches queues of one server until the subscription is closed.
func (p *Pool) Subscribe(server broker.Server, queues ...queue.Queue) (*Subscription, error) {
	return p.For("").Subscribe(server, queues...)
}

// Subscribe is Pool.Subscribe.
func (v View) Subscribe(server broker.Server, queues ...queue.Queue) (*Subscription, error) {
	s, all, err := v.pool.watch(v.namespace, server, queues, true)
	if err != nil {
		return nil, err
	}
	sub := &Subscription{sampler: s, watched: all, updates: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range all {
		w.reserved--
		if slices.Contains(w.subscribers, sub.updates) {
			continue // a queue that is named twice
		}
		w.subscribers = append(w.subscribers, sub.updates)
		if !w.validUntil.IsZero() {
			notify(sub.updates) // there is a result already
		}
	}
	return sub, nil
}

// Updates receives after each read of one of the queues, failed ones included; reads that
// come while nobody receives are merged into one.
func (s *Subscription) Updates() <-chan struct{} { return s.updates }

// Await has the queues read four times a tick while eager is true: for who waits for the
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
	for _, w := range s.watched {
		w.eager += change
		w.lane.regroup = true
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.sampler.mu.Lock()
	defer s.sampler.mu.Unlock()
	s.await(false)
	s.closed = true
	for _, w := range s.watched {
		w.subscribers = slices.DeleteFunc(w.subscribers, func(c chan struct{}) bool { return c == s.updates })
	}
}

// notify makes a channel with room for one receive, now or later.
func notify(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default: // it has one to receive yet
	}
}

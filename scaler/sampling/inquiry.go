package sampling

import (
	"context"
	"sync"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Inquiry is a question about queues of one server that is asked again and again. It
// remembers where they are watched, so that as a rule nothing has to be looked up. It is safe
// for concurrent use.
type Inquiry struct {
	view   View
	server broker.Server
	queues []queue.Queue
	window Window // of Sample.Work; nil: that is not asked for

	mu      sync.Mutex
	sampler *sampler // nil: not asked yet
	watched []*watched
}

// Inquire returns a question. Nothing is watched before it is asked.
func (v View) Inquire(server broker.Server, queues []queue.Queue) *Inquiry {
	return &Inquiry{view: v, server: server, queues: queues}
}

// WithWork has the question ask for Sample.Work, too, over a window. From the first answer on, and for as
// long as somebody asks, what is in flight is remembered. It must be called before Depths.
func (i *Inquiry) WithWork(window Window) *Inquiry {
	i.window = window
	return i
}

// Depths is Pool.Depths.
func (i *Inquiry) Depths(ctx context.Context) ([]Sample, error) {
	i.mu.Lock()
	s, all := i.sampler, i.watched
	i.mu.Unlock()
	if s != nil {
		if samples := s.known(all, i.window); samples != nil {
			return samples, nil
		}
	}
	s, all, err := i.view.pool.watch(i.view.namespace, i.server, i.queues, false) //nolint:contextcheck // the sampler outlives the call
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.sampler, i.watched = s, all
	i.mu.Unlock()
	samples, err := s.await(ctx, all)
	if err == nil && i.window != nil {
		s.addWork(samples, all, i.window)
	}
	return samples, err
}

// addWork adds the work of each queue.
func (s *sampler) addWork(samples []Sample, all []*watched, window Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	for i, w := range all {
		samples[i].Work = s.workOf(w, window, now)
	}
}

// known is the samples of queues that are watched yet and fresh; nil where any is not.
func (s *sampler) known(all []*watched, window Window) []Sample {
	samples := make([]Sample, len(all))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	for i, w := range all {
		if w.dropped || w.err != nil || now.After(w.validUntil) {
			return nil
		}
		w.lastAsked = now
		samples[i] = w.sample
		if window != nil {
			samples[i].Work = s.workOf(w, window, now)
		}
	}
	return samples
}

// await is the samples of queues, after the next read where they are too old. The error is
// that of the first queue that has one.
func (s *sampler) await(ctx context.Context, all []*watched) (samples []Sample, err error) {
	samples = make([]Sample, len(all))
	for i, w := range all {
		if samples[i], err = s.fresh(ctx, w); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

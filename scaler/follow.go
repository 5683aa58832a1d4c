package scaler

import (
	"context"
	"errors"

	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// followed is what a stream is about. The ScaledObject may be edited while the stream is open.
type followed struct {
	service      *Service
	question     question
	request      *request
	subscription *sampling.Subscription
	unsettled    int32 // the number of replicas for which the HPA was waited for in vain; 0: none
}

// follow resolves a stream's question, which has no deadline of its own, and then
// subscribes to its queues.
func (s *Service) follow(ctx context.Context, q question) (*followed, error) {
	r, err := s.resolveBounded(ctx, q)
	if err != nil {
		return nil, err
	}
	f := &followed{service: s, question: q, request: r}
	if f.subscription, err = s.pool.For(r.namespace).Subscribe(r.server, r.queues...); err != nil { //nolint:contextcheck // the sampler outlives the stream
		return nil, r.subscribeError(err)
	}
	return f, nil
}

// subscribeError is the error of a subscription; the pool's own error if the pool is closed.
func (r *request) subscribeError(err error) error {
	if errors.Is(err, sampling.ErrClosed) {
		return err
	}
	return r.brokerError(err)
}

// resolveBounded is resolve for a stream.
func (s *Service) resolveBounded(ctx context.Context, q question) (*request, error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	return s.resolve(ctx, q)
}

// look resolves again what the stream is about. If that has other queues now, it subscribes to
// those. After an error nothing has changed.
func (f *followed) look(ctx context.Context) error {
	r, err := f.service.resolveNow(ctx, f.question)
	if err != nil {
		return unmarked(err)
	}
	if !r.same(f.request) {
		subscription, err := f.service.pool.For(r.namespace).Subscribe(r.server, r.queues...) //nolint:contextcheck // the sampler outlives the stream
		if err != nil {
			return r.subscribeError(err)
		}
		f.subscription.Close()
		f.subscription = subscription
	}
	f.request = r
	return nil
}

func (f *followed) close() { f.subscription.Close() }

// endOf is how a stream ends because of an error of follow or look: with nil if the scaler is
// shutting down.
func endOf(err error) error {
	if errors.Is(err, sampling.ErrClosed) {
		return nil
	}
	return err
}

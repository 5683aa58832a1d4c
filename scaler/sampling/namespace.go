package sampling

import (
	"context"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// DefaultMaxServersPerNamespace is that of Options. A silent server costs some 70 KB with a
// queue, so a namespace may take some 14 MB.
const DefaultMaxServersPerNamespace = 200

// View is the pool as a namespace may use it: within Options.MaxServersPerNamespace.
type View struct {
	pool      *Pool
	namespace string // empty: without a bound
}

// For returns the pool's view for the ScaledObjects of a namespace. A server counts for the
// namespace that asked for it first, as long as it is watched; for others it is free.
func (p *Pool) For(namespace string) View { return View{pool: p, namespace: namespace} }

// Depth is Pool.Depth.
func (v View) Depth(ctx context.Context, server broker.Server, q queue.Queue) (Sample, error) {
	samples, err := v.Depths(ctx, server, []queue.Queue{q})
	if err != nil {
		return Sample{}, err
	}
	return samples[0], nil
}

// Depths is Pool.Depths.
func (v View) Depths(ctx context.Context, server broker.Server, queues []queue.Queue) ([]Sample, error) {
	s, all, err := v.pool.watch(v.namespace, server, queues, false) //nolint:contextcheck // the sampler outlives the call
	if err != nil {
		return nil, err
	}
	return s.await(ctx, all)
}

// admit counts a new server for a namespace, unless that has as many as it may. The pool's
// mutex is held.
func (p *Pool) admit(namespace string) error {
	if namespace == "" {
		return nil
	}
	if most := p.options.MaxServersPerNamespace; p.servers[namespace] >= most {
		return &broker.TooManyServersError{Namespace: namespace, Max: most}
	}
	p.servers[namespace]++
	return nil
}

// dismiss takes back what admit counted. The pool's mutex is held.
func (p *Pool) dismiss(namespace string) {
	if namespace == "" {
		return
	}
	if p.servers[namespace]--; p.servers[namespace] == 0 {
		delete(p.servers, namespace)
	}
}

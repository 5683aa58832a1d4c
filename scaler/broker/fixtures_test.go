package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	tick     = 20 * time.Millisecond
	deadline = time.Minute
	// patient is a timeout that no reply meets, where the machine has much else to do.
	patient = deadline
)

// newPool reads servers over the connections that are tested.
func newPool(t *testing.T, options sampling.Options) *sampling.Pool {
	if options.Tick == 0 {
		options.Tick = tick
	}
	pool := sampling.NewPool(options)
	t.Cleanup(pool.Close)
	return pool
}

func list(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.List} }

// read is a read of a server that may not answer.
func read(t *testing.T, pool *sampling.Pool, server broker.Server, q queue.Queue) (sampling.Sample, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*deadline)
	defer cancel()
	return pool.Depth(ctx, server, q)
}

package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// tick is the time between two reads of the scaler.
const tick = 250 * time.Millisecond

// reader is the scaler's own, and holds what it reads against the truth.
type reader struct {
	pool   *sampling.Pool
	server broker.Server
	queue  queue.Queue
	ledger *ledger

	samples, failed, lowerBounds int
	mostOver                     int64 // by how much it was above the truth, at most
	faults                       []string
}

func newReader(t *testing.T, addr string, kind queue.Kind, l *ledger) *reader {
	t.Helper()
	r := &reader{
		pool:   sampling.NewPool(sampling.Options{Tick: tick}),
		server: broker.Server{Address: addr},
		queue:  queue.Queue{Key: key, Kind: kind},
		ledger: l,
	}
	if kind == queue.Stream {
		r.queue.Group = queue.DefaultConsumerGroup
	}
	t.Cleanup(r.pool.Close)
	return r
}

// read is what the scaler reads, in a read that begins later than this call.
func (r *reader) read(ctx context.Context) (queue.Depth, error) {
	called := time.Now()
	for {
		sample, err := r.pool.Depth(ctx, r.server, r.queue)
		if err != nil || sample.At.After(called) {
			return sample.Depth, err
		}
		if !spend(ctx, tick/4) {
			return queue.Depth{}, ctx.Err()
		}
	}
}

// watch compares until ctx ends. What a message's worker has not done is in the queue at any time, whatever
// is at fault; only a depth that says it is a lower bound may be lower.
func (r *reader) watch(ctx context.Context) {
	for spend(ctx, tick) {
		before, known := r.ledger.known()
		published, endedBefore := r.ledger.counts()
		depth, err := r.read(ctx)
		if ctx.Err() != nil {
			return
		}
		if since, _ := r.ledger.known(); !known || since != before {
			continue // what is published is not known
		}
		if err != nil {
			r.failed++
			continue
		}
		after, ended := r.ledger.counts()
		r.samples++
		r.compare(depth, int64(published-ended), int64(after-endedBefore))
	}
}

// compare takes the fewest and the most messages that were unfinished during the read.
func (r *reader) compare(depth queue.Depth, fewest, most int64) {
	r.mostOver = max(r.mostOver, depth.Total()-most)
	switch {
	case depth.Total() >= fewest:
	case depth.LowerBound:
		r.lowerBounds++
	default:
		r.faults = append(r.faults, fmt.Sprintf("at %s it read %d ready and %d in flight, while %d messages were unfinished",
			time.Now().Format(time.TimeOnly), depth.Ready, depth.InFlight, fewest))
	}
}

func (r *reader) String() string {
	return fmt.Sprintf("%d reads compared with the truth, %d failed (the server was away), %d lower bounds below it, %d faults; at most %d above it",
		r.samples, r.failed, r.lowerBounds, len(r.faults), r.mostOver)
}

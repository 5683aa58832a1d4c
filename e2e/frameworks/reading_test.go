package frameworks

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	tick     = 20 * time.Millisecond
	deadline = 30 * time.Second
	// later is when a job is due that isn't within any test.
	later = time.Hour
	// soon is when a job is due that is within the test: asynq counts in whole seconds.
	soon = 1200 * time.Millisecond
)

// count is a depth without what tells of times.
type count struct{ Ready, InFlight int64 }

// reader is the scaler's side: a pool, and the queues of one framework.
type reader struct {
	pool   *sampling.Pool
	server broker.Server
	names  []string
	queues []queue.Queue
}

func newReader(t *testing.T, server broker.Server, preset framework.Framework, prefix string, names ...string) *reader {
	t.Helper()
	r := &reader{
		pool:   sampling.NewPool(sampling.Options{Tick: tick}),
		server: server,
		names:  names,
		queues: queue.OfPreset(preset, prefix, names, true),
	}
	t.Cleanup(r.pool.Close)
	require.Len(t, r.queues, len(names), "one reading for each queue of these frameworks")
	return r
}

// read is what the scaler reads of each queue, by its name, in a read that begins later
// than this call: what was told by an earlier one proves nothing.
func (r *reader) read(t *testing.T) map[string]queue.Depth {
	t.Helper()
	called := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ticker := time.NewTicker(tick / 2)
	defer ticker.Stop()
	for {
		samples, err := r.pool.Depths(ctx, r.server, r.queues)
		require.NoError(t, err)
		require.Len(t, samples, len(r.queues))
		depths, fresh := map[string]queue.Depth{}, true
		for i, sample := range samples {
			depths[r.names[i]] = sample.Depth
			fresh = fresh && sample.At.After(called)
		}
		if fresh {
			return depths
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no queue was read anew within %s", deadline)
		case <-ticker.C:
		}
	}
}

// counts is what the scaler counts in each queue.
func (r *reader) counts(t *testing.T) map[string]count {
	t.Helper()
	counts := map[string]count{}
	for name, depth := range r.read(t) {
		assert.False(t, depth.LowerBound, "%s is counted exactly", name)
		counts[name] = count{Ready: depth.Ready, InFlight: depth.InFlight}
	}
	return counts
}

// eventually waits until what the framework itself tells is as wanted.
func eventually[T any](t *testing.T, want T, tell func() T, step string) {
	t.Helper()
	var got T
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-ticker.C {
		if got = tell(); assert.ObjectsAreEqual(want, got) {
			return
		}
	}
	require.Equal(t, want, got, "%s: the framework does not come to it within %s", step, deadline)
}

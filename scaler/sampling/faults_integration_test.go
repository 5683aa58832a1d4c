//go:build integration

package sampling_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// faulty is a server in front of a real one, whose replies go through spoil.
func faulty(t *testing.T, server string, spoil redistest.Pump) string {
	return redistest.StartProxyWith(t, server, func() (requests, replies redistest.Pump) { return nil, spoil }).Addr
}

// slowly sends a byte now and then, so that the connection never falls silent.
func slowly(ctx context.Context) redistest.Pump {
	return func(to io.Writer, replies io.Reader) error {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
			if _, err := io.CopyN(to, replies, 1); err != nil {
				return err
			}
		}
	}
}

// dying ends the connection in the middle of the replies.
func dying(to io.Writer, replies io.Reader) error {
	_, err := io.CopyN(to, replies, 30)
	return err
}

// faultyFor is how long servers are read that fail.
const faultyFor = 5 * time.Second

// Servers that fail in all ways must not delay the queues of one that works, and are
// told of in time.
func TestFaultyServersDelayNobodyElse(t *testing.T) {
	const queues = 100
	server := redistest.Start(t)
	for i := range queues {
		require.NoError(t, server.Client().LPush(t.Context(), fmt.Sprint("q", i), "x").Err())
	}
	servers := map[string]struct {
		address string
		cause   broker.Cause
	}{
		"accepts and never answers": {redistest.StartSilent(t), broker.Slow},
		"answers slowly":            {faulty(t, server.Addr, slowly(t.Context())), broker.Slow},
		"dies mid-pipeline":         {faulty(t, server.Addr, dying), broker.Unreachable},
		"takes no connection":       {redistest.StartFull(t), broker.Unreachable},
	}
	pool := newPool(t, sampling.Options{Tick: 250 * time.Millisecond})
	ctx, stop := context.WithTimeout(t.Context(), faultyFor)
	defer stop()
	var wait sync.WaitGroup
	for name, test := range servers {
		for i := range 4 {
			wait.Go(func() {
				asked := 0
				pace := time.NewTicker(tick)
				defer pace.Stop()
				for ctx.Err() == nil {
					sample, err := askInTime(ctx, pool, test.address, fmt.Sprint("q", i))
					var read *broker.ReadError
					if assert.ErrorAs(t, err, &read, name) {
						assert.Equal(t, test.cause, read.Cause(), "%s: %v", name, err)
					}
					assert.Zero(t, sample, name)
					asked++
					select {
					case <-ctx.Done():
					case <-pace.C:
					}
				}
				assert.Positive(t, asked, name)
			})
		}
	}
	ticks := readOn(t, pool, server.Addr, queues, ctx.Done())
	wait.Wait()
	// How fast it is BenchmarkReadsBesideHostileServers tells; who waited for one that fails waited
	// for its timeout each time.
	assert.Greater(t, ticks, int(faultyFor/broker.DefaultReadTimeout), "reads of the server that works")
}

// askInTime asks with the deadline that the scaler's handlers set.
func askInTime(ctx context.Context, pool *sampling.Pool, address, key string) (sampling.Sample, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return pool.Depth(ctx, broker.Server{Address: address}, list(key))
}

// readOn asks for the queues of a server that works until the end, and returns how often they
// were read.
func readOn(t *testing.T, pool *sampling.Pool, address string, queues int, end <-chan struct{}) (ticks int) {
	var all []queue.Queue
	for i := range queues {
		all = append(all, queue.Queue{Key: fmt.Sprint("q", i), Kind: queue.Auto})
	}
	subscription, err := pool.Subscribe(broker.Server{Address: address}, all...)
	require.NoError(t, err)
	defer subscription.Close()
	for {
		select {
		case <-end:
			return ticks
		case <-subscription.Updates():
			ticks++
		}
		samples, err := pool.Depths(t.Context(), broker.Server{Address: address}, all)
		require.NoError(t, err)
		for _, sample := range samples {
			require.EqualValues(t, 1, sample.Total())
		}
	}
}

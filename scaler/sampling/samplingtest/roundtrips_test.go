//go:build integration

package samplingtest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// toll is a proxy that counts round trips: it keeps replies back until the pipeline that they
// are of has come to its end, which is its question for the role. So all that a client sends
// without waiting is one, and who waits for a reply in the midst of it waits for ever.
type toll struct {
	*redistest.Proxy

	mu    sync.Mutex
	opens sync.Cond
	ended bool     // the test
	trips []string // when each began, and with what
}

func newToll(t *testing.T, server string) *toll {
	t.Helper()
	l := &toll{}
	l.opens.L = &l.mu
	l.Proxy = redistest.StartProxyWith(t, server, func() (requests, replies redistest.Pump) {
		c := &tolled{toll: l}
		return redistest.Tap(c.asked), redistest.Tap(c.answered)
	})
	t.Cleanup(func() { // let those go that wait
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
		l.opens.Broadcast()
	})
	return l
}

func (l *toll) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.trips)
}

// tolled is one connection. Its fields are guarded by the toll's mutex.
type tolled struct {
	toll *toll

	last    []byte // of what was asked: the end of a pipeline may come in two parts
	waiting bool   // it has sent something, and no reply was let pass since
	whole   bool   // what it has sent is a whole pipeline
}

// rare tells what go-redis sends once in a connection's life, and a question for a
// cluster's slots, which it asks now and then: on a connection of their own, where the
// tick's is in use. Neither comes with a question for the role.
func rare(begin []byte) bool {
	begin = bytes.ToLower(begin[:min(len(begin), 20)])
	return bytes.Contains(begin, []byte("hello")) || bytes.Contains(begin, []byte("cluster"))
}

// role is how a pipeline ends.
var role = []byte("$4\r\nrole\r\n")

func (c *tolled) asked(p []byte) error {
	c.toll.mu.Lock()
	defer c.toll.mu.Unlock()
	if !c.waiting {
		c.waiting, c.whole, c.last = true, rare(p), nil
		if !c.whole {
			c.toll.trips = append(c.toll.trips, fmt.Sprintf("%d %.60q", len(p), p))
		}
	}
	c.last = append(c.last, p...)
	c.whole = c.whole || bytes.Contains(bytes.ToLower(c.last), role)
	c.last = c.last[max(0, len(c.last)-len(role)):]
	c.toll.opens.Broadcast()
	return nil
}

// answered waits until a reply may pass.
func (c *tolled) answered([]byte) error {
	c.toll.mu.Lock()
	defer c.toll.mu.Unlock()
	for !c.whole && !c.toll.ended {
		c.toll.opens.Wait()
	}
	c.waiting = false
	return nil
}

const (
	manyQueues  = 1000
	countedRead = 5 // ticks
)

// fillMany makes a thousand queues: lists, lists with a consumer, streams and sorted sets.
func fillMany(t *testing.T, client redis.UniversalClient) []queue.Queue {
	t.Helper()
	var queues []queue.Queue
	_, err := client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range manyQueues {
			key := fmt.Sprint("q", i)
			kind := queue.Auto
			switch i % 4 {
			case 0:
				pipe.LPush(t.Context(), key, "a", "b")
			case 1:
				pipe.LPush(t.Context(), key, "a")
				pipe.ZAdd(t.Context(), queue.ConsumersKey(key), redis.Z{Member: "w"})
				pipe.LPush(t.Context(), queue.ProcessingKey(key, "w"), "b")
			case 2:
				pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"a", "b"}})
				pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"a", "b"}})
			case 3:
				kind = queue.SortedSet
				pipe.ZAdd(t.Context(), key, redis.Z{Member: "a"}, redis.Z{Member: "b"})
			}
			queues = append(queues, queue.Queue{Key: key, Kind: kind})
		}
		return nil
	})
	require.NoError(t, err)
	return queues
}

// A thousand queues take one round trip a tick; in a cluster, one to each node.
func TestATickIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	for _, mode := range []broker.Mode{broker.Standalone, broker.Cluster} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			d := deploy(t, mode, false, false)
			queues := fillMany(t, d.client)
			tolls := map[*redistest.Server]*toll{}
			var addresses []string
			for _, node := range d.nodes {
				tolls[node] = newToll(t, node.Addr)
				addresses = append(addresses, tolls[node].Addr)
			}
			of := map[*redistest.Server]queue.Queue{} // the last queue of each node
			for _, q := range queues {
				of[d.nodeOf(q.Key)] = q
			}
			require.Len(t, of, len(d.nodes))
			if d.cluster != nil {
				d.cluster.Announce(func(node *redistest.Server) string { return tolls[node].Addr })
			}
			server := broker.Server{Mode: mode, Address: strings.Join(addresses, ",")}
			pool := d.pool(t, sampling.Options{Tick: time.Second, Options: broker.Options{ReadTimeout: deadline}})
			everything, err := pool.Subscribe(server, queues...)
			require.NoError(t, err)
			defer everything.Close()
			for _, sample := range must(depths(t, pool, server, queues...))(t) {
				assert.EqualValues(t, 2, sample.Total())
			}
			var wait sync.WaitGroup
			for node, q := range of {
				wait.Go(func() { countTrips(t, pool, server, q, tolls[node]) })
			}
			wait.Wait()
			for _, sample := range must(depths(t, pool, server, queues...))(t) {
				assert.EqualValues(t, 2, sample.Total())
			}
		})
	}
}

func must(samples []sampling.Sample, err error) func(t *testing.T) []sampling.Sample {
	return func(t *testing.T) []sampling.Sample {
		t.Helper()
		require.NoError(t, err)
		return samples
	}
}

// countTrips compares the ticks of one node, of which its queue tells, with its round trips.
func countTrips(t *testing.T, pool *sampling.Pool, server broker.Server, q queue.Queue, l *toll) {
	subscription, err := pool.Subscribe(server, q)
	if !assert.NoError(t, err) {
		return
	}
	defer subscription.Close()
	update := func() bool {
		select {
		case <-subscription.Updates():
			return true
		case <-time.After(deadline):
			return assert.Fail(t, "no tick")
		}
	}
	for range 4 { // what was read before; kinds and consumers become known
		if !update() {
			return
		}
	}
	before := l.count()
	for range countedRead {
		if !update() {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.Len(t, l.trips[before:], countedRead, "round trips of %d ticks, after %q", countedRead, l.trips[before-1])
}

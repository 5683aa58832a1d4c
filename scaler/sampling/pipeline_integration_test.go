//go:build integration

package sampling_test

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

// gate stands between the sampler and a server. Once closed, it keeps all replies back
// until so many commands have come as a whole pipeline has: who waits for a reply before
// that waits for ever.
type gate struct {
	*redistest.Proxy

	mu       sync.Mutex
	opens    sync.Cond
	commands int // since it was closed
	whole    int // commands of a pipeline; 0: it is open
	clients  int // connections, ever
}

func newGate(t *testing.T, server string) *gate {
	g := &gate{}
	g.opens.L = &g.mu
	g.Proxy = redistest.StartProxyWith(t, server, func() (requests, replies redistest.Pump) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.clients++
		return redistest.Tap(g.asked), redistest.Tap(g.answered)
	})
	t.Cleanup(func() { g.close(0) }) // let those go that wait
	return g
}

// asked counts commands: each is an array, and no key of the test holds a "*".
func (g *gate) asked(p []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commands += bytes.Count(p, []byte("*"))
	g.opens.Broadcast()
	return nil
}

// answered waits until a reply may pass.
func (g *gate) answered([]byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.commands < g.whole {
		g.opens.Wait()
	}
	return nil
}

// close keeps replies back from now on, until that many commands have come.
func (g *gate) close(whole int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commands, g.whole = 0, whole
	g.opens.Broadcast()
}

func (g *gate) count() (commands, clients int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.commands, g.clients
}

// fillQueues makes that many lists, streams, and lists with a consumer at work.
func fillQueues(t *testing.T, client *redis.Client, queues int) {
	t.Helper()
	_, err := client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range queues {
			pipe.LPush(t.Context(), fmt.Sprint("list-", i), "x")
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: fmt.Sprint("stream-", i), Values: []any{"a", "1"}})
			pipe.LPush(t.Context(), fmt.Sprint("busy-", i), "x", "y")
			pipe.ZAdd(t.Context(), queue.ConsumersKey(fmt.Sprint("busy-", i)), redis.Z{Member: "a"})
			pipe.LMove(t.Context(), fmt.Sprint("busy-", i), queue.ProcessingKey(fmt.Sprint("busy-", i), "a"), "RIGHT", "LEFT")
		}
		return nil
	})
	require.NoError(t, err)
}

// One pipeline for each server and tick, whatever the number of channels, and one command
// for each list: the first reply passes only when the last command has come.
func TestATickIsOnePipeline(t *testing.T) {
	const queues = 1000
	server := redistest.Start(t)
	fillQueues(t, server.Client(), queues)
	tests := map[string]struct {
		prefix   string
		commands int // of a tick
		total    int64
	}{
		"lists":   {"list-", queues + queues/100 + 1, 1}, // LLEN, and EXISTS for each hundred; ROLE
		"absent":  {"none-", queues + queues/100 + 1, 0}, // TYPE, and EXISTS for each hundred; ROLE
		"streams": {"stream-", 2*queues + 1, 1},          // XINFO STREAM and GROUPS; ROLE
		// LLEN; LLEN, ZCOUNT, ZCARD of what was taken; ZRANGE of the consumers, LLEN of one;
		// GET, ZRANGE and LLEN of the counters; ROLE
		"lists with a consumer": {"busy-", 9*queues + 1, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := newGate(t, server.Addr)
			pool := newPool(t, sampling.Options{Tick: 500 * time.Millisecond, Options: broker.Options{ReadTimeout: deadline}})
			address := broker.Server{Address: gate.Addr}
			var last *sampling.Subscription
			for i := range queues {
				var err error
				last, err = pool.Subscribe(address, queue.Queue{Key: fmt.Sprint(test.prefix, i), Kind: queue.Auto})
				require.NoError(t, err)
				t.Cleanup(last.Close)
			}
			update := func() {
				t.Helper()
				select {
				case <-last.Updates():
				case <-time.After(deadline):
					commands, _ := gate.count()
					t.Fatalf("no read within %s: after %d commands it waits for a reply", deadline, commands)
				}
			}
			for range 3 { // first reads, kinds and consumers
				update()
			}
			for range 3 {
				select {
				case <-last.Updates(): // of a while ago
				default:
				}
				update() // so that none is under way
				gate.close(test.commands)
				update()
				commands, clients := gate.count()
				assert.Equal(t, test.commands, commands, "commands of a tick")
				assert.LessOrEqual(t, clients, 2, "connections, those that are closed again included")
			}
			for _, i := range []int{0, queues / 2, queues - 1} {
				sample, err := pool.Depth(t.Context(), address, queue.Queue{Key: fmt.Sprint(test.prefix, i), Kind: queue.Auto})
				require.NoError(t, err)
				assert.Equal(t, test.total, sample.Total())
			}
		})
	}
}

// What the server itself counts.
func TestAThousandQueuesTakeTwoConnectionsAtMost(t *testing.T) {
	const queues = 1000
	server := redistest.Start(t)
	client := server.Client()
	connections := func() int {
		clients, err := client.Do(t.Context(), "CLIENT", "LIST").Text()
		require.NoError(t, err)
		return strings.Count(clients, "\n")
	}
	before := connections()
	pool := newPool(t, sampling.Options{})
	var wait sync.WaitGroup
	for i := range queues {
		wait.Go(func() {
			_, err := pool.Depth(t.Context(), broker.Server{Address: server.Addr}, list(fmt.Sprint("q", i)))
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	llens := redistest.Calls(t, client, "llen")
	assert.Eventually(t, func() bool {
		assert.LessOrEqual(t, connections()-before, 2)
		return redistest.Calls(t, client, "llen") >= llens+10*queues
	}, deadline, tick)
}

package sampling_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// What a pipeline may hold bounds memory. It must not keep a server from being read whose
// queues are each within every limit: they are read in more pipelines.
func TestManyLargeQueuesOfOneServer(t *testing.T) {
	for name, test := range map[string]struct {
		queues int
		fill   func(redis.Pipeliner, int) // for each queue
		queue  func(int) queue.Queue
	}{
		"streams of large entries": {
			queues: 24,
			fill: func(p redis.Pipeliner, i int) {
				for range 2 { // XINFO STREAM holds the first and the last
					p.XAdd(t.Context(), &redis.XAddArgs{Stream: fmt.Sprint("s", i), Values: []string{"payload", strings.Repeat("x", 500<<10)}})
				}
			},
			queue: func(i int) queue.Queue { return queue.Queue{Key: fmt.Sprint("s", i), Kind: queue.Stream, Group: "g"} },
		},
		"many groups of one stream": {
			queues: 140,
			fill: func(p redis.Pipeliner, i int) {
				if i < 2 {
					p.XAdd(t.Context(), &redis.XAddArgs{Stream: "events", Values: []string{"payload", "x"}})
				}
				p.XGroupCreateMkStream(t.Context(), "events", fmt.Sprint("group", i), "0")
			},
			queue: func(i int) queue.Queue {
				return queue.Queue{Key: "events", Kind: queue.Stream, Group: fmt.Sprint("group", i)}
			},
		},
		"jobs of lists whose age is asked": {
			queues: 24,
			fill: func(p redis.Pipeliner, i int) {
				job := fmt.Sprintf(`{"enqueued_at":1700000000.0,"args":[%q]}`, strings.Repeat("x", 800<<10))
				p.RPush(t.Context(), fmt.Sprint("queue:q", i), job, job)
			},
			queue: func(i int) queue.Queue {
				return queue.Queue{Key: fmt.Sprint("q", i), Kind: queue.KindOf(framework.Sidekiq), Age: true}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			pipe := server.Client().Pipeline()
			queues := []queue.Queue{list("plain")}
			for i := range test.queues {
				test.fill(pipe, i)
				queues = append(queues, test.queue(i))
			}
			_, err := pipe.Exec(t.Context())
			require.NoError(t, err)
			// A sample is good for two ticks, which reading all this may take.
			pool := newPool(t, sampling.Options{Tick: deadline, Options: broker.Options{ReadTimeout: patient}})
			ctx, cancel := context.WithTimeout(t.Context(), 3*deadline)
			defer cancel()
			samples, err := pool.Depths(ctx, broker.Server{Address: server.Addr}, queues)
			require.NoError(t, err)
			for i, sample := range samples[1:] {
				assert.EqualValues(t, 2, sample.Ready, "%v", queues[i+1])
			}
		})
	}
}

// A server that several namespaces ask is read though one of them asked first, and has servers
// of its own that take all that its servers' replies may hold.
func TestASharedServerIsNotItsFirstNamespacesAlone(t *testing.T) {
	holds := func(bytes int) redistest.Answer {
		return redistest.AfterHello(func(to io.Writer, _ []string, done <-chan struct{}) {
			_, _ = fmt.Fprintf(to, "$%d\r\n", bytes) // the client may be gone
			<-done
		})
	}
	stream := queue.Queue{Key: "s", Kind: queue.Stream}
	withLargeEntries := func() broker.Server {
		server := redistest.Start(t)
		for range 2 {
			require.NoError(t, server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "s", Values: []string{"payload", strings.Repeat("x", 200<<10)}}).Err())
		}
		return broker.Server{Address: server.Addr}
	}
	shared, own := withLargeEntries(), withLargeEntries()
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: 3 * patient}})
	mallory, shop := pool.For("mallory"), pool.For("shop")
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	_, err := mallory.Depth(ctx, shared, list("q"))
	require.NoError(t, err)
	for _, bytes := range []int{8 << 20, 8 << 20, 190_000} {
		hostile := redistest.StartScripted(t, holds(bytes))
		subscription, err := mallory.Subscribe(broker.Server{Address: hostile.Addr}, list("q"))
		require.NoError(t, err)
		defer subscription.Close()
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := mallory.Depth(ctx, own, stream)
		failure := new(broker.ReadError)
		require.ErrorAs(c, err, &failure)
		assert.Equal(c, broker.ReplyBudget, failure.Cause(), "%v", err)
	}, deadline, tick, "mallory's servers hold all that they may")

	sample, err := shop.Depth(ctx, shared, stream)
	require.NoError(t, err)
	assert.EqualValues(t, 2, sample.Total())
}

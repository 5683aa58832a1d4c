//go:build integration

package samplingtest

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A Service moves on and the old master is demoted. Old connections stay on it, and it
// keeps answering with what it had.
func TestTrapOfADemotedMaster(t *testing.T) {
	t.Parallel()
	demote := map[string]func(t *testing.T, model *dragonflytest.Server){
		"Redis says slave": func(t *testing.T, model *dragonflytest.Server) {
			run(t, model.Redis.Client(), []any{"REPLICAOF", "127.0.0.1", "1"}) // where nothing is: it keeps what it has
		},
		"DragonFly says slave, in fewer items": func(_ *testing.T, model *dragonflytest.Server) { model.Demote("127.0.0.1:1") },
	}
	for name, demote := range demote {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, next := dragonflytest.Start(t), redistest.Start(t)
			run(t, before.Redis.Client(), []any{"LPUSH", "q", "a", "b", "c"})
			run(t, next.Client(), []any{"LPUSH", "q", "a"})
			service := redistest.StartProxy(t, before.Addr)
			naive := redis.NewClient(&redis.Options{Addr: service.Addr})
			defer naive.Close()
			require.EqualValues(t, 3, naive.LLen(t.Context(), "q").Val())

			pool := sampling.NewPool(sampling.Options{Tick: tick})
			defer pool.Close()
			server, q := broker.Server{Address: service.Addr}, queue.Queue{Key: "q", Kind: queue.List}
			require.EqualValues(t, 3, depth(t, pool, server, q).Total())

			demote(t, before)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				_, err := depths(t, pool, server, q)
				var read *broker.ReadError
				if assert.ErrorAs(c, err, &read) {
					assert.Equal(c, broker.StaleReplica, read.Cause())
				}
			}, deadline, poll, "while the Service still leads there, the depth is not known")
			service.LeadTo(next.Addr)
			assert.Eventually(t, func() bool {
				sample, err := depths(t, pool, server, q)
				return err == nil && assert.EqualValues(t, 1, sample[0].Total(), "never what the old one has")
			}, deadline, poll)
			assert.EqualValues(t, 3, naive.LLen(t.Context(), "q").Val(), "the naive reading: on its old connection")
		})
	}
}

// XINFO has no MOVED on DragonFly: a stream of another node is "no such key" there, which
// would pass for an empty queue.
func TestTrapOfXInfoInACluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Cluster, false, false)
	fillStream("s")(t, d)
	models := map[*redistest.Server]*dragonflytest.Server{}
	for _, node := range d.cluster.Nodes {
		models[node] = dragonflytest.Front(t, node, append(dragonflytest.All(0), dragonflytest.KeylessXInfo())...)
	}
	d.cluster.Announce(func(node *redistest.Server) string { return models[node].Addr })
	var addresses []string
	wrong := 0
	for node, model := range models {
		addresses = append(addresses, model.Addr)
		if err := model.Client().XInfoStream(t.Context(), "s").Err(); err != nil {
			assert.ErrorContains(t, err, "no such key", "the naive reading")
			assert.NotEqual(t, d.cluster.Owner("s"), node)
			wrong++
		}
	}
	assert.Equal(t, 2, wrong)

	server := broker.Server{Mode: broker.Cluster, Address: strings.Join(addresses, ",")}
	pool := d.pool(t, sampling.Options{})
	q := queue.Queue{Key: "s", Kind: queue.Stream, Group: "g"}
	assert.EqualValues(t, 5, depth(t, pool, server, q).Total())

	// The slot moves: the depth is right, or not known for a moment, and never 0.
	to := d.cluster.Nodes[0]
	if d.cluster.Owner("s") == to {
		to = d.cluster.Nodes[1]
	}
	moved, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		watch(t, pool, server, q, 5, moved)
	}()
	d.cluster.MigrateSlot(t, "s", to)
	close(moved)
	<-watched
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		samples, err := depths(t, pool, server, q)
		if assert.NoError(c, err) {
			assert.EqualValues(c, 5, samples[0].Total())
		}
	}, deadline, poll)
}

// readsAfter is how many reads are looked at once what may disturb them has ended.
const readsAfter = 10

// watch asserts that the depth is never another than that one until the end, and for some
// reads after it.
func watch(t *testing.T, pool *sampling.Pool, server broker.Server, q queue.Queue, total int64, end <-chan struct{}) {
	t.Helper()
	subscription, err := pool.Subscribe(server, q)
	if !assert.NoError(t, err) {
		return
	}
	defer subscription.Close()
	for left := readsAfter; left > 0; {
		select {
		case <-subscription.Updates():
		case <-time.After(deadline):
			assert.Fail(t, "the queue is not read any more")
			return
		}
		if samples, err := depths(t, pool, server, q); err == nil {
			assert.Equal(t, total, samples[0].Total())
		} else {
			t.Logf("not known: %v", err)
		}
		select {
		case <-end:
			left--
		default:
		}
	}
}

// A slot that moves between two masters of a Redis Cluster: ASK while it does, MOVED after.
func TestReshardingMidRead(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Cluster, false, false)
	pool := d.pool(t, sampling.Options{})
	filled := map[string]queue.Queue{
		"list":   {Key: "{x}list", Kind: queue.List},
		"stream": {Key: "{x}stream", Kind: queue.Stream, Group: "g"},
	}
	fillList("{x}list")(t, d)
	fillStream("{x}stream")(t, d)
	total := map[string]int64{"list": 3, "stream": 5}
	for name, q := range filled {
		require.Equal(t, total[name], depth(t, pool, d.server, q).Total())
	}
	from := d.cluster.Owner("{x}")
	to := d.cluster.Nodes[0]
	if from == to {
		to = d.cluster.Nodes[1]
	}
	halfway := func() {
		for name, q := range filled {
			closed := make(chan struct{})
			close(closed)
			watch(t, pool, d.server, q, total[name], closed)
		}
	}
	d.cluster.MigrateSlotWith(t, "{x}", to, halfway)
	halfway()
	for name, q := range filled {
		assert.EventuallyWithT(t, func(c *assert.CollectT) {
			samples, err := depths(t, pool, d.server, q)
			if assert.NoError(c, err) {
				assert.Equal(c, total[name], samples[0].Total())
			}
		}, deadline, poll)
	}
	assert.True(t, redis.HasErrorPrefix(from.Client().LLen(t.Context(), "{x}list").Err(), "MOVED"), "the naive reading")
}

package sampling_test

import (
	"fmt"
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

func clusterServer(cluster *redistest.Cluster) broker.Server {
	return broker.Server{Mode: broker.Cluster, Address: cluster.Addrs()[0] + ", " + cluster.Addrs()[1]}
}

// awaitDepth waits until the queue's depth is so.
func awaitDepth(t *testing.T, pool *sampling.Pool, server broker.Server, key string, want int64) {
	t.Helper()
	var sample sampling.Sample
	var err error
	if !assert.Eventually(t, func() bool {
		sample, err = pool.Depth(t.Context(), server, list(key))
		return err == nil && sample.Total() == want
	}, deadline, tick) {
		t.Fatalf("depth %d, error %v; want %d", sample.Total(), err, want)
	}
}

func TestQueuesOfAClusterAreReadByNode(t *testing.T) {
	const queues = 100
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client()
	pool := newPool(t, sampling.Options{Tick: 200 * time.Millisecond})
	server := clusterServer(cluster)
	var all []queue.Queue
	for i := range queues {
		key := fmt.Sprint("list-", i)
		require.NoError(t, client.LPush(t.Context(), key, "x").Err())
		all = append(all, list(key))
		stream := fmt.Sprint("stream-", i)
		require.NoError(t, client.Do(t.Context(), "XADD", stream, "*", "a", "1").Err())
		all = append(all, queue.Queue{Key: stream, Kind: queue.Stream})
	}
	samples, err := pool.Depths(t.Context(), server, all)
	require.NoError(t, err)
	for i, sample := range samples {
		assert.EqualValues(t, 1, sample.Total(), "%v", all[i])
	}
	subscription, err := pool.Subscribe(server, all...)
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	awaitUpdate(t, subscription)
	for i, node := range cluster.Nodes {
		reads, llens := redistest.Calls(t, node.Client(), "role"), redistest.Calls(t, node.Client(), "llen")
		for redistest.Calls(t, node.Client(), "role") < reads+5 {
			awaitUpdate(t, subscription)
		}
		reads, llens = redistest.Calls(t, node.Client(), "role")-reads, redistest.Calls(t, node.Client(), "llen")-llens
		owned := 0
		for _, q := range all {
			if q.Kind == queue.List && cluster.Owner(q.Key) == node {
				owned++
			}
		}
		assert.InDelta(t, reads*owned, llens, float64(owned), "node %d: one pipeline a tick, which ends with ROLE", i)
	}
	servers, watched := pool.Size()
	assert.Equal(t, 1, servers)
	assert.Equal(t, 2*queues, watched)
}

// While a slot moves, and after, no read fails and none is 0.
func TestASlotThatMovesIsFollowed(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client()
	keys := cluster.Keys()
	moving, absent := keys[0], "{"+keys[0]+"}:absent"
	require.NoError(t, client.LPush(t.Context(), moving, "a", "b", "c").Err())
	require.NoError(t, client.LPush(t.Context(), queue.ProcessingKey(moving, "w"), "d").Err())
	require.NoError(t, client.ZAdd(t.Context(), queue.ConsumersKey(moving), redis.Z{Member: "w"}).Err())
	pool := newPool(t, sampling.Options{})
	server := clusterServer(cluster)
	awaitDepth(t, pool, server, moving, 4)
	awaitDepth(t, pool, server, absent, 0)
	subscription, err := pool.Subscribe(server, list(moving), list(absent))
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	unchanged := func(reads int) {
		t.Helper()
		for range reads {
			awaitUpdate(t, subscription)
			sample, err := pool.Depth(t.Context(), server, list(moving))
			require.NoError(t, err)
			require.EqualValues(t, 4, sample.Total())
			none, err := pool.Depth(t.Context(), server, list(absent))
			require.NoError(t, err)
			require.Zero(t, none.Total())
		}
	}
	target := cluster.Nodes[1]
	cluster.MigrateSlotWith(t, moving, target, func() { unchanged(10) })
	unchanged(10)
	before := redistest.Calls(t, cluster.Nodes[0].Client(), "llen")
	require.Eventually(t, func() bool {
		now := redistest.Calls(t, cluster.Nodes[0].Client(), "llen")
		quiet := now == before
		before = now
		return quiet
	}, deadline, 10*tick, "the old node is not asked any more")
	unchanged(10)
}

// A node that is silent does not delay the queues of the others: while one read of it waits
// for its timeout, there are several of them.
func TestASilentNodeDelaysNoOther(t *testing.T) {
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	keys := cluster.Keys()
	for i, key := range keys {
		require.NoError(t, cluster.Nodes[i].Client().LPush(t.Context(), key, "x").Err())
	}
	pool := newPool(t, sampling.Options{Tick: 50 * time.Millisecond, Options: broker.Options{ReadTimeout: 2 * time.Second}})
	server := broker.Server{Mode: broker.Cluster, Address: cluster.Addrs()[0] + "," + cluster.Addrs()[1] + "," + cluster.Addrs()[2]}
	subscriptions := make([]*sampling.Subscription, len(keys))
	for i, key := range keys {
		awaitDepth(t, pool, server, key, 1)
		var err error
		subscriptions[i], err = pool.Subscribe(server, list(key))
		require.NoError(t, err)
		t.Cleanup(subscriptions[i].Close)
	}
	cluster.Nodes[2].Pause()
	defer cluster.Nodes[2].Resume()
	reads := map[int]int{}
	read := func(i int) {
		sample, err := pool.Depth(t.Context(), server, list(keys[i]))
		require.NoError(t, err)
		require.EqualValues(t, 1, sample.Total())
		reads[i]++
	}
	end := time.After(deadline)
	var slow *broker.ReadError
	for slow == nil {
		select {
		case <-subscriptions[0].Updates():
			read(0)
		case <-subscriptions[1].Updates():
			read(1)
		case <-subscriptions[2].Updates():
			if _, err := pool.Depth(t.Context(), server, list(keys[2])); err != nil {
				require.ErrorAs(t, err, &slow)
			}
		case <-end:
			t.Fatal("the silent node is not told of")
		}
	}
	assert.Contains(t, []broker.Cause{broker.Slow, broker.Unreachable}, slow.Cause(), "%v", slow)
	assert.ErrorContains(t, slow, "node "+cluster.Nodes[2].Addr)
	assert.Greater(t, reads[0], 2, "meanwhile")
	assert.Greater(t, reads[1], 2, "meanwhile")
	cluster.Nodes[2].Resume()
	awaitDepth(t, pool, server, keys[2], 1)
}

// The first look at the slots does not wait for a node that is silent, either: it takes a third
// of the first read's time, and no more.
func TestASilentSeedIsPassedOver(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: 3 * time.Second}})
	server := broker.Server{Mode: broker.Cluster, Address: redistest.StartSilent(t) + "," + cluster.Addrs()[0]}
	sample, err := pool.Depth(t.Context(), server, list(cluster.Keys()[0]))
	require.NoError(t, err)
	assert.Zero(t, sample.Total())
}

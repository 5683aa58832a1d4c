package benchmarks

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// BenchmarkServers reads the depths of 10,000 lists over and over, which are on one server
// or on a hundred. One operation is one depth read.
func BenchmarkServers(b *testing.B) {
	const channels = 10_000
	for _, count := range []int{1, 100} {
		servers := make([]*server, count)
		for i := range servers {
			servers[i] = startServer(b)
			servers[i].fillLists(b.Context(), b, channels/count)
		}
		b.Run(fmt.Sprintf("channels=%d/servers=%d", channels, count), func(b *testing.B) { readServers(b, servers, channels/count) })
		for _, s := range servers {
			s.Stop()
		}
	}
}

// readServers reads n lists of each.
func readServers(b *testing.B, servers []*server, n int) {
	m := serversAtRest(b, servers, n)
	registry := prometheus.NewRegistry()
	pool := sampling.NewPool(sampling.Options{Tick: time.Microsecond, Metrics: sampling.NewMetrics(registry)})
	b.Cleanup(pool.Close)
	updates := watchServers(b, pool, servers, n)
	round := func() {
		for _, u := range updates {
			await(b, u)
		}
	}
	round()
	ticks, spent, each := ticksOf(b, registry), cpu(b), n*len(servers)
	for i := 0; b.Loop(); i++ {
		if i%each == 0 {
			round()
		}
	}
	spent, ticks = cpu(b)-spent, ticksOf(b, registry)-ticks
	m.report(b, spent, ticks*n)
}

func serversAtRest(b *testing.B, servers []*server, n int) measured {
	before := heap()
	pool := sampling.NewPool(sampling.Options{Tick: 200 * time.Millisecond})
	defer pool.Close()
	for _, u := range watchServers(b, pool, servers, n) {
		await(b, u)
	}
	m := measured{heapBytes: heapEach(before, n*len(servers))}
	for _, s := range servers {
		m.connections += s.connections(b.Context(), b)
	}
	return m
}

// watchServers has the pool watch n lists on each server, and tells of each server's reads.
func watchServers(b *testing.B, pool *sampling.Pool, servers []*server, n int) []<-chan struct{} {
	updates := make([]<-chan struct{}, len(servers))
	list := func(i int) queue.Queue { return queue.Queue{Key: key(i), Kind: queue.Auto} }
	for i, s := range servers {
		address := broker.Server{Address: s.Addr}
		lists := make([]queue.Queue, n)
		for j := range lists {
			lists[j] = list(j)
		}
		all, err := pool.Subscribe(address, lists...)
		require.NoError(b, err)
		all.Close() // they stay watched until they were not asked for in minutes
		subscription, err := pool.Subscribe(address, list(n-1))
		require.NoError(b, err)
		updates[i] = subscription.Updates()
	}
	return updates
}

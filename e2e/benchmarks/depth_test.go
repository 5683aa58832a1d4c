package benchmarks

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// counts are the numbers of channels. The cost of each should be the same in all.
var counts = []int{100, 1000, 10_000}

// Units of what is reported.
const (
	unitRead        = "cpu-µs/read" // of a depth, once
	unitAsk         = "cpu-µs/ask"  // of Pool.Depth, for a queue that is watched
	unitConnections = "connections" // at the server
	unitHeap        = "heap-B/channel"
	unitOfEmpty     = "%-of-empty"     // calls per second
	unitCPUOfEmpty  = "%-of-empty-cpu" // calls per second of CPU
)

// kind is a kind of queue, as both sides name it.
type kind struct {
	name  string
	fill  func(s *server, ctx context.Context, b *testing.B, n int)
	queue func(key string) queue.Queue
	keda  func(ctx context.Context, b *testing.B, s *server, n int) []scalers.Scaler
}

var kinds = []kind{
	{
		name:  "list",
		fill:  (*server).fillLists,
		queue: func(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.Auto} },
		keda: func(ctx context.Context, b *testing.B, s *server, n int) []scalers.Scaler {
			return kedaScalers(ctx, b, s, n, kedaList, func(key string) map[string]string {
				return map[string]string{"listName": key, "listLength": "100"}
			})
		},
	},
	{
		name:  "stream",
		fill:  (*server).fillStreams,
		queue: func(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.Auto, Group: group} },
		keda: func(ctx context.Context, b *testing.B, s *server, n int) []scalers.Scaler {
			return kedaScalers(ctx, b, s, n, kedaStream, func(key string) map[string]string {
				return map[string]string{"stream": key, "consumerGroup": group, "lagCount": "100"}
			})
		},
	},
	{
		name:  "busy-list",
		fill:  (*server).fillBusyLists,
		queue: func(key string) queue.Queue { return queue.Queue{Key: key, Kind: queue.Auto} },
	},
}

// BenchmarkDepth reads depths over and over. One operation is one depth read.
func BenchmarkDepth(b *testing.B) {
	s := startServer(b)
	for _, kind := range kinds {
		for _, n := range counts {
			kind.fill(s, b.Context(), b, n)
			if kind.keda != nil {
				b.Run(depthRun(kind.name, n, "keda"), func(b *testing.B) { depthByKEDA(b, s, kind, n) })
			}
			b.Run(depthRun(kind.name, n, "scaler"), func(b *testing.B) { depthByScaler(b, s, kind, n) })
		}
	}
}

func depthRun(kind string, channels int, side string) string {
	return fmt.Sprintf("%s/channels=%d/%s", kind, channels, side)
}

func depthName(kind string, channels int, side string) string {
	return "Depth/" + depthRun(kind, channels, side)
}

func depthByKEDA(b *testing.B, s *server, kind kind, n int) {
	ctx := b.Context()
	needFiles(b, n)
	before := heap()
	all := kind.keda(ctx, b, s, n)
	b.Cleanup(func() {
		for _, scaler := range all {
			require.NoError(b, scaler.Close(context.Background()))
		}
	})
	ask(ctx, b, all, n)
	m := measured{heapBytes: heapEach(before, n), connections: s.connections(ctx, b)}
	reads, spent := 0, cpu(b)
	for b.Loop() {
		if reads%n == 0 {
			ask(ctx, b, all, n)
		}
		reads++
	}
	reads = (reads + n - 1) / n * n
	m.report(b, cpu(b)-spent, reads)
}

func depthByScaler(b *testing.B, s *server, kind kind, n int) {
	registry := prometheus.NewRegistry()
	// Without a pause between two ticks. Depth would call each sample stale at once, so
	// nobody asks for one here: BenchmarkAsk does.
	options := sampling.Options{Tick: time.Microsecond, Metrics: sampling.NewMetrics(registry)}
	m := scalerAtRest(b, s, kind, n)
	pool := sampling.NewPool(options)
	b.Cleanup(pool.Close)
	updates := watch(b, pool, s, kind, n)
	for range 3 {
		await(b, updates)
	}
	ticks, spent := ticksOf(b, registry), cpu(b)
	for i := 0; b.Loop(); i++ {
		if i%n == 0 {
			await(b, updates)
		}
	}
	spent, ticks = cpu(b)-spent, ticksOf(b, registry)-ticks
	m.report(b, spent, ticks*n)
}

// scalerAtRest measures what stays between two ticks.
func scalerAtRest(b *testing.B, s *server, kind kind, n int) measured {
	before := heap()
	pool := sampling.NewPool(sampling.Options{Tick: 100 * time.Millisecond})
	defer pool.Close()
	updates := watch(b, pool, s, kind, n)
	least := math.Inf(1)
	for range 5 { // in case that it takes longer than the pause
		await(b, updates)
		least = min(least, heapEach(before, n))
	}
	return measured{heapBytes: least, connections: s.connections(b.Context(), b)}
}

// watch has the pool watch the queues, and tells of each read of the last one.
func watch(b *testing.B, pool *sampling.Pool, s *server, kind kind, n int) <-chan struct{} {
	b.Helper()
	for i := 0; ; i++ {
		subscription, err := pool.Subscribe(broker.Server{Address: s.Addr}, kind.queue(key(i)))
		require.NoError(b, err)
		if i == n-1 {
			return subscription.Updates()
		}
		subscription.Close() // it stays watched until it was not asked for in minutes
	}
}

// await waits for the next read.
func await(b *testing.B, updates <-chan struct{}) {
	select {
	case <-updates:
	case <-time.After(30 * time.Second):
		b.Fatal("the queues are not read any more")
	}
}

// ticksOf is how often the sampler read its server.
func ticksOf(b *testing.B, registry *prometheus.Registry) int {
	b.Helper()
	families, err := registry.Gather()
	require.NoError(b, err)
	for _, family := range families {
		if family.GetName() == "pubsub_scaler_broker_reads_total" {
			require.Len(b, family.GetMetric(), 1, "no read failed")
			return int(family.GetMetric()[0].GetCounter().GetValue())
		}
	}
	b.Fatal("no read is counted")
	return 0
}

// measured is what is told of one benchmark.
type measured struct {
	heapBytes, connections float64
}

func (m measured) report(b *testing.B, spent time.Duration, reads int) {
	recorded.report(b, float64(spent.Nanoseconds())/1000/float64(reads), unitRead)
	recorded.report(b, m.connections, unitConnections)
	recorded.report(b, m.heapBytes, unitHeap)
}

// BenchmarkAsk is what a caller of the scaler pays for a depth, beside the tick's read.
func BenchmarkAsk(b *testing.B) {
	s := startServer(b)
	const n = 1000
	s.fillLists(b.Context(), b, n)
	pool := sampling.NewPool(sampling.Options{})
	b.Cleanup(pool.Close)
	address := broker.Server{Address: s.Addr}
	inquiries := make([]*sampling.Inquiry, n)
	for i := range inquiries {
		inquiries[i] = pool.For("shop").Inquire(address, []queue.Queue{{Key: key(i), Kind: queue.Auto}})
	}
	spent, i := cpu(b), 0
	for b.Loop() {
		if _, err := inquiries[i%n].Depths(b.Context()); err != nil {
			b.Fatal(err)
		}
		i++
	}
	recorded.report(b, float64((cpu(b)-spent).Nanoseconds())/1000/float64(i), unitAsk)
}

package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// cpu is the CPU time of this process so far, its own and the kernel's for it: the
// client's side alone, because redis-server is another process. Load on the machine
// stretches the clock's time, and this one only a little.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// needFiles skips where so many connections can't be had: each is a file, of this process
// and of redis-server. The Go runtime has raised the limit as far as it goes.
func needFiles(b *testing.B, connections int) {
	b.Helper()
	var limit syscall.Rlimit
	require.NoError(b, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if spare := uint64(200); limit.Cur < uint64(connections)+spare {
		b.Skipf("%d connections need a limit of %d open files; here it is %d (ulimit -Hn)", connections, uint64(connections)+spare, limit.Cur)
	}
}

// heap is the bytes of live objects, stacks not among them.
func heap() uint64 {
	var stats runtime.MemStats
	for range 3 { // finalizers, and what sync.Pool keeps over one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// heapEach is the bytes that live since before, for each channel.
func heapEach(before uint64, channels int) float64 {
	return (float64(heap()) - float64(before)) / float64(channels)
}

// server is a redis-server with the test's own connections.
type server struct {
	*redistest.Server
	client *redis.Client
	own    int // how many of them there are
}

func startServer(b *testing.B) *server {
	b.Helper()
	s := redistest.Start(b, "--maxclients", "15000")
	return &server{Server: s, client: s.Client()}
}

// info reads one number of INFO.
func (s *server) info(ctx context.Context, b *testing.B, section, field string) int {
	b.Helper()
	text, err := s.client.Info(ctx, section).Result()
	require.NoError(b, err)
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			n, err := strconv.Atoi(value)
			require.NoError(b, err)
			return n
		}
	}
	b.Fatalf("INFO %s has no %s", section, field)
	return 0
}

// connections are those at the server beside the test's own.
func (s *server) connections(ctx context.Context, b *testing.B) float64 {
	return float64(s.info(ctx, b, "clients", "connected_clients") - s.own)
}

func key(i int) string { return fmt.Sprintf("orders-%05d", i) }

// fillLists makes n lists of 10 messages.
func (s *server) fillLists(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	s.fill(ctx, b, n, func(pipe redis.Pipeliner, key string) {
		pipe.LPush(ctx, key, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	})
}

// group is the consumer group of every stream.
const group = "workers"

// fillStreams makes n streams of 10 messages of 100 bytes, of which a group has read 4.
func (s *server) fillStreams(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	payload := strings.Repeat("x", 100)
	s.fill(ctx, b, n, func(pipe redis.Pipeliner, key string) {
		for range 10 {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"payload", payload}})
		}
		pipe.XGroupCreate(ctx, key, group, "0")
		pipe.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "a", Streams: []string{key, ">"}, Count: 4, Block: -1})
	})
}

func (s *server) fill(ctx context.Context, b *testing.B, n int, one func(pipe redis.Pipeliner, key string)) {
	b.Helper()
	require.NoError(b, s.client.FlushAll(ctx).Err())
	const batch = 500
	for from := 0; from < n; from += batch {
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := from; i < min(n, from+batch); i++ {
				one(pipe, key(i))
			}
			return nil
		})
		require.NoError(b, err)
	}
	s.own = s.info(ctx, b, "clients", "connected_clients")
}

// fillBusyLists makes n lists of 10 messages with 2 consumers each, which hold one more.
func (s *server) fillBusyLists(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	s.fill(ctx, b, n, func(pipe redis.Pipeliner, key string) {
		pipe.LPush(ctx, key, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		for _, consumer := range []string{"orders-subscriber-6f7d9c5b4-abcde", "orders-subscriber-6f7d9c5b4-fghij"} {
			pipe.ZAdd(ctx, queue.ConsumersKey(key), redis.Z{Score: 1, Member: consumer})
			pipe.LPush(ctx, queue.ProcessingKey(key, consumer), "m")
		}
	})
}

// silent is go-redis's logger: its errors come back from the commands.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

package queue_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// entries adds so many of that size, with the ids from-0, and so on.
func entries(from, n, size int) step {
	return func(t *testing.T, client *redis.Client) {
		payload := strings.Repeat("x", size)
		for done := 0; done < n; done += 100 {
			pipe := client.Pipeline()
			for i := done; i < min(n, done+100); i++ {
				pipe.Do(t.Context(), "XADD", "q", fmt.Sprintf("%d-0", from+i), "payload", payload)
			}
			_, err := pipe.Exec(t.Context())
			require.NoError(t, err)
		}
	}
}

// sent is how many bytes the server has sent in all.
func sent(t *testing.T, client *redis.Client) int {
	t.Helper()
	_, after, ok := strings.Cut(client.Info(t.Context(), "stats").Val(), "total_net_output_bytes:")
	require.True(t, ok)
	bytes, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(after, "\r\n", 2)[0]))
	require.NoError(t, err)
	return bytes
}

// ticker reads a queue once a second, of a time of its own.
type ticker struct {
	client, admin *redis.Client
	reader        *queue.Reader
	second        int
	depth         queue.Depth
	greatest      int // bytes that the server sent in one tick
}

// ticks reads that many times, and tells how many bytes the server sent for it.
func (k *ticker) ticks(t *testing.T, n int, before func(tick int)) (bytes int) {
	t.Helper()
	k.greatest = 0
	for tick := range n {
		if before != nil {
			before(tick)
		}
		k.second++
		begin := sent(t, k.admin)
		k.depth = readOne(t, k.client, k.reader, now.Add(time.Duration(k.second)*time.Second))
		tickBytes := sent(t, k.admin) - begin
		k.greatest = max(k.greatest, tickBytes)
		bytes += tickBytes
	}
	return bytes
}

func newTicker(server *redistest.Server) *ticker {
	return &ticker{client: server.Client(), admin: server.Client(), reader: newReader(queue.Queue{Key: "q", Kind: queue.Stream, Group: "g"})}
}

// A stream of large entries whose lag is not known must not flood the scaler: 1,200 entries
// of 100 KB, of which one that waits is deleted. (What was read before was 100 MB a tick.)
func TestLargeEntriesAreHardlyRead(t *testing.T) {
	const (
		size  = 100_000
		heads = 2 * size // the first and the last entry, in XINFO STREAM
		rate  = 64 << 10 // bytes a second of entries that are counted
		other = 4 << 10  // the rest of a tick's replies
	)
	server := redistest.Start(t)
	k := newTicker(server)
	steps{entries(1, 1200, size), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(10, "q", "g")}.take(t, k.admin)
	known := k.ticks(t, 10, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 1190, InFlight: 10, Added: 1200}, k.depth)
	assert.LessOrEqual(t, known, 10*(rate+other)+heads, "XINFO STREAM is not asked in every tick")
	readGroup(5, "q", "g")(t, k.admin)
	entries(1201, 5, size)(t, k.admin)
	k.ticks(t, 1, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 1190, InFlight: 15, Added: 1205}, k.depth, "nor for what came and went")
	assert.Less(t, k.greatest, other)

	do("XDEL", "q", "600-0")(t, k.admin)
	estimated := k.ticks(t, 10, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 1190, InFlight: 15, Estimate: true, Added: 1205}, k.depth,
		"what came after what was read, one more than waits")
	assert.LessOrEqual(t, estimated, 10*(heads+other+rate)+size)
	k.ticks(t, 30, nil)
	silent := k.ticks(t, 10, nil)
	assert.LessOrEqual(t, silent, 10*(heads+other), "while nothing changes, a few are enough")

	// A group that reads with a tombstone ahead has no entries-read any more (Redis 7.0).
	working := k.ticks(t, 10, func(int) { readGroup(5, "q", "g")(t, k.admin) })
	assert.True(t, k.depth.LowerBound)
	assert.LessOrEqual(t, working, 10*(heads+other+rate)+size)
	standing := k.ticks(t, 10, nil)
	assert.LessOrEqual(t, standing, 10*(heads+other+rate)+size)
	assert.True(t, k.depth.LowerBound)
	assert.Greater(t, k.depth.Ready, int64(5), "it counts on")
	assert.LessOrEqual(t, k.greatest, heads+other+rate+size)
	t.Logf("bytes for 10 ticks: %d with a lag, %d by an estimate, %d while that lasts, %d for a group that reads, %d when it stops", known, estimated, silent, working, standing)
}

// Entries that are larger than those at both ends are known as such only once they were read:
// the first page has few.
func TestLargeEntriesInTheMiddle(t *testing.T) {
	server := redistest.Start(t)
	k := newTicker(server)
	steps{entries(1, 2, 10), entries(3, 300, 100_000), entries(400, 1, 10), do("XGROUP", "CREATE", "q", "g", "2-0")}.take(t, k.admin)
	bytes := k.ticks(t, 10, nil)
	assert.LessOrEqual(t, bytes, 17*100_000)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 16, LowerBound: true, Added: 303}, k.depth)
	k.ticks(t, 30, nil)
	assert.Greater(t, k.depth.Ready, int64(16), "it counts on")
}

// Where the server tells nothing, entries are counted once each, from read to read, and what
// the group takes meanwhile leaves the count.
func TestCountingGoesOnWhereItWas(t *testing.T) {
	server := redistest.Start(t)
	k := newTicker(server)
	steps{entries(1, 1102, 10), do("XGROUP", "CREATE", "q", "g", "2-0")}.take(t, k.admin)
	k.ticks(t, 1, nil)
	assert.True(t, k.depth.LowerBound)
	assert.GreaterOrEqual(t, k.depth.Ready, int64(500))
	k.ticks(t, 1, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 1100, Added: 1102}, k.depth, "all were counted")
	assert.Less(t, k.ticks(t, 10, nil), 20_000, "and are not again")

	readGroup(300, "q", "g")(t, k.admin)
	entries(2000, 7, 10)(t, k.admin)
	k.ticks(t, 1, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 807, InFlight: 300, Added: 1109}, k.depth)
	assert.Less(t, k.greatest, 3_000, "only those that came were counted")

	do("XDEL", "q", "1000-0")(t, k.admin) // one that was counted
	k.ticks(t, 2, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 806, InFlight: 300, Added: 1109}, k.depth)
}

// Where there are very many, not all of their ids are kept: what the group takes of the others
// is counted anew.
func TestCountingOfVeryMany(t *testing.T) {
	server := redistest.Start(t)
	k := newTicker(server)
	steps{entries(1, 10_002, 10), do("XGROUP", "CREATE", "q", "g", "2-0")}.take(t, k.admin)
	exact := func(ready, inFlight int64) {
		t.Helper()
		k.ticks(t, 12, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: ready, InFlight: inFlight, Added: 10_002}, k.depth)
	}
	exact(10_000, 0)
	readGroup(1000, "q", "g")(t, k.admin)
	k.ticks(t, 1, nil)
	assert.EqualValues(t, 9000, k.depth.Ready, "their ids were known")
	readGroup(6000, "q", "g")(t, k.admin)
	k.ticks(t, 1, nil)
	assert.True(t, k.depth.LowerBound)
	assert.LessOrEqual(t, k.depth.Ready, int64(3000))
	exact(3000, 7000)
}

// The age is that of the first entry that waits. Where entries are too large to look at it in
// each read, it may be told too young, and is never too old.
func TestAgeOfLargeEntries(t *testing.T) {
	server := redistest.Start(t)
	k := newTicker(server)
	k.reader = newReader(queue.Queue{Key: "q", Kind: queue.Stream, Group: "g", Age: true})
	begin := int(now.UnixMilli())
	steps{entries(begin-1000, 100, 300_000), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g")}.take(t, k.admin)
	looked, taken := 0, 1
	k.ticks(t, 30, func(tick int) {
		if tick > 0 {
			first := int(k.depth.Oldest.UnixMilli()) - (begin - 1000)
			assert.GreaterOrEqual(t, first, taken, "no older than what waits")
			if first == taken {
				looked++
			}
		}
		if tick > 20 {
			return
		}
		readGroup(1, "q", "g")(t, k.admin)
		taken++
	})
	assert.Positive(t, looked)
	assert.EqualValues(t, taken, k.depth.Oldest.UnixMilli()-int64(begin-1000), "it is known once the group stands still")
}

// A counter of the group's that is wrong is found out wherever the positions tell the truth,
// and is not believed from then on, nor is the lag.
func TestAWrongCounterOfAGroup(t *testing.T) {
	server := redistest.Start(t)
	t.Run("too low, because of what was trimmed", func(t *testing.T) {
		k := newTicker(server)
		steps{do("FLUSHALL"), entries(1, 40, 10), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(10, "q", "g"), do("XTRIM", "q", "MAXLEN", 20)}.take(t, k.admin)
		k.ticks(t, 1, nil)
		assert.EqualValues(t, 20, k.depth.Ready)
		readGroup(20, "q", "g")(t, k.admin)
		entries(41, 30, 10)(t, k.admin)
		groups, err := k.admin.XInfoGroups(t.Context(), "q").Result()
		require.NoError(t, err)
		require.EqualValues(t, 40, groups[0].Lag, "as it is on Redis before 7.2.6")
		k.ticks(t, 1, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 30, InFlight: 30, Estimate: true, Added: 70}, k.depth)
	})
	t.Run("too high, as ENTRIESREAD says", func(t *testing.T) {
		k := newTicker(server)
		steps{do("FLUSHALL"), entries(1, 40, 10), do("XGROUP", "CREATE", "q", "g", "0", "ENTRIESREAD", 30)}.take(t, k.admin)
		k.ticks(t, 1, nil)
		assert.EqualValues(t, 40, k.depth.Ready)
		readGroup(5, "q", "g")(t, k.admin)
		k.ticks(t, 1, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 35, InFlight: 5, Estimate: true, Added: 40}, k.depth)
	})
	t.Run("too low by one, behind a tombstone", func(t *testing.T) {
		k := newTicker(server)
		steps{do("FLUSHALL"), entries(1, 40, 10), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(5, "q", "g"), do("XDEL", "q", "6-0")}.take(t, k.admin)
		k.ticks(t, 1, nil)
		readGroup(4, "q", "g")(t, k.admin)
		groups, err := k.admin.XInfoGroups(t.Context(), "q").Result()
		require.NoError(t, err)
		require.EqualValues(t, 31, groups[0].Lag, "as it is on Redis 7.0, where 30 wait")
		k.ticks(t, 1, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 31, InFlight: 9, Estimate: true, Added: 40}, k.depth)
	})
	t.Run("corrected by the server itself", func(t *testing.T) {
		k := newTicker(server)
		steps{do("FLUSHALL"), entries(1, 20, 10), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(5, "q", "g"),
			do("XDEL", "q", "6-0", "10-0"), do("XTRIM", "q", "MINID", "8-0")}.take(t, k.admin)
		k.ticks(t, 1, nil)
		assert.EqualValues(t, 12, k.depth.Ready)
		readGroup(20, "q", "g")(t, k.admin)
		entries(21, 30, 10)(t, k.admin)
		k.ticks(t, 1, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 30, InFlight: 17, Estimate: true, Added: 50}, k.depth)
	})
	t.Run("impossible, as ENTRIESREAD says", func(t *testing.T) {
		k := newTicker(server)
		steps{do("FLUSHALL"), entries(1, 40, 10), do("XGROUP", "CREATE", "q", "g", "10-0", "ENTRIESREAD", 70)}.take(t, k.admin)
		k.ticks(t, 1, nil)
		assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 30, Added: 40}, k.depth)
	})
}

// Many streams of large entries are read in several rounds, so that the replies of one are not
// all of them at once.
func TestLargeEntriesOfManyStreams(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	payload := strings.Repeat("x", 500_000)
	const streams = 40 // 40 MB of first and last entries
	readers := make([]*queue.Reader, streams)
	for i := range readers {
		key := fmt.Sprint("q", i)
		do("XADD", key, "1-0", "payload", payload)(t, client)
		do("XGROUP", "CREATE", key, "g", 0)(t, client)
		readers[i] = newReader(queue.Queue{Key: key, Kind: queue.Stream})
	}
	batch := queue.NewBatch(readers)
	rounds := func(after time.Duration) (streamsInRounds []int) {
		batch.Begin(now.Add(after))
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			infos := 0
			for _, command := range commands {
				if command.Name() == "xinfo" && command.Args()[1] == "stream" {
					infos++
				}
				_ = client.Process(t.Context(), command)
			}
			streamsInRounds = append(streamsInRounds, infos)
			batch.Answer(nil)
		}
		for _, reader := range readers {
			depth, err := reader.Result()
			require.NoError(t, err)
			assert.EqualValues(t, 1, depth.Ready)
		}
		return streamsInRounds
	}
	assert.Equal(t, []int{streams}, rounds(0), "how large they are is not known yet")
	assert.Equal(t, []int{16, 16, 8}, rounds(time.Minute))
}

// On DragonFly, XGROUP SETID leaves lag and entries-read as they were.
func TestAGroupThatGoesBackOnDragonFly(t *testing.T) {
	for name, size := range map[string]int{"small entries": 10, "large entries": 100_000} {
		t.Run(name, func(t *testing.T) {
			entry := func(id string) []any { return []any{id, []any{"payload", strings.Repeat("x", size)}} }
			group := func(delivered string) []any {
				return []any{[]any{"name", "g", "consumers", int64(1), "pending", int64(0), "last-delivered-id", delivered, "entries-read", int64(50), "lag", int64(50)}}
			}
			stream := script{"xlen q": 100, "xinfo groups q": group("50-0"), "xinfo stream q": []any{
				"length", int64(100), "last-generated-id", "100-0", "max-deleted-entry-id", "0-0", "entries-added", int64(100),
				"first-entry", entry("1-0"), "last-entry", entry("100-0")}}
			from := func(first, n int) (page []any) {
				for i := range n {
					page = append(page, entry(fmt.Sprint(first+i, "-0")))
				}
				return page
			}
			stream["xrange q (50-0 + count 16"] = from(51, 16) // to compare the lag; large ones are not worth it
			reader := newReader(queue.Queue{Key: "q", Kind: queue.Stream})
			batch := queue.NewBatch([]*queue.Reader{reader})
			stream.play(t, batch, now)
			depth, err := reader.Result()
			require.NoError(t, err)
			assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 50, Added: 100}, depth)

			stream["xinfo groups q"] = group("20-0")
			stream["xrange q (20-0 + count 64"] = from(21, 64)
			stream["xrange q (84-0 + count 256"] = from(85, 16)
			stream.play(t, batch, now.Add(time.Second))
			depth, err = reader.Result()
			require.NoError(t, err)
			want := queue.Depth{Kind: queue.Stream, Ready: 80, Added: 100}
			if size > 10 {
				want = queue.Depth{Kind: queue.Stream, Ready: 1, LowerBound: true, Added: 100}
			}
			assert.Equal(t, want, depth)
		})
	}
}

// After a restart from the append-only file Redis 7.0 tells as lag what has come since the file was
// last rewritten (redis#12898): 991 where 1 waits, and so for good. What waits is told by those who
// saw the server before, and by those who did not.
func TestALagThatTheServerForgot(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	old := newTicker(server)
	steps{entries(1, 1000, 10), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(9, "q", "g"), do("BGREWRITEAOF")}.take(t, old.admin)
	require.Eventually(t, func() bool {
		return strings.Contains(old.admin.Info(t.Context(), "persistence").Val(), "aof_rewrite_in_progress:0")
	}, 30*time.Second, 10*time.Millisecond)
	readGroup(691, "q", "g")(t, old.admin)
	old.ticks(t, 1, nil)
	require.EqualValues(t, 300, old.depth.Ready)
	server.Kill()
	server.Restart()
	require.EqualValues(t, 991, old.admin.XInfoGroups(t.Context(), "q").Val()[0].Lag, "the server's fault: 300 wait")
	old.ticks(t, 1, nil)
	assert.EqualValues(t, 300, old.depth.Ready)
	assert.True(t, old.depth.Estimate)
	readGroup(299, "q", "g")(t, old.admin)
	require.EqualValues(t, 692, old.admin.XInfoGroups(t.Context(), "q").Val()[0].Lag, "the server's fault: 1 waits")
	fresh := newTicker(server)
	for name, k := range map[string]*ticker{"saw it before": old, "is new": fresh} {
		k.ticks(t, 1, nil)
		assert.EqualValues(t, 1, k.depth.Ready, name)
	}
	entries(1001, 100, 10)(t, old.admin)
	for name, k := range map[string]*ticker{"saw it before": old, "is new": fresh} {
		k.ticks(t, 1, nil)
		assert.EqualValues(t, 101, k.depth.Ready, name)
	}
}

// A lag that is good costs no command more, but a look of a few entries every 10 s until it has
// been compared.
func TestAGoodLagIsHardlyLookedAt(t *testing.T) {
	server := redistest.Start(t)
	k := newTicker(server)
	steps{entries(1, 200, 10), do("XGROUP", "CREATE", "q", "g", "0"), readGroup(100, "q", "g")}.take(t, k.admin)
	looks := func() int {
		stats := k.admin.Info(t.Context(), "commandstats").Val()
		_, after, found := strings.Cut(stats, "cmdstat_xrange:calls=")
		if !found {
			return 0
		}
		calls, err := strconv.Atoi(strings.SplitN(after, ",", 2)[0])
		require.NoError(t, err)
		return calls
	}
	k.ticks(t, 30, nil)
	assert.Equal(t, queue.Depth{Kind: queue.Stream, Ready: 100, InFlight: 100, Added: 200}, k.depth, "no estimate")
	assert.LessOrEqual(t, looks(), 3)
	readGroup(90, "q", "g")(t, k.admin)
	k.ticks(t, 10, nil) // all that wait are seen
	before := looks()
	k.ticks(t, 30, func(int) { entries(200+10*k.second, 5, 10)(t, k.admin) })
	assert.Equal(t, before, looks(), "it has been compared")
	assert.False(t, k.depth.Estimate)
}

package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

var streams = flag.Int("streams", 20, "random lives of a stream")

// streamLife does random things to a stream and its group.
type streamLife struct {
	t       *testing.T
	client  *redis.Client
	r       *rand.Rand
	payload string
	newest  int // the id of the newest entry is so many, and 0
}

func (l *streamLife) do(args ...any) { _ = l.client.Do(l.t.Context(), args...).Err() }

// id is one of the stream's, mostly of an entry that is or was there.
func (l *streamLife) id() string { return fmt.Sprintf("%d-0", l.r.IntN(l.newest+2)) }

func (l *streamLife) add(n int) {
	pipe := l.client.Pipeline()
	for range n {
		l.newest++
		pipe.Do(l.t.Context(), "XADD", "q", fmt.Sprintf("%d-0", l.newest), "payload", l.payload)
	}
	_, err := pipe.Exec(l.t.Context())
	require.NoError(l.t, err)
}

// truth is how many entries wait: what there is after the last delivered one.
func (l *streamLife) truth() int64 {
	groups, err := l.client.XInfoGroups(l.t.Context(), "q").Result()
	require.NoError(l.t, err)
	if len(groups) == 0 {
		return l.client.XLen(l.t.Context(), "q").Val()
	}
	entries, err := l.client.XRange(l.t.Context(), "q", "("+groups[0].LastDeliveredID, "+").Result()
	require.NoError(l.t, err)
	return int64(len(entries))
}

// step does one thing, and says what.
func (l *streamLife) step() string {
	r := l.r
	switch r.IntN(16) {
	case 0, 1, 2, 3:
		n := 1 + r.IntN(12)
		if r.IntN(10) == 0 {
			n = 300
		}
		l.add(n)
		return fmt.Sprint("XADD ", n)
	case 4, 5, 6, 7:
		n := 1 + r.IntN(12)
		if r.IntN(10) == 0 {
			n = 1000
		}
		l.do("XREADGROUP", "GROUP", "g", "c", "COUNT", n, "STREAMS", "q", ">")
		return fmt.Sprint("XREADGROUP ", n)
	case 8, 9:
		ids := []any{"XDEL", "q"}
		for range 1 + r.IntN(4) {
			ids = append(ids, l.id())
		}
		l.do(ids...)
		return fmt.Sprint(ids...)
	case 10:
		pending, _ := l.client.XPendingExt(l.t.Context(), &redis.XPendingExtArgs{Stream: "q", Group: "g", Start: "-", End: "+", Count: 5}).Result()
		for _, p := range pending {
			l.do("XACK", "q", "g", p.ID)
			l.do("XDEL", "q", p.ID)
		}
		return "XACK and XDEL"
	case 11:
		most := r.IntN(20)
		l.do("XTRIM", "q", "MAXLEN", most)
		return fmt.Sprint("XTRIM ", most)
	case 12:
		l.newest++
		l.do("XADD", "q", "MAXLEN", 1+r.IntN(30), fmt.Sprintf("%d-0", l.newest), "payload", l.payload)
		return "XADD MAXLEN"
	case 13:
		id := []string{"0", "$", l.id()}[r.IntN(3)]
		l.do("XGROUP", "SETID", "q", "g", id)
		return "XGROUP SETID " + id
	case 14:
		id := []string{"0", "$", l.id()}[r.IntN(3)]
		l.do("XGROUP", "DESTROY", "q", "g")
		if r.IntN(3) > 0 {
			l.do("XGROUP", "CREATE", "q", "g", id)
		}
		return "XGROUP CREATE " + id
	default:
		return "nothing"
	}
}

// Whatever happens to a stream: a depth that is told to be exact is, a lower bound is one, and
// an estimate is not below the truth. A reader that begins only now, as after a restart, knows
// less: it may take for exact what is too high (Redis 7.0 counts what was trimmed before it was
// delivered), but nothing that is too low.
func TestStreamDepthsKeepTheirWord(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	var exact, bounds, estimates, off, far, freshOff int
	for life := range *streams {
		seed := rand.New(rand.NewPCG(11, uint64(life)))
		size := []int{10, 100, 3000, 40_000}[seed.IntN(4)]
		l := &streamLife{t: t, client: client, r: seed, payload: strings.Repeat("x", size)}
		require.NoError(t, client.FlushAll(t.Context()).Err())
		l.add(1)
		reader := newReader(queue.Queue{Key: "q", Kind: queue.Stream})
		at := now
		var done []string
		for range 120 {
			done = append(done, l.step())
			at = at.Add(time.Duration(seed.IntN(2000)) * time.Millisecond)
			truth := l.truth()
			words := func(d queue.Depth) string {
				return fmt.Sprintf("life %d: %+v, %d wait, after %s", life, d, truth, strings.Join(done[max(0, len(done)-20):], "; "))
			}
			depth := readOne(t, client, reader, at)
			switch {
			case depth.LowerBound:
				bounds++
				require.LessOrEqual(t, depth.Ready, truth, words(depth))
				require.Positive(t, depth.Ready, words(depth))
			case depth.Estimate:
				estimates++
				require.GreaterOrEqual(t, depth.Ready, truth, words(depth))
				off += int(depth.Ready - truth)
				far = max(far, int(depth.Ready-truth))
			default:
				exact++
				require.Equal(t, truth, depth.Ready, words(depth))
			}
			fresh := readOne(t, client, newReader(queue.Queue{Key: "q", Kind: queue.Stream}), at)
			if fresh.LowerBound {
				require.LessOrEqual(t, fresh.Ready, truth, words(fresh))
			} else {
				require.GreaterOrEqual(t, fresh.Ready, truth, words(fresh))
				if fresh.Ready != truth {
					freshOff++
				}
			}
		}
	}
	t.Logf("%d exact, %d lower bounds, %d estimates, off by %.2f on average and %d at most; %d of fresh readers too high", exact, bounds, estimates, float64(off)/float64(max(1, estimates)), far, freshOff)
	require.Positive(t, min(exact, bounds, estimates), "each is tried")
}

// readOne reads one queue once.
func readOne(t *testing.T, client *redis.Client, reader *queue.Reader, at time.Time) queue.Depth {
	t.Helper()
	batch := queue.NewBatch([]*queue.Reader{reader})
	batch.Begin(at)
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(t.Context(), commands...)
		_, err := pipe.Exec(t.Context())
		batch.Answer(err)
	}
	depth, err := reader.Result()
	require.NoError(t, err)
	return depth
}

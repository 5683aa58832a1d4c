//go:build integration

package samplingtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// memoryLimit is what the whole process may take, with the servers that lie in it, too.
const memoryLimit = 128 << 20

// lie is which server of a topology is hostile.
type lie struct {
	name string
	mode broker.Mode
	// answers makes the server that lies of an answer; it knows its own address.
	answers func(address func() string, hostile redistest.Answer) redistest.Answer
}

var lies = []lie{
	{"server", broker.Standalone, func(_ func() string, hostile redistest.Answer) redistest.Answer { return redistest.AfterHello(hostile) }},
	{"greeting", broker.Standalone, func(_ func() string, hostile redistest.Answer) redistest.Answer { return hostile }},
	{"sentinel", broker.Sentinel, func(_ func() string, hostile redistest.Answer) redistest.Answer { return redistest.AfterHello(hostile) }},
	{"its master", broker.Sentinel, func(address func() string, hostile redistest.Answer) redistest.Answer {
		return except("sentinel", hostile, func(command []string) string {
			if len(command) > 1 && strings.EqualFold(command[1], "sentinels") {
				return redistest.Array()
			}
			host, port, _ := net.SplitHostPort(address())
			return redistest.Array(redistest.Bulk(host), redistest.Bulk(port))
		})
	}},
	{"slots", broker.Cluster, func(_ func() string, hostile redistest.Answer) redistest.Answer { return redistest.AfterHello(hostile) }},
	{"its node", broker.Cluster, func(address func() string, hostile redistest.Answer) redistest.Answer {
		return except("cluster", hostile, func([]string) string {
			host, port, _ := net.SplitHostPort(address())
			node := redistest.Array(redistest.Bulk(host), ":"+port+"\r\n", redistest.Bulk("id"))
			return redistest.Array(redistest.Array(":0\r\n", ":16383\r\n", node))
		})
	}},
}

// except answers one command as it should be, and nothing else.
func except(name string, hostile redistest.Answer, reply func(command []string) string) redistest.Answer {
	return redistest.AfterHello(func(to io.Writer, command []string, done <-chan struct{}) {
		if command[0] != name {
			hostile(to, command, done)
			return
		}
		_, _ = io.WriteString(to, reply(command)) // the client may be gone
	})
}

// start runs the server that lies.
func (l lie) start(t *testing.T, hostile redistest.Answer) broker.Server {
	var server *redistest.Scripted
	started := make(chan struct{})
	server = redistest.StartScripted(t, l.answers(func() string { <-started; return server.Addr }, hostile))
	close(started)
	at := broker.Server{Mode: l.mode, Address: server.Addr}
	if l.mode == broker.Sentinel {
		at.SentinelMaster = "mymaster"
	}
	return at
}

// hostileQueues is a queue of each kind and preset, with all that may be asked of it.
func hostileQueues() []queue.Queue {
	queues := []queue.Queue{
		{Key: "q", Kind: queue.Auto}, {Key: "q", Kind: queue.List}, {Key: "q", Kind: queue.Stream, Age: true},
		{Key: "q", Kind: queue.SortedSet}, {Key: "due", Kind: queue.SortedSet, Score: queue.UnixSeconds, Age: true},
		{Key: "q", Kind: queue.PubSub},
	}
	for _, f := range framework.All() {
		queues = append(queues, queue.OfPreset(f, "", []string{"q"}, f.HasAges())...)
	}
	return queues
}

// Every hostile reply, for every kind and preset, of every server of each topology, all at
// the same time: the scaler lives, has what memory it may have, and reads other servers on.
func TestHostileServers(t *testing.T) {
	honest := redistest.Start(t)
	taken := watchMemory(t)
	var took []time.Duration
	var text strings.Builder
	fmt.Fprintf(&text, "%-16s", "")
	for _, l := range lies {
		fmt.Fprintf(&text, " %-12s", l.name)
	}
	for _, q := range hostileQueues() {
		name := string(q.Kind)
		if q.Age {
			name += "+age"
		}
		t.Run(name+"/"+q.Key, func(t *testing.T) {
			pool := sampling.NewPool(sampling.Options{Tick: 100 * time.Millisecond, Options: broker.Options{ReadTimeout: time.Second}})
			defer pool.Close()
			stop := readOn(t, pool, honest, &took)
			fmt.Fprintf(&text, "\n%-16s", name)
			var all sync.WaitGroup
			refused := make([]int, len(lies))
			var mu sync.Mutex
			for i, l := range lies {
				for reply, answer := range redistest.Hostile {
					server := l.start(t, answer)
					all.Go(func() {
						sample, err := depths(t, pool, server, q)
						if err == nil {
							assert.GreaterOrEqual(t, sample[0].Total(), int64(0), "%s: %s", l.name, reply)
							return
						}
						mu.Lock()
						defer mu.Unlock()
						refused[i]++
					})
				}
			}
			all.Wait()
			stop()
			for i := range lies {
				fmt.Fprintf(&text, " %2d of %2d    ", refused[i], len(redistest.Hostile))
			}
		})
	}
	most := taken()
	slices.Sort(took)
	t.Logf("replies that were refused; the others are depths as good as the server's word:\n%s", text.String())
	t.Logf("%d MiB at most; %d reads of another server meanwhile: p50 %s, p99 %s, longest %s",
		most>>20, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	assert.Less(t, most, uint64(memoryLimit), "bytes")
}

// readOn reads queues of an honest server, one after the other, until it is stopped: each
// is new, so that each is a round trip.
func readOn(t *testing.T, pool *sampling.Pool, honest *redistest.Server, took *[]time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	lasting := context.WithoutCancel(ctx) // the last read is to end, too
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		giveUp := time.After(time.Minute)
		for i := 0; ctx.Err() == nil || read == 0; i++ {
			select {
			case <-ticker.C:
			case <-giveUp:
				return
			}
			began := time.Now()
			_, err := pool.Depth(lasting, broker.Server{Address: honest.Addr}, queue.Queue{Key: fmt.Sprint("q", i), Kind: queue.List})
			*took = append(*took, time.Since(began))
			var failure *broker.ReadError
			if errors.As(err, &failure) && (failure.Cause() == broker.Slow || errors.Is(err, context.DeadlineExceeded)) {
				continue // the machine has much else to do
			}
			if !assert.NoError(t, err, "another server") {
				return
			}
			read++
		}
	})
	return func() {
		cancel()
		running.Wait()
		assert.Positive(t, read, "reads of another server")
	}
}

// watchMemory looks how much the process has of the operating system, until it is asked for
// the most that it was.
func watchMemory(t *testing.T) (most func() uint64) {
	runtime.GC()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var highest uint64
	running.Go(func() {
		samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			metrics.Read(samples)
			highest = max(highest, samples[0].Value.Uint64()-samples[1].Value.Uint64())
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	return func() uint64 {
		cancel()
		running.Wait()
		require.NotZero(t, highest)
		return highest
	}
}

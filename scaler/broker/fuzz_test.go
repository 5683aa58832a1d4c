package broker

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// everyQueue is a queue of each kind and preset, with and without the age of its oldest
// message.
func everyQueue() []queue.Queue {
	var all []queue.Queue
	for _, age := range []bool{false, true} {
		for _, kind := range []queue.Kind{queue.Auto, queue.List, queue.Stream, queue.SortedSet, queue.PubSub} {
			all = append(all, queue.Queue{Key: "{q}", Kind: kind, Age: age})
		}
		for _, f := range framework.All() {
			all = append(all, queue.OfPreset(f, "", []string{"{q}"}, age)...)
		}
		all = append(all, queue.Queue{Key: "{q}", Kind: queue.SortedSet, Score: queue.UnixSeconds, Age: age})
	}
	return all
}

// FuzzReplies has a server answer each pipeline of a read with the same bytes, and end the
// connection then. Whatever they are: no panic, no memory beyond the limits, and no depth
// below 0.
func FuzzReplies(f *testing.F) {
	queues := everyQueue()
	for _, answer := range redistest.Hostile {
		var reply limited
		done := make(chan struct{})
		close(done)
		answer(&reply, nil, done)
		for i := range queues {
			f.Add(uint8(i), i%2 == 0, reply.Bytes())
		}
	}
	entry := redistest.Array(redistest.Bulk("1700000000000-0"), redistest.Array(redistest.Bulk("a"), redistest.Bulk("b")))
	info := redistest.Array(redistest.Bulk("length"), ":5\r\n", redistest.Bulk("last-generated-id"), redistest.Bulk("1700000000001-0"), redistest.Bulk("first-entry"), entry)
	group := redistest.Array(redistest.Bulk("name"), redistest.Bulk("g"), redistest.Bulk("pending"), ":2\r\n",
		redistest.Bulk("last-delivered-id"), redistest.Bulk("1700000000000-0"), redistest.Bulk("lag"), "$-1\r\n")
	names := redistest.Array(redistest.Bulk("host:1:a"), redistest.Bulk("host:2:b"))
	for i := range queues {
		for _, reply := range []string{
			strings.Repeat(":5\r\n", 12), strings.Repeat("$1\r\n5\r\n", 12), info + redistest.Array(group), info + "*0\r\n",
			":5\r\n:1\r\n:2\r\n:3\r\n" + names + ":1\r\n:2\r\n$1\r\n4\r\n" + redistest.Array(redistest.Bulk("messages"), redistest.Bulk("7")) + ":9998\r\n", ":5\r\n:0\r\n" + names + strings.Repeat(redistest.Array(redistest.Bulk(`{"queues":["{q}"]}`), redistest.Bulk("2")), 2),
			"+list\r\n:1\r\n", "+stream\r\n:0\r\n", "+zset\r\n:0\r\n", "+none\r\n:0\r\n", redistest.Array(entry, entry),
			redistest.Array(redistest.Bulk("{q}"), ":3\r\n") + redistest.Bulk("id=1 name=a obl=0 omem=5000\n"),
			":2\r\n" + redistest.Array(redistest.Bulk("job"), redistest.Bulk("1700000000")) + ":3\r\n",
			":2\r\n" + redistest.Bulk(`{"enqueued_at":1700000000.5}`), "-WRONGTYPE x\r\n-WRONGTYPE x\r\n", "-NOPERM x\r\n",
		} {
			f.Add(uint8(i), i%2 == 0, []byte(reply))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, cluster bool, reply []byte) {
		q := queues[int(kind)%len(queues)]
		before := allocated()
		depth, err := readFrom(t, q, cluster, reply)
		if err == nil && (depth.Ready < 0 || depth.InFlight < 0 || depth.Total() < 0) {
			t.Errorf("%v: %+v", q, depth)
		}
		// What is announced is allocated once; the pipes, and what is taken apart, come on top.
		most := uint64(6*3*maxRead/2) + 64*uint64(len(reply))
		if took := allocated() - before; took > most {
			t.Errorf("%v: %d bytes were allocated for a reply of %d", q, took, len(reply))
		}
	})
}

// What FuzzReplies reads through does read: several rounds, strings and arrays too.
func TestFuzzedReadsAreReads(t *testing.T) {
	depth, err := readFrom(t, queue.Queue{Key: "q", Kind: queue.Auto}, false, []byte("+zset\r\n:0\r\n"))
	require.ErrorContains(t, err, `parsing "zset"`, "ZCARD gets a status, %+v", depth)
	depth, err = readFrom(t, queue.Queue{Key: "q", Kind: queue.SortedSet}, false, []byte(":5\r\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 5, depth.Ready)
	depth, err = readFrom(t, queue.Queue{Key: "q", Kind: queue.List}, true, []byte(":5\r\n:1\r\n:1\r\n:1\r\n"+redistest.Array(redistest.Bulk("a"))+":2\r\n$-1\r\n*0\r\n:0\r\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 9, depth.Total())
}

// limited keeps the first 64 KiB, and fails then.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > 64<<10 {
		return 0, io.ErrShortWrite
	}
	return l.Buffer.Write(p)
}

func (l *limited) Close() error { return nil }

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// readFrom reads a queue of a server that answers with these bytes.
func readFrom(t *testing.T, q queue.Queue, cluster bool, reply []byte) (queue.Depth, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var l Link
	o := l.options(&dialer{}, "", time.Minute)
	o.MaxRetries, o.PoolSize = -1, 1<<10 // go-redis would wait where as many dials failed
	o.ConnMaxLifetime = time.Nanosecond  // each pipeline has a connection of its own
	var g guards
	b := newBudget()
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answerOnce(theirs, reply)
		return pipeConn{ours, &plainConn{Conn: ours, guard: g.add("pipe", newShare(b, ""))}}, nil
	}
	client := redis.NewClient(o)
	reader := queue.NewReader(q)
	batch := queue.NewBatch([]*queue.Reader{&reader})
	if cluster {
		batch = queue.NewClusterBatch([]*queue.Reader{&reader})
	}
	batch.Begin(time.Unix(1_700_000_100, 0))
	for rounds := 0; ; rounds++ {
		require.Less(t, rounds, 10, "rounds")
		commands := batch.Ask()
		if len(commands) == 0 {
			break
		}
		pipe := client.Pipeline()
		require.NoError(t, pipe.BatchProcess(ctx, commands...))
		_, err := pipe.Exec(ctx)
		batch.Answer(err)
		g.settle()
	}
	require.NoError(t, client.Close())
	assert.NoError(t, ctx.Err(), "it takes too long")
	assert.Zero(t, b.taken, "of the budget")
	return reader.Result()
}

// pipeConn is a plainConn without a socket, which go-redis would ask for where it could.
type pipeConn struct {
	net.Conn
	guarded *plainConn
}

func (p pipeConn) Read(b []byte) (int, error)  { return p.guarded.Read(b) }
func (p pipeConn) Write(b []byte) (int, error) { return p.guarded.Write(b) }
func (p pipeConn) Close() error                { return p.guarded.Close() }

// answerOnce answers go-redis's greeting, then one pipeline, and hangs up.
func answerOnce(connection net.Conn, reply []byte) {
	defer func() { _ = connection.Close() }()
	buffer := make([]byte, 64<<10)
	for range 2 {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("hello")) {
			if _, err := io.WriteString(connection, "-ERR unknown command\r\n"); err != nil {
				return
			}
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, connection) }() // the rest of a long pipeline
		_, _ = connection.Write(reply)                         // the client may have gone
		return
	}
}

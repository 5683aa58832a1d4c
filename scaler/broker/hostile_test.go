package broker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// asMaster answers the greeting, and what each pipeline ends with: that the server is a
// master.
func asMaster(answer redistest.Answer) redistest.Answer {
	return redistest.AfterHello(func(to io.Writer, command []string, done <-chan struct{}) {
		if command[0] == "role" {
			saying(redistest.Array(redistest.Bulk("master"), ":0\r\n", "*0\r\n"))(to, command, done)
			return
		}
		answer(to, command, done)
	})
}

func saying(reply string) redistest.Answer {
	return func(to io.Writer, _ []string, _ <-chan struct{}) { _, _ = io.WriteString(to, reply) } // the client may be gone
}

func TestHostileReplies(t *testing.T) {
	honest := redistest.Start(t)
	require.NoError(t, honest.Client().LPush(t.Context(), "q", "a", "b").Err())
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: patient}})
	tooLarge := []string{
		"a string of 2^63 bytes", "an array of 2^63 elements", "a string of 2 GiB", "an array of 2 Gi elements", "a string of 2^64 bytes",
		"an endless line", "an endless error", "an endless string", "endless nesting", "an endless array of strings",
	}
	notRedis := []string{
		"a string of -2 bytes", "an array of -5 elements", "a string without a length", "an empty line", "a banner", "a map of RESP3",
		"a map with arrays for keys", "a streamed string", "endless attributes", "endless pushes",
	}
	for cause, names := range map[broker.Cause][]string{broker.ReplyTooLarge: tooLarge, broker.NotRedis: notRedis} {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				require.Contains(t, redistest.Hostile, name)
				hostile := redistest.StartScripted(t, redistest.AfterHello(redistest.Hostile[name]))
				_, err := read(t, pool, broker.Server{Address: hostile.Addr}, list("q"))
				failure := new(broker.ReadError)
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, cause, failure.Cause(), "%v", err)
				assert.ErrorContains(t, err, "the server at "+hostile.Addr)
				sample, err := pool.Depth(t.Context(), broker.Server{Address: honest.Addr}, list("q"))
				require.NoError(t, err, "another server's queue")
				assert.EqualValues(t, 2, sample.Total())
			})
		}
	}
}

// No server can make a depth of what is none.
func TestDepthsBelowZeroAreNone(t *testing.T) {
	pool := newPool(t, sampling.Options{})
	for name, reply := range map[string]string{
		"a negative count": ":-5\r\n",
		"the lowest count": ":-9223372036854775808\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			hostile := redistest.StartScripted(t, asMaster(saying(reply)))
			sample, err := read(t, pool, broker.Server{Address: hostile.Addr}, queue.Queue{Key: "q", Kind: queue.SortedSet})
			require.ErrorContains(t, err, "is not a count", "%+v", sample)
		})
	}
}

// A sentinel's answer is looked at before parts of it are used.
func TestSentinelsThatLie(t *testing.T) {
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: patient}})
	for name, test := range map[string]struct{ reply, words string }{
		"an empty address":       {"*0\r\n", "0 parts of an address"},
		"an address of one part": {redistest.Array(redistest.Bulk("127.0.0.1")), "1 parts of an address"},
		"an address of three":    {redistest.Array(redistest.Bulk("a"), redistest.Bulk("1"), redistest.Bulk("2")), "3 parts of an address"},
		"a port that is none":    {redistest.Array(redistest.Bulk("127.0.0.1"), redistest.Bulk("port")), "no valid address"},
		"a path":                 {redistest.Array(redistest.Bulk("/tmp/socket"), redistest.Bulk("1")), "no valid address"},
		"an array without end":   {"*9223372036854775800\r\n", "at most 131072 are read"},
	} {
		t.Run(name, func(t *testing.T) {
			hostile := redistest.StartScripted(t, redistest.AfterHello(saying(test.reply)))
			server := broker.Server{Mode: broker.Sentinel, SentinelMaster: "mymaster", Address: hostile.Addr}
			_, err := read(t, pool, server, list("q"))
			require.ErrorContains(t, err, test.words)
		})
	}
}

// replicas is a reply to CLUSTER SLOTS: one range, a master, and so many replicas that
// nobody answers at.
func replicas(master string, count int) string {
	node := func(host, port, id string) string {
		return redistest.Array(redistest.Bulk(host), ":"+port+"\r\n", redistest.Bulk(id))
	}
	host, port, _ := net.SplitHostPort(master)
	nodes := []string{":0\r\n", ":16383\r\n", node(host, port, "master")}
	for i := range count {
		nodes = append(nodes, node(fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250), "1", fmt.Sprint("replica-", i)))
	}
	return redistest.Array(redistest.Array(nodes...))
}

func TestClusterThatNamesTooManyNodes(t *testing.T) {
	for name, test := range map[string]struct {
		replicas int
		words    string
	}{
		"8,192 replicas": {8192, "names a cluster of 8193 nodes; a cluster has at most 1000"},
		"999 replicas":   {999, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: patient}})
			var hostile *redistest.Scripted
			hostile = redistest.StartScripted(t, asMaster(func(to io.Writer, command []string, _ <-chan struct{}) {
				reply := ":7\r\n"
				if command[0] == "cluster" {
					reply = replicas(hostile.Addr, test.replicas)
				}
				_, _ = io.WriteString(to, reply) // the client may be gone
			}))
			before := runtime.NumGoroutine()
			server := broker.Server{Mode: broker.Cluster, Address: hostile.Addr}
			zset := queue.Queue{Key: "q", Kind: queue.SortedSet}
			sample, err := read(t, pool, server, zset)
			if test.words == "" {
				require.NoError(t, err)
				assert.EqualValues(t, 7, sample.Total())
				return
			}
			require.ErrorContains(t, err, test.words)
			for range 100 { // which are many tries
				_, err = read(t, pool, server, queue.Queue{Key: fmt.Sprint("q", runtime.NumGoroutine()), Kind: queue.SortedSet})
				require.Error(t, err)
			}
			assert.Less(t, runtime.NumGoroutine()-before, 50, "goroutines")
			assert.Less(t, hostile.Connected.Load(), int64(50), "connections")
		})
	}
}

// A cluster that names other nodes each time, and none that answers, has as many
// connections made at once as one may have, and no more nodes than a cluster can have.
func TestClusterWhoseNodesAlwaysChange(t *testing.T) {
	var hostile *redistest.Scripted
	var answers atomic.Int64
	hostile = redistest.StartScripted(t, asMaster(func(to io.Writer, command []string, _ <-chan struct{}) {
		n := answers.Add(1)
		reply := fmt.Sprintf("-MOVED 1 127.%d.%d.%d:1\r\n", 2+n/62500%250, n/250%250, 1+n%250)
		if command[0] == "cluster" {
			reply = replicas(hostile.Addr, 0)
		}
		_, _ = io.WriteString(to, reply) // the client may be gone
	}))
	before := runtime.NumGoroutine()
	pool := newPool(t, sampling.Options{Tick: time.Millisecond, Options: broker.Options{ReadTimeout: patient}})
	server := broker.Server{Mode: broker.Cluster, Address: hostile.Addr}
	var all []queue.Queue
	for i := range 500 {
		all = append(all, queue.Queue{Key: fmt.Sprint("q", i), Kind: queue.SortedSet})
	}
	subscription, err := pool.Subscribe(server, all...)
	require.NoError(t, err)
	defer subscription.Close()
	most := 0
	require.Eventually(t, func() bool {
		most = max(most, runtime.NumGoroutine()-before)
		return answers.Load() > 5000
	}, 60*time.Second, tick)
	assert.Less(t, most, 3000, "goroutines")
	t.Logf("%d goroutines at most, %d answers", most, answers.Load())
}

// panicking is Secrets whose reader has a fault while it is told to.
type panicking struct{ faulty atomic.Bool }

func (p *panicking) Secret(context.Context, string, string) (map[string][]byte, error) {
	if p.faulty.Load() {
		panic("a fault with hunter2 in it")
	}
	return map[string][]byte{"password": []byte("secret")}, nil
}

func TestAPanicEndsOneReadAndNothingElse(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	other := redistest.Start(t)
	secrets := &panicking{}
	secrets.faulty.Store(true)
	var log log
	registry := prometheus.NewRegistry()
	pool := newPool(t, sampling.Options{
		Metrics: sampling.NewMetrics(registry),
		Options: broker.Options{
			Secrets:        secrets,
			SecretInterval: tick,
			Logger:         log.logger(),
		},
	})
	wanted := broker.Server{Address: server.Addr, Namespace: "shop", Password: broker.Secret{Name: "redis", Key: "password"}}
	for range 3 {
		_, err := read(t, pool, wanted, list("q"))
		failure := new(broker.ReadError)
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, broker.Fault, failure.Cause())
		assert.NotContains(t, err.Error(), "hunter2", "what the panic says may be anything")
	}
	_, err := read(t, pool, broker.Server{Address: other.Addr}, list("q"))
	require.NoError(t, err, "another server")
	assert.Equal(t, 1, strings.Count(log.String(), `"stack"`), "it is logged once in a row")
	assert.Contains(t, log.String(), "reads.go", "with its stack")

	secrets.faulty.Store(false)
	require.Eventually(t, func() bool {
		_, err := read(t, pool, wanted, list("q"))
		return err == nil
	}, deadline, tick, "it is read again by itself")
	counted := func() float64 {
		all, err := registry.Gather()
		require.NoError(t, err)
		for _, family := range all {
			if family.GetName() == "pubsub_scaler_panics_total" {
				return family.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return 0
	}
	before := counted()
	assert.Positive(t, before)

	// The same where the Secrets are read again, in the background.
	secrets.faulty.Store(true)
	require.Eventually(t, func() bool { return counted() > before }, deadline, tick)
	_, err = read(t, pool, wanted, list("q"))
	require.NoError(t, err, "what there was stays in use")
}

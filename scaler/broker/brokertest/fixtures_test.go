//go:build integration

package brokertest

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// fixture is queues of one kind, filled as their framework or Redis's documentation says,
// and what they come to.
type fixture struct {
	name     string
	queues   []queue.Queue
	fill     func(t *testing.T, d *deployment)
	ready    int64
	inFlight int64
	atLeast  bool   // ready is a lower bound
	alone    string // why it can't be in a cluster; empty: it can
}

// Each has something that a naive reading gets wrong: work in flight, what is not due yet,
// markers, priorities, registries of what is done.
func fixtures(t *testing.T) []fixture {
	t.Helper()
	all := []fixture{
		{name: "List", queues: []queue.Queue{{Key: "jobs", Kind: queue.List}}, fill: fillList("jobs"), ready: 2, inFlight: 1},
		{name: "Stream", queues: []queue.Queue{{Key: "events", Kind: queue.Stream, Group: "g"}}, fill: fillStream("events"), ready: 3, inFlight: 2},
		{name: "SortedSet", queues: []queue.Queue{{Key: "due", Kind: queue.SortedSet, Score: queue.UnixSeconds}}, fill: fillSortedSet("due"), ready: 2},
		{name: "PubSub", queues: []queue.Queue{{Key: "news", Kind: queue.PubSub}}, fill: fillPubSub("news"), ready: 1, atLeast: true},
		{
			name:   "Auto",
			queues: []queue.Queue{{Key: "auto-list", Kind: queue.Auto}, {Key: "auto-stream", Kind: queue.Auto}, {Key: "auto-none", Kind: queue.Auto}},
			fill: func(t *testing.T, d *deployment) {
				fillList("auto-list")(t, d)
				fillStream("auto-stream")(t, d)
			},
			ready: 5, inFlight: 3,
		},
	}
	for _, f := range framework.All() {
		example := frameworktest.Of(t, f, time.Now())
		prefix := ""
		if f.Cluster == framework.TaggedByPrefix {
			prefix = f.Prefix.Tagged
		}
		fixture := fixture{
			name: f.Name, queues: queue.OfPreset(f, prefix, example.Queues, false), ready: example.Ready, inFlight: example.InFlight,
			fill: func(t *testing.T, d *deployment) { run(t, d.client, example.Prefixed(prefix)...) },
		}
		if f.Cluster == framework.SeveralNodes {
			fixture.alone = "its keys share no hash tag"
		}
		all = append(all, fixture)
		if f.SharesInFlight() {
			prefix := "{by-queue}:" + prefix
			fixture.name += ", by queue"
			fixture.queues = queue.WithOptions(queue.OfPreset(f, prefix, example.Queues, false), framework.Options{InFlight: framework.InFlightOfQueues})
			fixture.fill = func(t *testing.T, d *deployment) { run(t, d.client, example.Prefixed(prefix)...) }
			all = append(all, fixture)
		}
	}
	return all
}

func seconds(in time.Duration) string { return strconv.FormatInt(time.Now().Add(in).Unix(), 10) }

func fillList(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		run(t, d.client,
			[]any{"LPUSH", key, "a", "b", "c"},
			[]any{"ZADD", queue.ConsumersKey(key), seconds(0), "worker-1"},
			[]any{"LMOVE", key, queue.ProcessingKey(key, "worker-1"), "RIGHT", "LEFT"})
	}
}

func fillStream(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		for range 5 {
			run(t, d.client, []any{"XADD", key, "*", "a", "b"})
		}
		run(t, d.client, []any{"XGROUP", "CREATE", key, "g", "0"}, []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", key, ">"})
	}
}

func fillSortedSet(key string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		run(t, d.client, []any{"ZADD", key, seconds(-time.Hour), "a", seconds(-time.Minute), "b", seconds(time.Hour), "c"})
	}
}

// holding is a client for which the server holds something.
var holding = regexp.MustCompile(` omem=[1-9]`)

// fillPubSub has a subscriber that does not read, and publishes until the server keeps
// what the kernel's buffers don't take.
func fillPubSub(channel string) func(*testing.T, *deployment) {
	return func(t *testing.T, d *deployment) {
		node := d.nodeOf(channel).Client()
		subscriber := node.Subscribe(t.Context(), channel)
		t.Cleanup(func() { _ = subscriber.Close() })
		_, err := subscriber.Receive(t.Context())
		require.NoError(t, err)
		message := strings.Repeat("x", 1<<20)
		held := 0 // looks in a row at which the server had something: it writes what it can in between
		require.Eventually(t, func() bool {
			list, err := node.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text()
			if !assert.NoError(t, err) {
				return true
			}
			if held++; !holding.MatchString(list) {
				held = 0
				assert.NoError(t, node.Publish(t.Context(), channel, message).Err())
			}
			return held == 20
		}, deadline, poll)
	}
}

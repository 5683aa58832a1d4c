package scaler_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// run executes commands, each given as its words.
func (f *fixture) run(t *testing.T, commands ...[]any) {
	t.Helper()
	for _, words := range commands {
		require.NoError(t, f.redis.Do(t.Context(), words...).Err(), "%v", words)
	}
}

// Each preset, from the call to the answer. The queue's name is the key of a list of 70, too: what is
// read as a plain key tells that, or that it holds something else.
func TestEveryPresetIsRead(t *testing.T) {
	f := newFixture(t)
	for _, preset := range framework.All() {
		t.Run(preset.Name, func(t *testing.T) {
			example := frameworktest.Of(t, preset, time.Now())
			f.run(t, []any{"FLUSHALL"})
			if example.List != example.Queues[0] {
				for range 70 {
					f.run(t, []any{"LPUSH", example.Queues[0], "x"})
				}
			}
			f.run(t, example.Commands...)
			got, err := f.explain(t, "preset", preset.Name, "channelName", example.Queues[0], "keys", strings.Join(example.Queues, ","))
			require.NoError(t, err)
			assert.Equal(t, example.Ready, got.GetReady())
			assert.Equal(t, example.InFlight, got.GetInFlight())
			assert.Equal(t, strings.ToLower(preset.Name), got.GetQueueType())
		})
	}
}

// What a channel says of its framework's own settings, from the call to the answer.
func TestAPresetsOptionsAreRead(t *testing.T) {
	f := newFixture(t)
	unacked := [][]any{
		{"HSET", "unacked", "t1", `[{"body":""},"","q"]`, "t2", `[{"body":""},"","other"]`, "t3", `[{"body":""},"","other"]`},
		{"ZADD", "unacked_index", 1, "t1", 2, "t2", 3, "t3"},
	}
	due := [][]any{{"ZADD", "rq:scheduled:q", 1, "job"}}
	tests := map[string]struct {
		commands        [][]any
		metadata        []string
		ready, inFlight int64
	}{
		"Celery's priority_steps and sep": {commands: [][]any{{"LPUSH", "q:5", "{}"}, {"LPUSH", "q", "{}"}, {"LPUSH", "q\x06\x163", "{}"}}, ready: 2,
			metadata: []string{"preset", "Celery", "prioritySteps", "0,5", "prioritySeparator", ":"}},
		"all work of the database":     {commands: unacked, inFlight: 3, metadata: []string{"preset", "Celery"}},
		"work of this queue":           {commands: unacked, inFlight: 1, metadata: []string{"preset", "Celery", "inFlight", "Queue"}},
		"RQ's jobs that are due":       {commands: due, ready: 1, metadata: []string{"preset", "RQ"}},
		"due, and without a scheduler": {commands: due, ready: 0, metadata: []string{"preset", "RQ", "scheduled", "Ignore"}},
		"no work":                      {commands: unacked, inFlight: 0, metadata: []string{"preset", "Celery", "inFlight", "None"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f.run(t, []any{"FLUSHALL"})
			f.run(t, test.commands...)
			got, err := f.explain(t, append([]string{"channelName", "q"}, test.metadata...)...)
			require.NoError(t, err)
			assert.Equal(t, []int64{test.ready, test.inFlight}, []int64{got.GetReady(), got.GetInFlight()})
		})
	}
}

func TestEveryQueueTypeIsRead(t *testing.T) {
	tests := map[trigger.QueueType]struct {
		command    []any
		kind       string
		ready      int64
		lowerBound bool
	}{
		trigger.Auto:      {[]any{"LPUSH", "q", 1, 2}, "list", 2, false},
		trigger.List:      {[]any{"LPUSH", "q", 1, 2, 3}, "list", 3, false},
		trigger.Stream:    {[]any{"XADD", "q", "*", "k", "v"}, "stream", 1, false},
		trigger.SortedSet: {[]any{"ZADD", "q", 1, "a", 2, "b"}, "sortedset", 2, false},
		trigger.PubSub:    {[]any{"PING"}, "pubsub", 0, true},
	}
	f := newFixture(t)
	for _, queueType := range declared.Values[trigger.QueueType](t) {
		t.Run(string(queueType), func(t *testing.T) {
			require.Contains(t, tests, queueType, "which key does it read?")
			test := tests[queueType]
			f.run(t, []any{"FLUSHALL"}, test.command)
			got, err := f.explain(t, "queueType", string(queueType))
			require.NoError(t, err)
			assert.Equal(t, test.kind, got.GetQueueType())
			assert.Equal(t, test.ready, got.GetReady())
			assert.Equal(t, test.lowerBound, got.GetDepthIsLowerBound())
		})
	}
}

// One sorted set, of which each score makes something else.
func TestEveryScoreIsRead(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	ready := map[trigger.Score]int64{
		trigger.AnyScore:         4,
		trigger.UnixSeconds:      1,     // milliseconds are far ahead
		trigger.UnixMilliseconds: 2 + 1, // seconds are long ago
	}
	f := newFixture(t)
	f.run(t, []any{"ZADD", "q", past.Unix(), "a", future.Unix(), "b", past.UnixMilli(), "c", future.UnixMilli(), "d"})
	for _, score := range declared.Values[trigger.Score](t) {
		t.Run(string(score), func(t *testing.T) {
			require.Contains(t, ready, score, "which members are ready by it?")
			for _, queueType := range []trigger.QueueType{trigger.SortedSet, trigger.Auto} {
				got, err := f.explain(t, "queueType", string(queueType), "score", string(score))
				require.NoError(t, err)
				assert.Equal(t, ready[score], got.GetReady(), "queueType %s", queueType)
			}
		})
	}
}

// Each mode finds the server that has the queue: in none of them is that the one that the
// other two would read.
func TestEveryModeIsRead(t *testing.T) {
	f := newFixture(t)
	const length = 3
	type setting struct {
		client redis.Cmdable
		pairs  []string
	}
	settings := map[trigger.Mode]func() setting{
		trigger.Standalone: func() setting { return setting{f.redis, nil} },
		trigger.Sentinel: func() setting {
			s := redistest.StartSentinel(t)
			var addresses []string
			for _, sentinel := range s.Sentinels {
				addresses = append(addresses, sentinel.Addr)
			}
			return setting{s.Data[0].Client(), []string{"redisAddress", strings.Join(addresses, ","), "sentinelMaster", s.MasterName}}
		},
		trigger.Cluster: func() setting {
			c := redistest.StartCluster(t, 3)
			other := c.Nodes[0]
			if other == c.Owner("q") {
				other = c.Nodes[1]
			}
			return setting{c.Client(), []string{"redisAddress", other.Addr}}
		},
	}
	for _, mode := range declared.Values[trigger.Mode](t) {
		t.Run(string(mode), func(t *testing.T) {
			require.Contains(t, settings, mode, "how is it connected to?")
			s := settings[mode]()
			for i := range length {
				require.NoError(t, s.client.LPush(t.Context(), "q", strconv.Itoa(i)).Err())
			}
			got, err := f.explain(t, append(s.pairs, "redisMode", string(mode))...)
			require.NoError(t, err)
			assert.EqualValues(t, length, got.GetQueueDepth())
			assert.Equal(t, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, got.GetReason())
		})
	}
}

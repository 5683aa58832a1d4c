package queue_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Each is read, of every kind and framework, and nothing else is.
func TestOddNames(t *testing.T) {
	client := redistest.Start(t).Client()
	for name, key := range frameworktest.OddNames {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, neighbour := range []string{"a", "b", "orders", "refunds", "{orders}"} {
				if neighbour != key {
					push(9, neighbour)(t, client)
				}
			}
			push(3, key)(t, client)
			do("ZADD", queue.ConsumersKey(key), 1, "w")(t, client)
			push(2, queue.ProcessingKey(key, "w"))(t, client)
			add(4, key+"s")(t, client)
			do("XGROUP", "CREATE", key+"s", key, "0")(t, client)
			do("XREADGROUP", "GROUP", key, "w", "COUNT", 1, "STREAMS", key+"s", ">")(t, client)
			do("ZADD", key+"z", 1, "a", 2, "b")(t, client)
			for q, want := range map[queue.Queue][2]int64{
				{Key: key, Kind: queue.List}:                     {3, 2},
				{Key: key, Kind: queue.Auto}:                     {3, 2},
				{Key: key + "s", Kind: queue.Stream, Group: key}: {3, 1},
				{Key: key + "s", Kind: queue.Auto}:               {3, 1},
				{Key: key + "z", Kind: queue.SortedSet}:          {2, 0},
			} {
				depth, _, err := read(t.Context(), client, newReader(q))
				require.NoError(t, err, q.Kind)
				assert.Equal(t, want, [2]int64{depth.Ready, depth.InFlight}, q.Kind)
			}
			for _, f := range framework.All() {
				prefix := ""
				if f.Prefix != nil {
					prefix = key
				}
				waits(t, client, f, prefix, key)
			}
		})
	}
}

// waits has two jobs wait in a framework's queue of that name, and reads them.
func waits(t *testing.T, client *redis.Client, f framework.Framework, prefix, name string) {
	t.Helper()
	require.NoError(t, client.FlushAll(t.Context()).Err())
	held := map[framework.Type]func(key string){
		framework.List:      func(key string) { push(2, key)(t, client) },
		framework.SortedSet: func(key string) { do("ZADD", key, 1, "a", 2, "b")(t, client) },
	}
	for _, key := range f.Queue {
		if key.Counts == framework.Waiting || len(f.Queue) == 1 {
			held[key.Holds](f.Render(strings.ReplaceAll(key.Name, "<step>", ""), prefix, name))
			break
		}
	}
	var total int64
	for _, q := range queue.OfPreset(f, prefix, []string{name}, false) {
		depth, _, err := read(t.Context(), client, newReader(q))
		require.NoError(t, err, f.Name)
		total += depth.Total()
	}
	assert.EqualValues(t, 2, total, f.Name)
}

package main

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// kinds are both kinds of queue, for tests of what holds for either.
var kinds = []kindOfQueue{
	{
		name: "List",
		publish: func(t *testing.T, client *redis.Client, payload string) {
			require.NoError(t, client.LPush(t.Context(), key, payload).Err())
		},
		left: func(t *testing.T, client *redis.Client) int64 {
			processing, err := client.Keys(t.Context(), queue.ProcessingKey(key, "*")).Result()
			counts := []*redis.IntCmd{client.LLen(t.Context(), key), client.LLen(t.Context(), queue.NextKey(key)), client.ZCard(t.Context(), queue.TakenKey(key))}
			for _, list := range processing {
				counts = append(counts, client.LLen(t.Context(), list))
			}
			left := int64(0)
			for _, count := range counts {
				err = cmp.Or(err, count.Err())
				left += count.Val()
			}
			if err != nil {
				return -1
			}
			return left
		},
		abandon: func(t *testing.T, client *redis.Client, worker string) {
			endLeases(t, client, worker, time.UnixMilli(1))
		},
		dead: func(t *testing.T, client *redis.Client) []string {
			return deadPayloads(t, client, deadletter.Box{Key: key})
		},
		consumers: func(t *testing.T, client *redis.Client) []string {
			names, err := client.ZRange(t.Context(), queue.ConsumersKey(key), 0, -1).Result()
			require.NoError(t, err)
			return names
		},
	},
	{
		name: "Stream",
		publish: func(t *testing.T, client *redis.Client, payload string) {
			require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{
				Stream: key, Values: []any{"payload", payload},
			}).Err())
		},
		left: func(t *testing.T, client *redis.Client) int64 {
			groups, err := client.XInfoGroups(t.Context(), key).Result()
			switch {
			case redis.HasErrorPrefix(err, "no such key"):
				return 0
			case err != nil:
				return -1
			case len(groups) == 0:
				left, err := client.XLen(t.Context(), key).Result()
				if err != nil {
					return -1
				}
				return left
			case groups[0].Lag < 0:
				return -1 // the server has lost it
			}
			return groups[0].Lag + groups[0].Pending
		},
		abandon: func(t *testing.T, client *redis.Client, worker string) { setIdle(t, client, worker, time.Hour) },
		dead: func(t *testing.T, client *redis.Client) []string {
			return deadPayloads(t, client, deadletter.Box{Key: key, Group: queue.DefaultConsumerGroup})
		},
		consumers: func(t *testing.T, client *redis.Client) []string {
			consumers, err := client.XInfoConsumers(t.Context(), key, queue.DefaultConsumerGroup).Result()
			require.NoError(t, err)
			var names []string
			for _, consumer := range consumers {
				if consumer.Name != queue.WaitingConsumer {
					names = append(names, consumer.Name)
				}
			}
			return names
		},
	},
}

// endLeases sets when the leases of a worker's messages of the list end.
func endLeases(t *testing.T, client *redis.Client, worker string, end time.Time) {
	t.Helper()
	members, err := client.ZRange(t.Context(), queue.TakenKey(key), 0, -1).Result()
	require.NoError(t, err)
	for _, member := range members {
		if strings.HasSuffix(member, ":"+worker) {
			lease := redis.Z{Score: queue.InWork + float64(end.UnixMilli()), Member: member}
			require.NoError(t, client.ZAddXX(t.Context(), queue.TakenKey(key), lease).Err())
		}
	}
}

// setIdle sets how long ago a worker was delivered its messages of the stream.
func setIdle(t *testing.T, client *redis.Client, worker string, idle time.Duration) {
	t.Helper()
	pending, err := client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
		Stream: key, Group: queue.DefaultConsumerGroup, Start: "-", End: "+", Count: 100, Consumer: worker,
	}).Result()
	require.NoError(t, err)
	for _, entry := range pending {
		require.NoError(t, client.Do(t.Context(), "XCLAIM", key, queue.DefaultConsumerGroup, worker, 0,
			entry.ID, "IDLE", idle.Milliseconds(), "JUSTID").Err())
	}
}

// deadPayloads are those of a box, the newest first.
func deadPayloads(t *testing.T, client *redis.Client, box deadletter.Box) []string {
	t.Helper()
	ids, err := box.IDs(t.Context(), client, 0)
	require.NoError(t, err)
	letters, err := box.Read(t.Context(), client, ids)
	require.NoError(t, err)
	var payloads []string
	for _, letter := range letters {
		payloads = append(payloads, letter.Payload+letter.Fields["payload"])
	}
	return payloads
}

func forEachKind(t *testing.T, test func(t *testing.T, kind kindOfQueue)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

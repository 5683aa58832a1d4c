package main

import (
	"strings"
	"testing"

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
			left := client.LLen(t.Context(), key).Val() + client.LLen(t.Context(), queue.NextKey(key)).Val() + client.ZCard(t.Context(), queue.TakenKey(key)).Val()
			for _, processing := range client.Keys(t.Context(), queue.ProcessingKey(key, "*")).Val() {
				left += client.LLen(t.Context(), processing).Val()
			}
			return left
		},
		abandon: func(t *testing.T, client *redis.Client, worker string) {
			for _, member := range client.ZRange(t.Context(), queue.TakenKey(key), 0, -1).Val() {
				if strings.HasSuffix(member, ":"+worker) {
					require.NoError(t, client.ZAdd(t.Context(), queue.TakenKey(key), redis.Z{Score: queue.InWork + 1, Member: member}).Err())
				}
			}
		},
		dead: func(t *testing.T, client *redis.Client) []string {
			return deadPayloads(t, client, deadletter.Box{Key: key})
		},
		consumers: func(t *testing.T, client *redis.Client) []string {
			return client.ZRange(t.Context(), queue.ConsumersKey(key), 0, -1).Val()
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
			if err != nil || len(groups) == 0 {
				return client.XLen(t.Context(), key).Val()
			}
			return groups[0].Lag + groups[0].Pending
		},
		abandon: func(t *testing.T, client *redis.Client, worker string) {
			pending, err := client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
				Stream: key, Group: queue.DefaultConsumerGroup, Start: "-", End: "+", Count: 100, Consumer: worker,
			}).Result()
			require.NoError(t, err)
			for _, entry := range pending {
				require.NoError(t, client.Do(t.Context(), "XCLAIM", key, queue.DefaultConsumerGroup, worker, 0,
					entry.ID, "IDLE", 3_600_000, "JUSTID").Err())
			}
		},
		dead: func(t *testing.T, client *redis.Client) []string {
			return deadPayloads(t, client, deadletter.Box{Key: key, Group: queue.DefaultConsumerGroup})
		},
		consumers: func(t *testing.T, client *redis.Client) []string {
			var names []string
			for _, consumer := range client.XInfoConsumers(t.Context(), key, queue.DefaultConsumerGroup).Val() {
				if consumer.Name != queue.WaitingConsumer {
					names = append(names, consumer.Name)
				}
			}
			return names
		},
	},
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

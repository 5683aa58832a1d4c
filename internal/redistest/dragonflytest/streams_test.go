package dragonflytest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
)

func TestPendingEntries(t *testing.T) {
	client := dragonflytest.Start(t, dragonflytest.ClaimIdle(), dragonflytest.EmptyEntries()).Client()
	do(t, client, "XADD s 1-0 a b", "XADD s 2-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >",
		"XDEL s 1-0", "XCLAIM s g c 0 2-0 IDLE 5000 JUSTID")
	pending, err := client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "2-0", End: "2-0", Count: 1}).Result()
	require.NoError(t, err)
	require.Greater(t, pending[0].Idle, 24*time.Hour)
	history, err := client.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", "0"}}).Result()
	require.NoError(t, err)
	require.Equal(t, []redis.XMessage{{ID: "1-0", Values: map[string]any{}}, {ID: "2-0", Values: map[string]any{"a": "b"}}}, history[0].Messages)
}

func TestPendingEntriesOfAnUnknownConsumer(t *testing.T) {
	client := dragonflytest.Start(t, dragonflytest.UnknownConsumers()).Client()
	do(t, client, "XADD s 1-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >", "XGROUP CREATECONSUMER s g idle")
	for consumer, want := range map[string]int{"c": 1, "idle": 0, "unknown": 1, "": 1} {
		for _, idle := range []time.Duration{0, time.Millisecond} {
			require.Eventually(t, func() bool {
				pending, err := client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "-", End: "+", Count: 10, Consumer: consumer, Idle: idle}).Result()
				return err == nil && len(pending) == want
			}, time.Minute, time.Millisecond, "%q", consumer)
		}
	}
}

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// ofQueue is a message that names its queue, which handlers hold against its header.
func ofQueue(key string, i int) string { return fmt.Sprintf("%s/%03d", key, i) }

func TestSeveralQueuesTakeTurns(t *testing.T) {
	const messages = 30
	server := redistest.Start(t)
	client := server.Client()
	for i := range messages {
		require.NoError(t, client.LPush(t.Context(), "a", ofQueue("a", i)).Err())
		require.NoError(t, client.LPush(t.Context(), "b", ofQueue("b", i)).Err())
		require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "c", Values: []any{"payload", ofQueue("c", i)}}).Err())
	}
	h := handle(t, ok)
	worker := start(t, server.Addr, "pod", `QUEUE_KEYS=["a","b","c","late"]`, "HANDLER_URL="+h.URL, "BATCH_SIZE=5")
	require.Eventually(t, func() bool { return h.received() == 3*messages }, patient, often)
	// One message at a time, and each queue its turn.
	share := map[string]int{}
	for _, payload := range h.inOrder()[:messages] {
		share[payload[:1]]++
	}
	for _, key := range []string{"a", "b", "c"} {
		require.GreaterOrEqual(t, share[key], messages/6, "its third or so of the first ones: %v", share)
	}
	worker.awaitLog("waiting for the queue to exist")
	require.NoError(t, client.LPush(t.Context(), "late", ofQueue("late", 0)).Err())
	require.Eventually(t, func() bool { return h.count(ofQueue("late", 0)) == 1 }, patient, often)
	for key, want := range map[string]float64{"a": 30, "b": 30, "late": 1} {
		require.Eventually(t, func() bool { return client.ZScore(t.Context(), queue.DoneKey(key), queue.DoneMember).Val() == want }, patient, often)
	}
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

func TestSIGTERMGivesBackTheMessagesOfAllQueues(t *testing.T) {
	const messages = 10
	server := redistest.Start(t)
	client := server.Client()
	for _, key := range []string{"a", "b"} {
		for i := range messages {
			require.NoError(t, client.LPush(t.Context(), key, ofQueue(key, i)).Err())
		}
	}
	release := make(chan struct{})
	h := handle(t, hold(release))
	worker := start(t, server.Addr, "pod", `QUEUE_KEYS=["a","b"]`, "QUEUE_TYPE=List", "CONCURRENCY=3", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return h.received() == 3 }, patient, often)
	worker.terminate()
	worker.awaitLog("stopping: finishing the messages in flight")
	close(release)
	require.Zero(t, worker.exitCode())
	require.Equal(t, 3, h.received())
	left := int64(0)
	for _, key := range []string{"a", "b"} {
		left += client.LLen(t.Context(), key).Val() + client.LLen(t.Context(), queue.NextKey(key)).Val() + client.ZCount(t.Context(), queue.TakenKey(key), "0", "("+strconv.FormatInt(queue.InWork, 10)).Val()
		require.Equal(t, client.ZCard(t.Context(), queue.TakenKey(key)).Val(), int64(len(client.Keys(t.Context(), queue.TakenKey(key)+":*").Val())), "each name has its message")
	}
	require.EqualValues(t, 2*messages-3, left, "all of it waits")
	require.Empty(t, client.Keys(t.Context(), "*:consumers").Val())
}

func TestPubSubIsHeardByEveryWorker(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	subscribers := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			for _, count := range client.PubSubNumSub(t.Context(), "a", "b").Val() {
				if count != n {
					return false
				}
			}
			return true
		}, patient, often)
	}
	publish := func(message string) {
		t.Helper()
		require.NoError(t, client.Publish(t.Context(), message[:1], message).Err())
	}
	var handlers []*handler
	var workers []*subscriber
	for _, name := range []string{"one", "two"} {
		h := handle(t, func(_ string, n int) int { return http.StatusNoContent })
		handlers = append(handlers, h)
		workers = append(workers, start(t, server.Addr, name, `QUEUE_KEYS=["a","b"]`, "QUEUE_TYPE=PubSub", "HANDLER_URL="+h.URL))
	}
	heard := func(message string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return handlers[0].count(message) == 1 && handlers[1].count(message) == 1
		}, patient, often, message)
	}
	subscribers(2)
	for i := range 20 {
		publish(ofQueue("a", i))
		publish(ofQueue("b", i))
	}
	for i := range 20 {
		heard(ofQueue("a", i))
		heard(ofQueue("b", i))
	}
	require.Equal(t, 2, strings.Count(client.ClientList(t.Context()).Val(), "name=pubsub:a "))

	server.Kill()
	workers[0].awaitLog("the server does not answer")
	server.Restart()
	subscribers(2)
	publish("a/again")
	heard("a/again")
	for _, worker := range workers {
		worker.terminate()
		require.Zero(t, worker.exitCode())
	}
	subscribers(0)
}

// A message of Pub/Sub whose work fails is not delivered again.
func TestPubSubDeliversOnce(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	h := handle(t, func(payload string, _ int) int {
		if payload == "bad" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	start(t, server.Addr, "pod", "QUEUE_TYPE=PubSub", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return client.PubSubNumSub(t.Context(), key).Val()[key] == 1 }, patient, often)
	require.NoError(t, client.Publish(t.Context(), key, "bad").Err())
	began := time.Now()
	for i := 0; time.Since(began) < 2*time.Second; i++ { // a list's message would come again after 1 s
		good := fmt.Sprint("good", i)
		require.NoError(t, client.Publish(t.Context(), key, good).Err())
		require.Eventually(t, func() bool { return h.count(good) == 1 }, patient, often)
	}
	require.Equal(t, 1, h.count("bad"))
}

package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

func payload(i int) string { return fmt.Sprintf("message-%03d", i) }

func publish(t *testing.T, client *redis.Client, kind kindOfQueue, n int) {
	t.Helper()
	for i := range n {
		kind.publish(t, client, payload(i))
	}
}

// A worker is killed while it holds messages; every message is done all the same.
func TestSurvivorsFinishWhatAKilledWorkerHeld(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages, held = 60, 3
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)

		stuck := handleNever(t)
		victim := start(t, server.Addr, "victim", "CONCURRENCY=3", "HANDLER_URL="+stuck.URL)
		require.Eventually(t, func() bool { return stuck.received() == held }, patient, often)
		victim.kill()
		require.EqualValues(t, messages, kind.left(t, client), "nothing is lost with the worker")

		done := handle(t, ok)
		for _, name := range []string{"a", "b"} {
			start(t, server.Addr, name, "HANDLER_URL="+done.URL, "CONCURRENCY=2")
		}
		kind.abandon(t, client, "victim")
		require.Eventually(t, func() bool { return done.received() == messages }, patient, often)
		require.Eventually(t, func() bool { return kind.left(t, client) == 0 }, patient, often)
	})
}

// A container restarts in its pod: same name, messages of the process before.
func TestANewProcessOfTheSameNameTakesItsMessages(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 2)
		stuck := handleNever(t)
		const hour = "MESSAGE_TIMEOUT=3600" // after which others claim a stream's entry
		first := start(t, server.Addr, "pod", hour, "HANDLER_URL="+stuck.URL)
		require.Eventually(t, func() bool { return stuck.received() == 1 }, patient, often)
		first.kill()

		done := handle(t, ok)
		second := start(t, server.Addr, "pod", hour, "HANDLER_URL="+done.URL)
		require.Eventually(t, func() bool { return done.received() == 2 && kind.left(t, client) == 0 }, patient, often)
		// As others do with a list's message, once its lease has ended.
		require.NotContains(t, second.log.String(), "messages of workers that are gone taken over", "it knows that the first one is gone")
	})
}

func TestSIGTERMFinishesTheWorkAndTakesNoMore(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 5
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		release := make(chan struct{})
		h := handle(t, hold(release))
		worker := start(t, server.Addr, "pod", "CONCURRENCY=2", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.received() == 2 }, patient, often)
		worker.terminate()
		worker.awaitLog("stopping: finishing the messages in flight")
		close(release)
		require.Zero(t, worker.exitCode())

		require.Equal(t, 2, h.received(), "it takes no more")
		require.Equal(t, 1, h.count(payload(0)))
		require.Equal(t, 1, h.count(payload(1)))
		require.EqualValues(t, messages-2, kind.left(t, client), "what was in work is acknowledged, and no more")
		require.Empty(t, kind.consumers(t, client), "it takes its name off")

		next := handle(t, ok)
		start(t, server.Addr, "next", "HANDLER_URL="+next.URL)
		require.Eventually(t, func() bool { return next.received() == messages-2 && kind.left(t, client) == 0 }, patient, often)
		require.Zero(t, next.count(payload(0))+next.count(payload(1)), "nothing is done twice")
	})
}

// Work that takes longer than it may is cut short, and the worker ends in time.
func TestSIGTERMDoesNotWaitBeyondTheMessageTimeout(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 1)
		h := handleNever(t)
		worker := start(t, server.Addr, "pod", "MESSAGE_TIMEOUT=2", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.received() == 1 }, patient, often)
		worker.terminate()
		require.Zero(t, worker.exitCode(), "although the handler never answers")
		require.EqualValues(t, 1, kind.left(t, client), "it is there for others")
	})
}

// A worker that waits for a message on the server is told to stop, and messages come.
func TestSIGTERMDuringABlockedFetchLosesNothing(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		h := handle(t, ok)
		worker := start(t, server.Addr, "pod", "QUEUE_TYPE="+kind.name, "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool {
			return strings.Contains(client.Info(t.Context(), "clients").Val(), "blocked_clients:1\r")
		}, patient, time.Millisecond)
		const messages = 20
		worker.terminate()
		publish(t, client, kind, messages)
		require.Zero(t, worker.exitCode())
		require.EqualValues(t, messages-h.received(), kind.left(t, client))

		next := handle(t, ok)
		start(t, server.Addr, "next", "HANDLER_URL="+next.URL)
		require.Eventually(t, func() bool {
			return next.received()+h.received() == messages && kind.left(t, client) == 0
		}, patient, often)
	})
}

func TestServerRestartLosesNothing(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 40
		server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
		client := server.Client()
		publish(t, client, kind, messages)
		release := make(chan struct{})
		h := handle(t, func(payload string, n int) int {
			if n == 1 {
				<-release
			}
			return http.StatusOK
		})
		worker := start(t, server.Addr, "pod", "CONCURRENCY=4", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.received() == 4 }, patient, often)
		server.Kill()
		close(release) // they end while there is no server to tell
		worker.awaitLog("the server does not answer")
		server.Restart()
		worker.awaitLog("the server answers again")
		require.Eventually(t, func() bool { return h.received() == messages }, patient, often)
		require.Eventually(t, func() bool { return kind.left(t, client) == 0 }, patient, often)
		for i := range messages {
			assert.Equal(t, 1, h.count(payload(i)), "acknowledged once the server is back, not done again")
		}
		assert.Equal(t, 1, strings.Count(worker.log.String(), "does not answer"), "told once")
	})
}

func TestFailedDeliveriesComeAgainWithBackOff(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 3)
		began := time.Now()
		h := handle(t, func(m string, n int) int {
			if m == payload(0) && n <= 2 {
				return http.StatusInternalServerError
			}
			return http.StatusNoContent
		})
		start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.count(payload(0)) == 3 && kind.left(t, client) == 0 }, patient, often)
		require.GreaterOrEqual(t, time.Since(began), 2*time.Second, "0.75 s to 1 s, then 1.5 s to 2 s")
		require.Equal(t, 1, h.count(payload(1)), "a message that fails does not stop the others")
		order := h.inOrder()
		require.Equal(t, payload(0), order[len(order)-1])
	})
}

func TestDeadLetters(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 2)
		h := handle(t, func(m string, _ int) int {
			if m == payload(0) {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		start(t, server.Addr, "pod", "HANDLER_URL="+h.URL, "MAX_DELIVERIES=2")
		require.Eventually(t, func() bool { return len(kind.dead(t, client)) > 0 && kind.left(t, client) == 0 }, patient, often)
		require.Equal(t, []string{payload(0)}, kind.dead(t, client))
		require.Equal(t, 2, h.count(payload(0)))
		require.Equal(t, 1, h.count(payload(1)))
		require.Empty(t, client.Keys(t.Context(), queue.UncountedKey(key, "*")).Val(), "no tokens are left")
	})
}

// While the handler is away no message is counted as failed, nor given up.
func TestAHandlerThatIsAwayBuriesNothing(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 20
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		reserved, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := reserved.Addr().String()
		require.NoError(t, reserved.Close())
		worker := start(t, server.Addr, "pod", "HANDLER_URL=http://"+address, "MAX_DELIVERIES=1")
		worker.awaitLog("the handler is away or overloaded")
		h := handle(t, ok)
		redistest.StartProxyAt(t, address, strings.TrimPrefix(h.URL, "http://"))
		require.Eventually(t, func() bool { return h.received() == messages && kind.left(t, client) == 0 }, patient, often)
		require.Empty(t, kind.dead(t, client))
		require.Equal(t, 1, strings.Count(worker.log.String(), "no messages are taken"))
		worker.awaitLog("is available again") // its log comes through a pipe, and may be behind
		require.Equal(t, 1, strings.Count(worker.log.String(), "is available again"))
	})
}

// A message that ends its worker is counted too, before it takes the next one along.
func TestDeadLettersOfMessagesThatKillTheirWorker(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 1)
		for n := 1; n <= 2; n++ {
			h := handleNever(t)
			worker := start(t, server.Addr, "pod", "HANDLER_URL="+h.URL, "MAX_DELIVERIES=2")
			require.Eventually(t, func() bool { return h.received() == 1 }, patient, often)
			worker.kill()
		}
		h := handle(t, ok)
		start(t, server.Addr, "pod", "HANDLER_URL="+h.URL, "MAX_DELIVERIES=2")
		require.Eventually(t, func() bool { return len(kind.dead(t, client)) == 1 && kind.left(t, client) == 0 }, patient, often)
		require.Zero(t, h.received())
	})
}

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// finish has another worker do what is left.
func finish(t *testing.T, server *redistest.Server, kind kindOfQueue, env ...string) *handler {
	t.Helper()
	h := handle(t, ok)
	client := server.Client()
	start(t, server.Addr, "next", append(env, "HANDLER_URL="+h.URL)...)
	require.Eventually(t, func() bool { return kind.left(t, client) == 0 }, patient, often)
	return h
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, reserved.Close())
	return reserved.Addr().String()
}

// The server was never there.
func TestSIGTERMWhileThereIsNoServer(t *testing.T) {
	worker := start(t, closedAddress(t), "pod", "QUEUE_TYPE=List")
	worker.awaitLog("the server does not answer")
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

// The server hangs while a worker waits on it for a message.
func TestSIGTERMDuringAFetchFromAServerThatHangs(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		worker := start(t, server.Addr, "pod", "QUEUE_TYPE="+kind.name, "MESSAGE_TIMEOUT=1")
		require.Eventually(t, func() bool {
			return strings.Contains(client.Info(t.Context(), "clients").Val(), "blocked_clients:1\r")
		}, patient, often)
		server.Pause()
		worker.terminate()
		require.Zero(t, worker.exitCode())
		server.Resume()
		publish(t, client, kind, 3)
		require.Equal(t, 3, finish(t, server, kind).received())
	})
}

// The server hangs as a message is acknowledged.
func TestSIGTERMWhileAnAcknowledgementHangs(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 3)
		release := make(chan struct{})
		h := handle(t, hold(release))
		worker := start(t, server.Addr, "pod", "MESSAGE_TIMEOUT=2", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.received() == 1 }, patient, often)
		server.Pause()
		close(release)
		worker.terminate()
		require.Zero(t, worker.exitCode())
		require.Equal(t, 1, h.received(), "it takes no more")
		server.Resume()
		kind.abandon(t, client, "pod") // its lease or time is not waited for
		next := finish(t, server, kind)
		require.Equal(t, 1, next.count(payload(1)))
		require.Equal(t, 1, next.count(payload(2)))
		require.LessOrEqual(t, next.count(payload(0)), 1, "once more if the server was never told of its end")
	})
}

// No messages are taken, because the handler is away.
func TestSIGTERMWhileTheHandlerIsAway(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 5
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		worker := start(t, server.Addr, "pod", "CONCURRENCY=2", "HANDLER_URL=http://"+closedAddress(t))
		worker.awaitLog("no messages are taken")
		worker.terminate()
		require.Zero(t, worker.exitCode())
		require.EqualValues(t, messages, kind.left(t, client))
		require.Empty(t, kind.consumers(t, client))
		next := finish(t, server, kind)
		for i := range messages {
			require.Equal(t, 1, next.count(payload(i)), payload(i))
		}
	})
}

// The handler asks to be left alone for longer than a worker that is told to stop may live.
func TestSIGTERMDuringARetryAfter(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 5
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		var calls atomic.Int64
		overloaded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		defer overloaded.Close()
		worker := start(t, server.Addr, "pod", "MESSAGE_TIMEOUT=2", "HANDLER_URL="+overloaded.URL)
		worker.awaitLog("no messages are taken")
		worker.terminate()
		require.Zero(t, worker.exitCode())
		require.EqualValues(t, 1, calls.Load(), "it is left alone")
		require.EqualValues(t, messages, kind.left(t, client))
		require.Empty(t, kind.consumers(t, client))

		h := handle(t, ok)
		start(t, server.Addr, "next", "MESSAGE_TIMEOUT=2", "HANDLER_URL="+h.URL)
		later := map[string]int64{"List": 1, "Stream": 0}[kind.name] // a stream's entry waits for its claim at most
		require.Eventually(t, func() bool { return kind.left(t, client) == later }, patient, often)
		require.EqualValues(t, messages-later, h.received())
		for i := range messages {
			require.LessOrEqual(t, h.count(payload(i)), 1, payload(i))
		}
	})
}

// A worker is told to stop while it takes over what another held; the server gets that after its end.
func TestSIGTERMDuringATakeover(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 3
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		stuck := handleNever(t)
		victim := start(t, server.Addr, "victim", "CONCURRENCY=3", "HANDLER_URL="+stuck.URL)
		require.Eventually(t, func() bool { return stuck.received() == messages }, patient, often)
		victim.kill()
		kind.abandon(t, client, "victim")
		late := redistest.StartLate(t, server.Addr)
		takeover := late.Hold(map[string]string{"List": ":victim", "Stream": "xautoclaim"}[kind.name])
		h := handle(t, ok)
		worker := start(t, late.Addr, "pod", "CONCURRENCY=3", "HANDLER_URL="+h.URL)
		takeover.Await()
		worker.terminate()
		require.Zero(t, worker.exitCode())
		takeover.Deliver()
		require.EqualValues(t, messages, kind.left(t, client))
		kind.abandon(t, client, "pod")
		next := finish(t, server, kind, "CONCURRENCY=3")
		for i := range messages {
			require.Equal(t, 1, next.count(payload(i))+h.count(payload(i)), payload(i))
		}
	})
}

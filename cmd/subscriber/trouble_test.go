package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// The server becomes a replica, as in a failover that its address does not follow, while messages are in work: workers
// wait for it to take writes again, and what they finished meanwhile is not delivered again.
func TestAServerThatIsReadOnlyForAWhile(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages = 6
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, messages)
		release := make(chan struct{})
		h := handle(t, hold(release))
		worker := start(t, server.Addr, "pod", "CONCURRENCY=2", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return h.received() == 2 }, patient, often)
		require.NoError(t, client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
		close(release)
		worker.awaitLog("READONLY")
		require.NoError(t, client.ReplicaOf(t.Context(), "NO", "ONE").Err())
		require.Eventually(t, func() bool { return h.received() == messages && kind.left(t, client) == 0 }, patient, often)
		for i := range messages {
			assert.Equal(t, 1, h.count(payload(i)), payload(i))
		}
	})
}

// A right is taken from the workers while a message is in work: they say which, and end; once they have it again, the message
// is done.
func TestARightThatIsTakenAway(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t, redistest.ACLArgs()...)
		client := server.Client()
		grant(t, client, workerRule)
		publish(t, client, kind, 3)
		release := make(chan struct{})
		h := handle(t, hold(release))
		env := append([]string{"HANDLER_URL=" + h.URL}, asWorker...)
		first := start(t, server.Addr, "pod", env...)
		require.Eventually(t, func() bool { return h.received() == 1 }, patient, often)
		lost := map[string]string{"List": "-zrem", "Stream": "-xack"}[kind.name]
		require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", workerUser, lost).Err())
		close(release)
		require.Equal(t, program.Failed, first.exitCode())
		require.Contains(t, first.log.String(), "'"+lost[1:]+"'")
		require.Contains(t, first.log.String(), "grant the command")
		require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", workerUser, "+"+lost[1:]).Err())
		start(t, server.Addr, "pod", env...)
		require.Eventually(t, func() bool { return h.received() == 3 && kind.left(t, client) == 0 }, patient, often)
	})
}

// The queue is deleted, and another kind of queue has its key: the worker ends, and the pod's next one consumes that.
func TestAKeyThatChangesItsType(t *testing.T) {
	for i, kind := range kinds {
		t.Run("from "+kind.name, func(t *testing.T) {
			t.Parallel()
			other := kinds[1-i]
			server := redistest.Start(t)
			client := server.Client()
			publish(t, client, kind, 1)
			h := handle(t, ok)
			first := start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
			require.Eventually(t, func() bool { return h.received() == 1 && kind.left(t, client) == 0 }, patient, often)
			_, err := client.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
				tx.Del(t.Context(), key)
				if other.name == "List" {
					tx.LPush(t.Context(), key, "other")
				} else {
					tx.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "other"}})
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, program.Failed, first.exitCode())
			require.Contains(t, first.log.String(), "the key's type changed")
			start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
			require.Eventually(t, func() bool { return h.count("other") == 1 && other.left(t, client) == 0 }, patient, often)
		})
	}
}

// Messages that are large beside what may be held are delivered, one after the other.
func TestHugeMessages(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const size = 48 << 20
		server := redistest.Start(t)
		client := server.Client()
		for _, first := range []string{"a", "b", "c"} {
			kind.publish(t, client, first+strings.Repeat("x", size))
		}
		done := &handled{}
		handler := httptest.NewServer(done)
		t.Cleanup(handler.Close)
		start(t, server.Addr, "pod", "QUEUE_TYPE="+kind.name, "CONCURRENCY=4", "HANDLER_URL="+handler.URL)
		require.Eventually(t, func() bool { return kind.left(t, client) == 0 && done.all() == "abc" }, patient, often)
	})
}

// handled are the first bytes of what came to a handler, in order and without those that came again.
type handled struct {
	mu    sync.Mutex
	first []string
}

func (h *handled) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return // its worker is gone
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first = append(h.first, string(body[:1]))
}

func (h *handled) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(h.first))), "")
}

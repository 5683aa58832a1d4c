package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// What the handler refuses is told and put aside at once, without MAX_DELIVERIES; the rest
// goes on.
func TestWhatTheHandlerRefusesIsADeadLetter(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		publish(t, client, kind, 3)
		h := handle(t, func(p string, _ int) int {
			if p == payload(1) {
				return http.StatusUnprocessableEntity
			}
			return http.StatusOK
		})
		worker := start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
		require.Eventually(t, func() bool { return kind.left(t, client) == 0 }, patient, often)
		require.Equal(t, []string{payload(1)}, kind.dead(t, client))
		require.Equal(t, 1, h.count(payload(1)))
		worker.awaitLog("422 Unprocessable Entity")
	})
}

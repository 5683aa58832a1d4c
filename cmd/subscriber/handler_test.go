package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
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

// All fields of a stream's entry come to the handler, as bytes.
func TestFieldsOfAStreamReachTheHandler(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	got := make(chan *http.Request, 1)
	bodies := make(chan []byte, 1)
	handler := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r
		bodies <- body
	}))
	defer handler.Close()
	id := client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "\x00\xff", "ce_type", "shop.order", "tenant", "\xfe"}}).Val()
	start(t, server.Addr, "pod", "HANDLER_URL="+handler.URL, "HANDLER_FORMAT=CloudEventsBinary")
	select {
	case r := <-got:
		require.Equal(t, "shop.order", r.Header.Get("ce-type"))
		require.Equal(t, id, r.Header.Get("ce-id"))
		require.Equal(t, "%FE", r.Header.Get("X-Field-tenant"))
		require.Equal(t, "1", r.Header.Get("X-Delivery-Count"))
		require.Equal(t, `"orders/`+id+`"`, r.Header.Get("Idempotency-Key"))
		require.Equal(t, "\x00\xff", string(<-bodies))
	case <-time.After(patient):
		t.Fatal("nothing came")
	}
}

package main

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/otlptest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

const (
	publishedTrace = "0af7651916cd43dd8448eb211c80319c"
	publishedSpan  = "b7ad6b7169203331"
	traceparent    = "00-" + publishedTrace + "-" + publishedSpan + "-01"
)

// headersOf is a handler that keeps the header traceparent of each request.
func headersOf(t *testing.T) (url string, traceparents chan string) {
	traceparents = make(chan string, 10)
	handler := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { traceparents <- r.Header.Get("traceparent") }))
	t.Cleanup(handler.Close)
	return handler.URL, traceparents
}

func received(t *testing.T, from chan string) string {
	t.Helper()
	select {
	case text := <-from:
		return text
	case <-time.After(patient):
		t.Fatal("nothing came")
		return ""
	}
}

// A message's trace goes on from its publisher to the handler, whichever field names it.
func TestAMessageIsTraced(t *testing.T) {
	for field, format := range map[string]string{"traceparent": "Raw", "ce_traceparent": "CloudEventsBinary"} {
		t.Run(field, func(t *testing.T) {
			receiver, server := otlptest.Start(t), redistest.Start(t)
			url, traceparents := headersOf(t)
			client := server.Client()
			require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "hunter2", field, traceparent}}).Err())
			worker := start(t, server.Addr, "pod", "HANDLER_URL="+url+"/orders?token=hunter2", "HANDLER_FORMAT="+format, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.HTTP)
			header := received(t, traceparents)
			require.Eventually(t, func() bool { return kinds[1].left(t, client) == 0 }, patient, often)
			worker.terminate()
			require.Zero(t, worker.exitCode())

			receives, processed, posted := receiver.Named("receive "+key), receiver.Named("process "+key), receiver.Named("POST")
			require.Len(t, receives, 1, "none for fetches without a message")
			require.Len(t, processed, 1)
			require.Len(t, posted, 1)
			assert.Equal(t, "pubsub-subscriber", processed[0].Service)
			assert.Equal(t, publishedTrace, hex.EncodeToString(processed[0].GetTraceId()))
			assert.Equal(t, publishedSpan, hex.EncodeToString(processed[0].GetParentSpanId()))
			assert.Equal(t, receives[0].GetTraceId(), processed[0].GetLinks()[0].GetTraceId(), "a link to the batch")
			assert.Equal(t, publishedTrace, hex.EncodeToString(receives[0].GetLinks()[0].GetTraceId()), "and from it to the message")
			assert.Equal(t, processed[0].GetSpanId(), posted[0].GetParentSpanId())
			assert.Equal(t, "00-"+publishedTrace+"-"+hex.EncodeToString(posted[0].GetSpanId())+"-01", header)
			for _, span := range receiver.Spans() {
				assert.NotContains(t, span.String(), "hunter2")
			}
		})
	}
}

// A handler that fails may repeat the message in its answer. A span tells of the status alone.
func TestAFailedDeliveryIsTracedWithoutTheAnswer(t *testing.T) {
	for status, words := range map[int]string{
		http.StatusInternalServerError: "answered 500 Internal Server Error", http.StatusUnprocessableEntity: "answered 422 Unprocessable Entity",
		http.StatusServiceUnavailable: "answered 503 Service Unavailable",
	} {
		t.Run(words, func(t *testing.T) {
			receiver, server := otlptest.Start(t), redistest.Start(t)
			handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte("no such customer: hunter2"))
			}))
			t.Cleanup(handler.Close)
			require.NoError(t, server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "hunter2"}}).Err())
			worker := start(t, server.Addr, "pod", "HANDLER_URL="+handler.URL, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.HTTP, "OTEL_BSP_SCHEDULE_DELAY=50")
			require.Eventually(t, func() bool { return len(receiver.Named("process "+key)) > 0 && len(receiver.Named("POST")) > 0 }, patient, often)
			worker.terminate()
			for _, span := range append(receiver.Named("process "+key), receiver.Named("POST")...) {
				assert.Contains(t, span.GetStatus().GetMessage(), words)
				assert.NotContains(t, span.String(), "hunter2")
			}
		})
	}
}

// Without traces of its own a worker tells the handler who published a message; and of a message
// without a trace, nothing.
func TestAPublishersTraceIsPassedOn(t *testing.T) {
	server := redistest.Start(t)
	url, traceparents := headersOf(t)
	client := server.Client()
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "a", "traceparent", traceparent}}).Err())
	start(t, server.Addr, "pod", "HANDLER_URL="+url, "CONCURRENCY=1")
	assert.Equal(t, traceparent, received(t, traceparents))
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "b"}}).Err())
	assert.Empty(t, received(t, traceparents))
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "c", "traceparent", "x\r\nSecret: 1"}}).Err())
	assert.Empty(t, received(t, traceparents), "what is no trace is none")
}

// What grpc-go writes by itself is no line beside the structured log, while traces are sent by it.
func TestTheLogIsStructuredWhileTracesAreSentByGRPC(t *testing.T) {
	receiver, server := otlptest.Start(t), redistest.Start(t)
	url, traceparents := headersOf(t)
	require.NoError(t, server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", "a"}}).Err())
	worker := start(t, server.Addr, "pod", "HANDLER_URL="+url, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.GRPC, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99")
	received(t, traceparents)
	worker.terminate()
	require.Zero(t, worker.exitCode())
	require.Len(t, receiver.Named("process "+key), 1)
	for line := range strings.Lines(worker.log.String()) {
		assert.True(t, json.Valid([]byte(line)), line)
	}
}

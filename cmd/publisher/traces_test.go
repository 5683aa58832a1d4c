package main

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/otlptest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// Each message has a span, of which a stream's entry tells; without traces the entry has nothing of them.
func TestMessagesAreTraced(t *testing.T) {
	receiver, server := otlptest.Start(t), redistest.Start(t)
	client := server.Client()
	code, _, side := publishTo(t, server.Addr, "--count=1", "--queue-type=Stream", "--channel=untraced")
	require.Zero(t, code, side)
	assert.NotContains(t, client.XRange(t.Context(), "untraced", "-", "+").Val()[0].Values, "traceparent")

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.GRPC)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	code, _, side = publishTo(t, server.Addr, "--count=2", "--queue-type=Stream", "--payload=hunter2")
	require.Zero(t, code, side)
	entries, spans := client.XRange(t.Context(), "q", "-", "+").Val(), receiver.Named("publish q")
	require.Len(t, spans, 2)
	require.Len(t, entries, 2)
	told := map[any]bool{}
	for _, entry := range entries {
		told[entry.Values["traceparent"]] = true
	}
	for _, span := range spans {
		assert.Equal(t, "pubsub-publisher", span.Service)
		assert.Contains(t, told, any("00-"+hex.EncodeToString(span.GetTraceId())+"-"+hex.EncodeToString(span.GetSpanId())+"-01"))
		assert.NotContains(t, span.String(), "hunter2")
	}

	code, _, side = publishTo(t, server.Addr, "--count=1", "--queue-type=Stream", "--channel=own", "--field=traceparent=mine")
	require.Zero(t, code, side)
	assert.Equal(t, "mine", client.XRange(t.Context(), "own", "-", "+").Val()[0].Values["traceparent"], "a field that is given stays")

	code, _, side = publishTo(t, server.Addr, "--count=1", "--queue-type=List", "--channel=list")
	require.Zero(t, code, side)
	assert.Len(t, receiver.Named("publish list"), 1, "an element of a list has no room for the trace, but a span")
}

package main

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/jawaracloud/pubsub-operator/internal/otlptest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// One call of KEDA, from gRPC to the pipeline that read the queue, as a collector gets it.
func TestACallIsTraced(t *testing.T) {
	receiver, redis := otlptest.Start(t), redistest.Start(t)
	require.NoError(t, redis.Client().LPush(t.Context(), "orders", "a", "b").Err())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.GRPC)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	o := options{grpcAddress: freeAddress(t), metricsAddress: off, probeAddress: freeAddress(t), withoutCluster: true, callers: scaler.DefaultCallers(), maxServers: 10}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.DiscardHandler)) }()
	require.Eventually(t, func() bool { code, _ := get(t, "http://"+o.probeAddress+"/readyz"); return code == http.StatusOK }, time.Minute, 10*time.Millisecond)
	connection, err := grpc.NewClient(o.grpcAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	client := externalscaler.NewExternalScalerClient(connection)
	ref := &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: map[string]string{
		"channelName": "orders", "queueType": "List", "redisAddress": redis.Addr, "currentReplicas": "1", "targetQueueDepth": "1"}}
	streaming, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = client.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
	require.NoError(t, err)
	stream, err := client.StreamIsActive(streaming, ref)
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	require.NoError(t, connection.Close())
	stop()
	require.NoError(t, <-ended)

	calls := receiver.Named("externalscaler.ExternalScaler/GetMetrics")
	require.Len(t, calls, 1, "%v", receiver.Spans())
	parent := calls[0]
	assert.Equal(t, "pubsub-scaler", parent.Service)
	assert.Equal(t, "orders", parent.Attribute("pubsub.scaled_object.name"))
	assert.Equal(t, "AboveUpperBound", parent.Attribute("pubsub.decision.reason"))
	assert.Contains(t, parent.Attribute("pubsub.replicas"), ":1")
	assert.Contains(t, parent.Attribute("pubsub.desired_replicas"), ":2")
	for _, name := range []string{"sample queues", "read server", "pipeline"} {
		parts := receiver.Named(name)
		if assert.NotEmpty(t, parts, name) {
			assert.Equal(t, parent.GetTraceId(), parts[0].GetTraceId(), name)
			assert.Equal(t, parent.GetSpanId(), parts[0].GetParentSpanId(), "%s is not a part of %s", name, parent.GetName())
			parent = parts[0]
		}
	}
	assert.Empty(t, receiver.Named("externalscaler.ExternalScaler/StreamIsActive"), "a stream lasts for days")
	assert.Len(t, receiver.Named("read server"), 1, "reads for which nobody waits are in no trace")
}

package scaler_test

import (
	"net"
	"testing"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// Of several triggers of one ScaledObject, the metadata that KEDA sends tells which is meant.
func TestSeveralTriggers(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 500)
	first, second := f.metadata(), f.metadata("channelName", "empty", "targetQueueDepth", "10")
	f.targets.stand(first, map[string]string{"topic": "somebody else's"}, second)
	f.answers(t, &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: first}, 400, true)
	f.answers(t, &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: second}, 20, true)
	neither := f.metadata("channelName", "other")
	_, err := f.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: neither})
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	assert.ErrorContains(t, err, "not that of any trigger in ScaledObject shop/orders")
}

// KEDA's copy may be that of before an edit: what stands counts.
func TestAnEditCountsAtOnce(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 500)
	old := f.ref()
	f.answers(t, old, 400, true)
	f.targets.stand(f.metadata("targetQueueDepth", "50"))
	f.answers(t, old, 350, true) // ceil(500 ÷ 75) = 7, times 50
}

// The other way around, the cache of the cluster may be behind KEDA: a call waits for it.
func TestTheCacheMayBeBehind(t *testing.T) {
	f := newFixture(t, func(o *scaler.Options) { o.SettleTimeout = deadline })
	f.depth(t, 500)
	f.targets.stand(f.metadata("redisAddress", "127.0.0.1:1"))
	answered := make(chan error, 1)
	go func() {
		_, err := f.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: f.metadata()})
		answered <- err
	}()
	f.targets.stand(f.metadata())
	assert.NoError(t, <-answered)
}

// The HPA would multiply the answer by the replicas.
func TestMetricTypeValueIsRefused(t *testing.T) {
	f := newFixture(t)
	f.targets.set(func(targets *fakeTargets) {
		targets.triggers = []target.ScaleTriggers{{Type: "external", Metadata: f.metadata(), MetricType: "Value"}}
	})
	for _, metadata := range []map[string]string{nil, f.metadata()} {
		_, err := f.GetMetricSpec(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: metadata})
		assert.Equal(t, codes.InvalidArgument, status.Code(err))
		assert.ErrorContains(t, err, "metricType of the trigger is Value: the HPA would multiply the answer by the replicas; set it to AverageValue, or leave it out")
	}
}

// A stream follows the ScaledObject: it reads the new server after an edit, and tells where
// it may not any more.
func TestStreamsFollowTheScaledObject(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 0)
	f.targets.set(func(f *fakeTargets) { f.state.Replicas = 0 })
	f.targets.stand(f.metadata("minReplicas", "0"))
	stream, err := f.StreamIsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop"})
	require.NoError(t, err)
	results, ended := received(stream)
	assert.False(t, next(t, results))
	messages, _ := f.watching(t)

	require.NoError(t, f.redis.RPush(t.Context(), "moved", 1).Err())
	f.targets.stand(f.metadata("minReplicas", "0", "channelName", "moved"))
	assert.True(t, next(t, results), "the queue that the ScaledObject names now")
	until(t, messages, "the other queue is read", func(m *inspectv1.WatchResponse) bool { return m.GetExplanation().GetQueueDepth() == 1 })

	f.targets.stand(f.metadata("minReplicas", "none"))
	assert.Equal(t, codes.InvalidArgument, status.Code(<-ended))
	until(t, messages, "the trigger is wrong", func(m *inspectv1.WatchResponse) bool { return m.GetFailure().GetCode() == "INVALID_ARGUMENT" })
	f.targets.stand(f.metadata())
	until(t, messages, "it is right again", func(m *inspectv1.WatchResponse) bool { return m.GetExplanation() != nil })
}

// Where the allowlist refuses, streams end with that error: an end without one would have
// KEDA open them for ever.
func TestStreamsTellThatAServerIsNotAllowed(t *testing.T) {
	allowed, err := broker.ParseAllowlist("*.svc")
	require.NoError(t, err)
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{Allowed: allowed}})
	t.Cleanup(pool.Close)
	f := newFixture(t, func(o *scaler.Options) { o.Pool = pool })
	host, _, err := net.SplitHostPort(f.server.Addr)
	require.NoError(t, err)
	stream, err := f.StreamIsActive(t.Context(), f.ref())
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	assert.ErrorContains(t, err, host)
	watch, err := f.inspector.Watch(t.Context(), &inspectv1.WatchRequest{Name: "orders", Namespace: "shop", MinInterval: durationpb.New(0)})
	require.NoError(t, err)
	_, err = watch.Recv()
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
}

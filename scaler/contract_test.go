package scaler_test

import (
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// KEDA calls IsActive after GetMetrics and throws the metrics away where that fails (KEDA
// 2.21, pkg/scalers/external_scaler.go:239-260): one sample answers both.
func TestMetricsAndActivityComeFromOneSample(t *testing.T) {
	f := newFixture(t, func(o *scaler.Options) {
		o.Pool = sampling.NewPool(sampling.Options{Tick: time.Hour, Options: broker.Options{ReadTimeout: 500 * time.Millisecond}})
		t.Cleanup(o.Pool.Close)
	})
	f.depth(t, 500)
	_, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: f.ref()})
	require.NoError(t, err)
	f.server.Stop()
	active, err := f.IsActive(t.Context(), f.ref())
	require.NoError(t, err, "it read the queue once more")
	assert.True(t, active.GetResult())
}

// A second scaler that has seen nothing of the past answers the same: what a decision
// needs is in the cluster and in the queue.
func TestEveryReplicaOfTheScalerGivesTheSameAnswer(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*fakeTargets){
		"free to scale":       func(f *fakeTargets) { f.state.LastScale = time.Time{} },
		"within the cooldown": func(f *fakeTargets) { f.state.LastScale = time.Now().Add(-20 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			f.targets.set(change)
			for _, depth := range []int{0, 100, 300, 500, 5000} {
				f.depth(t, depth)
				pool := sampling.NewPool(sampling.Options{})
				t.Cleanup(pool.Close)
				other := scaler.New(scaler.Options{Pool: pool, Targets: f.targets})
				request := &externalscaler.GetMetricsRequest{ScaledObjectRef: f.ref()}
				second, err := other.GetMetrics(t.Context(), request)
				require.NoError(t, err)
				require.EventuallyWithT(t, func(c *assert.CollectT) { // its sample may be two ticks old
					first, err := f.GetMetrics(t.Context(), request)
					require.NoError(c, err)
					assert.Equal(c, first.String(), second.String(), "depth %d", depth)
				}, deadline, tick)
			}
		})
	}
}

// KEDA sends a key that ends in FromEnv with the environment's value; who asks by name
// alone gets the ScaledObject's own text, which is only the variable's name.
func TestKeysFromTheEnvironment(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 500)
	f.targets.stand(map[string]string{"channelName": "q", "redisAddressFromEnv": "REDIS_ADDR"})
	sent := map[string]string{"channelName": "q", "redisAddressFromEnv": f.server.Addr}
	f.answers(t, &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: sent}, 400, true)

	sent = map[string]string{"channelName": "q"} // KEDA leaves out what the environment has not
	_, err := f.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: sent})
	assert.ErrorContains(t, err, "dragonfly.shop.svc:6379", "the default counts")
	_, err = f.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop"})
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
	assert.ErrorContains(t, err, "redisAddressFromEnv: only KEDA knows the target's environment")
}

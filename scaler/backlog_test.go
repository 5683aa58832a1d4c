package scaler_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// One of 50,000 entries that wait is deleted, after which the server does not know how many do:
// a fleet that was of the right size stays so.
func TestAFleetDoesNotShrinkUnderABacklog(t *testing.T) {
	// Entries are counted at a pace by this clock: while it stands, no more than the first of them, however long the test takes.
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	f := newFixture(t, func(o *scaler.Options) {
		o.Pool = sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{
			ReadTimeout: deadline, Resolver: redistest.Zone{}.Resolver(t), Now: func() time.Time { return time.Unix(0, now.Load()) },
		}})
		t.Cleanup(o.Pool.Close)
	})
	ctx := t.Context()
	take := f.backlog(t)
	f.targets.stand(f.metadata("queueType", "Stream", "maxReplicas", "1000"))
	fleetOf := func(replicas int32) (got *inspectv1.ExplainResponse) {
		t.Helper()
		require.Eventually(t, func() (known bool) { // a machine that is busy may take longer than a call may
			var err error
			got, err = f.inspector.Explain(ctx, &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", Replicas: &replicas})
			return err == nil || !assert.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
		}, deadline, tick)
		return got
	}
	assert.EqualValues(t, 50_000, fleetOf(500).GetQueueDepth())

	f.tombstone(t)
	got := fleetOf(500)
	assert.InDelta(t, 49_999, got.GetQueueDepth(), 1, "the server still tells what the group has read")
	assert.False(t, got.GetDepthIsLowerBound())
	assert.Equal(t, inspectv1.Reason_REASON_WITHIN_BAND, got.GetReason(), got.GetExplanation())

	take(10) // on Redis 7.0 it does not any more, after this
	require.Eventually(t, func() bool { return fleetOf(500).GetInFlight() == 20 }, deadline, tick)
	for _, replicas := range []int32{50, 200, 500} {
		got = fleetOf(replicas)
		assert.True(t, got.GetDepthIsLowerBound())
		assert.GreaterOrEqual(t, got.GetDesiredReplicas(), replicas, got.GetExplanation())
		assert.True(t, got.GetActive())
	}
	assert.Equal(t, inspectv1.Reason_REASON_DEPTH_UNCERTAIN, got.GetReason(), got.GetExplanation())

	// Once the rest is few enough to be counted, the fleet shrinks.
	take(49_000)
	require.Eventually(t, func() bool { return fleetOf(500).GetInFlight() == 49_020 }, deadline, tick)
	require.NoError(t, f.redis.XGroupDelConsumer(ctx, "q", "g", "c").Err()) // what it held counts no more
	require.Eventually(t, func() bool {
		now.Add(int64(time.Second))
		got := fleetOf(500)
		return !got.GetDepthIsLowerBound() && got.GetInFlight() == 0
	}, deadline, tick)
	got = fleetOf(500)
	assert.EqualValues(t, 979, got.GetQueueDepth())
	assert.Equal(t, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, got.GetReason(), got.GetExplanation())
}

// backlog makes q a stream of 50,000 entries with a group g, of which 10 are taken. What it
// returns takes more.
func (f *fixture) backlog(t *testing.T) (take func(n int64)) {
	ctx := t.Context()
	_, err := f.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range 50_000 {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "q", ID: strconv.Itoa(i+1) + "-0", Values: []string{"k", "v"}})
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, f.redis.XGroupCreate(ctx, "q", "g", "0").Err())
	take = func(n int64) {
		require.NoError(t, f.redis.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"q", ">"}, Count: n, Block: -1}).Err())
	}
	take(10)
	return take
}

// tombstone deletes an entry that waits: once the group reads on, Redis 7.0 can't tell the lag.
func (f *fixture) tombstone(t *testing.T) {
	require.NoError(t, f.redis.XDel(t.Context(), "q", "25000-0").Err())
}

package scaler_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

func (f *fixture) explain(t *testing.T, pairs ...string) (*inspectv1.ExplainResponse, error) {
	t.Helper()
	f.targets.stand(f.metadata(pairs...))
	return f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"})
}

// Keys of several types are added up, and each is told by itself.
func TestKeysAreSummed(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	require.NoError(t, f.redis.RPush(ctx, "a", 1, 2, 3).Err())
	require.NoError(t, f.redis.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "x"}, redis.Z{Score: 2, Member: "y"}).Err())
	require.NoError(t, f.redis.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []string{"k", "v"}}).Err())
	require.NoError(t, f.redis.XGroupCreate(ctx, "s", "g", "0").Err())
	require.NoError(t, f.redis.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", ">"}, Block: -1}).Err())

	got, err := f.explain(t, "keys", "a,z,s,none")
	require.NoError(t, err)
	assert.EqualValues(t, 6, got.GetQueueDepth())
	assert.EqualValues(t, 5, got.GetReady())
	assert.EqualValues(t, 1, got.GetInFlight())
	assert.Equal(t, "mixed", got.GetQueueType())
	var keys []string
	for _, key := range got.GetKeys() {
		keys = append(keys, key.GetKey()+" "+key.GetQueueType()+" "+strconv.FormatInt(key.GetReady(), 10)+"+"+strconv.FormatInt(key.GetInFlight(), 10))
	}
	assert.Equal(t, []string{"a list 3+0", "z sortedset 2+0", "s stream 0+1", "none none 0+0"}, keys)

	metrics, err := f.GetMetrics(ctx, &externalscaler.GetMetricsRequest{
		ScaledObjectRef: f.ref("keys", "a,z,s,none", "targetQueueDepth", "1", "cooldownPeriod", "0"),
	})
	require.NoError(t, err)
	assert.InDelta(t, 4, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0, "6 > 3 × 150 %: ceil(6 ÷ 1.5)")
}

// One key that can't be read makes the sum unknown: the others alone would read as fewer.
func TestOneKeyOfAnotherTypeIsAnErrorOfAll(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.redis.RPush(t.Context(), "a", 1).Err())
	require.NoError(t, f.redis.SAdd(t.Context(), "set", 1).Err())
	_, err := f.explain(t, "keys", "a,set")
	assert.Equal(t, codes.FailedPrecondition, status.Code(err))
	assert.ErrorContains(t, err, `key "set" holds a set`)
}

// A short queue whose oldest message waits too long asks for one replica more.
func TestMaxAge(t *testing.T) {
	f := newFixture(t)
	old := time.Now().Add(-time.Hour).UnixMilli()
	require.NoError(t, f.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: "q", ID: strconv.FormatInt(old, 10) + "-1", Values: []string{"k", "v"}}).Err())

	got, err := f.explain(t, "queueType", "Stream", "maxAge", "30m")
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_ABOVE_MAX_AGE, got.GetReason())
	assert.EqualValues(t, 4, got.GetDesiredReplicas())
	assert.InDelta(t, time.Hour.Seconds(), got.GetOldestAge().AsDuration().Seconds(), 60)
	assert.Equal(t, 30*time.Minute, got.GetPolicy().GetMaxAge().AsDuration())
	assert.Equal(t, "the oldest message waits longer than maxAge 1800 s: 3 → 4 replicas", got.GetLastingExplanation())

	got, err = f.explain(t, "queueType", "Stream", "maxAge", "2h")
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, got.GetReason())
	got, err = f.explain(t, "queueType", "Stream")
	require.NoError(t, err)
	assert.Nil(t, got.GetOldestAge(), "nobody asked")
}

// maxAge of a key that turns out to be a list: nothing records its age.
func TestMaxAgeOfAListIsRefused(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.redis.RPush(t.Context(), "q", 1).Err())
	_, err := f.explain(t, "maxAge", "1m")
	assert.Equal(t, codes.FailedPrecondition, status.Code(err))
	assert.ErrorContains(t, err, "maxAge")
}

// Sidekiq's jobs in work are of all queues together: they are counted once for a channel.
func TestSharedKeysOfAPresetAreCountedOnce(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	info, err := json.Marshal(map[string]any{"queues": []string{"default", "mail"}, "concurrency": 5})
	require.NoError(t, err)
	require.NoError(t, f.redis.LPush(ctx, "queue:default", "{}", "{}").Err())
	require.NoError(t, f.redis.LPush(ctx, "queue:mail", "{}").Err())
	require.NoError(t, f.redis.SAdd(ctx, "processes", "host:1:abc").Err())
	require.NoError(t, f.redis.HSet(ctx, "host:1:abc", "busy", 4, "info", info).Err())
	got, err := f.explain(t, "channelName", "default", "preset", "Sidekiq", "keys", "default,mail")
	require.NoError(t, err)
	assert.EqualValues(t, 3, got.GetReady())
	assert.EqualValues(t, 4, got.GetInFlight())
	assert.Equal(t, "sidekiq", got.GetQueueType())
	assert.Len(t, got.GetKeys(), 3)
}

// Without a cluster no Secret can be read, and the words say so; with FromEnv KEDA gives
// the password, which is used and never told.
func TestPasswordsFromTheEnvironment(t *testing.T) {
	f := newFixture(t, func(o *scaler.Options) { o.Targets = nil })
	require.NoError(t, f.redis.ConfigSet(t.Context(), "requirepass", "hunter2").Err())
	explain := func(pairs ...string) error {
		metadata := f.metadata(append(pairs, "currentReplicas", "3")...)
		_, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", ScalerMetadata: metadata})
		return err
	}
	assert.Equal(t, codes.Unauthenticated, status.Code(explain()))
	err := explain("passwordFromEnv", "wrong-guess")
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	assert.NotContains(t, err.Error(), "wrong-guess")
	require.NoError(t, explain("passwordFromEnv", "hunter2"))
	err = explain("passwordFromSecret", "redis-auth")
	assert.Equal(t, codes.FailedPrecondition, status.Code(err))
	assert.ErrorContains(t, err, "redis-auth")
}

// An address that is not allowed is refused before any connection.
func TestServersThatAreNotAllowed(t *testing.T) {
	allowed, err := broker.ParseAllowlist("*.svc")
	require.NoError(t, err)
	pool := broker.NewPool(broker.Options{Tick: tick, Allowed: allowed})
	t.Cleanup(pool.Close)
	f := newFixture(t, func(o *scaler.Options) { o.Pool = pool })
	_, err = f.explain(t)
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	assert.ErrorContains(t, err, f.server.Addr)
	_, err = f.explain(t, "redisAddress", "dragonfly:6379")
	assert.NotEqual(t, codes.PermissionDenied, status.Code(err), "a Service of the namespace is dragonfly.shop.svc")
}

// What else is to be known of a queue follows the decision's words, in both forms.
func TestRemarksAreTold(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for range 30 {
		f.run(t, []any{"LPUSH", "bull:video:wait", "1"})
	}
	f.run(t, []any{"HSET", "bull:video:meta", "concurrency", "1"})
	got, err := f.explain(t, "preset", "BullMQ", "channelName", "video", "targetQueueDepth", "1")
	require.NoError(t, err)
	assert.EqualValues(t, 1, got.GetQueueDepth())
	words := `; queue "video" has a global concurrency of 1, so what waits counts only as far as it may run`
	assert.True(t, strings.HasSuffix(got.GetExplanation(), words), got.GetExplanation())
	assert.True(t, strings.HasSuffix(got.GetLastingExplanation(), words), got.GetLastingExplanation())

	f.run(t, []any{"DEL", "bull:video:meta"})
	require.Eventually(t, func() bool {
		got, err = f.inspector.Explain(ctx, &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"})
		return err == nil && !strings.Contains(got.GetExplanation(), "concurrency")
	}, deadline, 10*time.Millisecond)
}

// A misspelt group reads as one that is yet to come: everything waits. The words say so, and which groups there are.
func TestAMissingGroupIsTold(t *testing.T) {
	f := newFixture(t)
	f.run(t, []any{"XADD", "payments", "*", "a", "1"}, []any{"XADD", "payments", "*", "a", "1"}, []any{"XGROUP", "CREATE", "payments", "billing", "$"})
	got, err := f.explain(t, "queueType", "Stream", "channelName", "payments", "consumerGroup", "biling")
	require.NoError(t, err)
	assert.EqualValues(t, 2, got.GetQueueDepth(), "the depth stays")
	words := `stream "payments" has no consumer group "biling", so all its entries count as waiting; it has billing: correct consumerGroup, unless that one is yet to be made`
	assert.Contains(t, got.GetExplanation(), "; "+words)
	assert.Contains(t, got.GetLastingExplanation(), "; "+words)
	got, err = f.explain(t, "queueType", "Stream", "channelName", "payments", "consumerGroup", "billing")
	require.NoError(t, err)
	assert.Zero(t, got.GetQueueDepth())
	assert.NotContains(t, got.GetExplanation(), "group")
}

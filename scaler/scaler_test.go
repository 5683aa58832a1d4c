package scaler_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

const (
	tick     = 20 * time.Millisecond
	deadline = time.Minute
)

// fakeTargets is a cluster of one ScaledObject, shop/orders.
type fakeTargets struct {
	mu         sync.Mutex
	state      target.State
	triggers   []target.ScaleTriggers
	generation int64 // counts each set
	err        error
}

func (f *fakeTargets) set(change func(*fakeTargets)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	f.generation++
}

// stand makes these the metadata of the ScaledObject's triggers.
func (f *fakeTargets) stand(all ...map[string]string) {
	f.set(func(f *fakeTargets) {
		f.triggers = nil
		for _, metadata := range all {
			f.triggers = append(f.triggers, target.ScaleTriggers{Type: "external-push", Metadata: metadata})
		}
	})
}

func (f *fakeTargets) State(_ context.Context, namespace, name string) (target.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if namespace != "shop" || name != "orders" {
		return target.State{}, fmt.Errorf("%w: there is no ScaledObject %s/%s", target.ErrNotFound, namespace, name)
	}
	return f.state, f.err
}

func (f *fakeTargets) Find(ctx context.Context, namespace, name string) (target.Object, error) {
	if _, err := f.State(ctx, namespace, name); err != nil {
		return target.Object{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return target.NewObject(target.Version{UID: "1", Generation: f.generation}, f.triggers...), nil
}

// fixture is a scaler with a real redis-server, over an in-memory connection.
type fixture struct {
	externalscaler.ExternalScalerClient
	inspector inspectv1.InspectorClient
	health    healthpb.HealthClient
	targets   *fakeTargets
	redis     *redis.Client
	server    *redistest.Server
	pool      *sampling.Pool
	stop      func() error // ends the scaler, and returns what Serve returned

	held, waiting, finished int // messages of the stream q (holdInStream)
}

func newFixture(t *testing.T, mutate ...func(*scaler.Options)) *fixture {
	f := &fixture{server: redistest.Start(t), targets: &fakeTargets{state: target.State{Replicas: 3, ToleranceHonoured: true}}}
	f.redis = f.server.Client()
	f.targets.stand(f.metadata())
	// Nothing is judged by how fast a read is, and no name is asked for outside.
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{ReadTimeout: deadline, Resolver: redistest.Zone{}.Resolver(t)}})
	t.Cleanup(pool.Close)
	options := scaler.Options{Pool: pool, Targets: f.targets, PushInterval: 10 * tick, SettleTimeout: 2 * tick}
	for _, m := range mutate {
		m(&options)
	}
	f.pool = options.Pool
	listener := bufconn.Listen(1 << 20)
	server := scaler.NewServer(scaler.New(options), nil, nil)
	server.SetReady(true)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	f.stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() { _ = f.stop() })
	connection, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	f.ExternalScalerClient = externalscaler.NewExternalScalerClient(connection)
	f.inspector = inspectv1.NewInspectorClient(connection)
	f.health = healthpb.NewHealthClient(connection)
	return f
}

// awaitReads waits until the server was read that many times, or could not be read.
func (f *fixture) awaitReads(t *testing.T, reads int) {
	t.Helper()
	server := broker.Server{Mode: broker.Standalone, Address: f.server.Addr}
	subscription, err := f.pool.Subscribe(server, queue.Queue{Key: "pace", Kind: queue.List})
	require.NoError(t, err)
	defer subscription.Close()
	for range reads {
		select {
		case <-subscription.Updates():
		case <-time.After(deadline):
			t.Fatal("the server is not read any more")
		}
	}
}

func (f *fixture) metadata(pairs ...string) map[string]string {
	m := map[string]string{"channelName": "q", "redisAddress": f.server.Addr, "scalerAddress": "scaler:9090"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// ref is what KEDA sends of the ScaledObject, in which the metadata stands from now on.
func (f *fixture) ref(pairs ...string) *externalscaler.ScaledObjectRef {
	f.targets.stand(f.metadata(pairs...))
	return &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: f.metadata(pairs...)}
}

// depth makes the list q exactly that long.
func (f *fixture) depth(t *testing.T, n int) {
	require.NoError(t, f.redis.Del(t.Context(), "q").Err())
	if n > 0 {
		require.NoError(t, f.redis.LPush(t.Context(), "q", slices.Repeat([]any{"message"}, n)...).Err())
	}
}

// value waits until GetMetrics and IsActive answer so.
func (f *fixture) answers(t *testing.T, ref *externalscaler.ScaledObjectRef, value float64, active bool) {
	t.Helper()
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		metrics, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref, MetricName: scaler.MetricName})
		if !assert.NoError(c, err) {
			return
		}
		assert.Len(c, metrics.GetMetricValues(), 1)
		assert.InDelta(c, value, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0)
		assert.Zero(c, metrics.GetMetricValues()[0].GetMetricValue(), "the deprecated field")
		is, err := f.IsActive(t.Context(), ref)
		assert.NoError(c, err)
		assert.Equal(c, active, is.GetResult())
	}, deadline, tick)
}

func TestAnswers(t *testing.T) {
	f := newFixture(t)
	t.Run("metric spec", func(t *testing.T) {
		specs, err := f.GetMetricSpec(t.Context(), f.ref("targetQueueDepth", "70", "redisAddress", "127.0.0.1:1"))
		require.NoError(t, err, "it must never touch the queue's server")
		require.Len(t, specs.GetMetricSpecs(), 1)
		spec := specs.GetMetricSpecs()[0]
		assert.Equal(t, "pubsub-queue-depth", spec.GetMetricName())
		assert.False(t, strings.ContainsAny(spec.GetMetricName(), "/.:%()"), "KEDA does not normalize the name")
		assert.InDelta(t, 70, spec.GetTargetSizeFloat(), 0)
		assert.Zero(t, spec.GetTargetSize()) // the deprecated field
	})
	t.Run("above the band", func(t *testing.T) {
		f.depth(t, 500)
		f.answers(t, f.ref(), 400, true) // 3 → 4, times 100
	})
	t.Run("within the band", func(t *testing.T) {
		f.depth(t, 300)
		f.answers(t, f.ref(), 300, true)
	})
	t.Run("during the cooldown", func(t *testing.T) {
		f.targets.set(func(f *fakeTargets) { f.state.LastScale = time.Now().Add(-10 * time.Second) })
		f.depth(t, 500)
		f.answers(t, f.ref(), 300, true)
		f.targets.set(func(f *fakeTargets) { f.state.LastScale = time.Now().Add(-61 * time.Second) })
		f.answers(t, f.ref(), 400, true)
	})
	t.Run("below the band", func(t *testing.T) {
		f.depth(t, 0)
		f.answers(t, f.ref("minReplicas", "0"), 200, true)
	})
	t.Run("one replica and nothing to do lets KEDA scale to zero", func(t *testing.T) {
		f.targets.set(func(f *fakeTargets) { f.state.Replicas = 1 })
		f.answers(t, f.ref("minReplicas", "0"), 100, false)
	})
	t.Run("zero replicas", func(t *testing.T) {
		f.targets.set(func(f *fakeTargets) { f.state.Replicas = 0 })
		f.answers(t, f.ref("minReplicas", "0"), 0, false)
		f.depth(t, 1)
		f.answers(t, f.ref("minReplicas", "0"), 100, true)
	})
	t.Run("without tolerance the value goes beyond it", func(t *testing.T) {
		f.targets.set(func(f *fakeTargets) { f.state = target.State{Replicas: 20} })
		f.depth(t, 3100)
		f.answers(t, f.ref("maxReplicas", "30"), 2201, true)
	})
	t.Run("health", func(t *testing.T) {
		for _, service := range []string{"", "externalscaler.ExternalScaler", "pubsub.inspect.v1.Inspector"} {
			got, err := f.health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			require.NoError(t, err)
			assert.Equal(t, healthpb.HealthCheckResponse_SERVING, got.GetStatus())
		}
	})
}

// With only name and namespace, the trigger is read from the ScaledObject.
func TestByNameAlone(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 500)
	ref := &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop"}
	f.answers(t, ref, 400, true)
	got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"})
	require.NoError(t, err)
	assert.Equal(t, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas", got.GetExplanation())
}

func TestExplain(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 500)
	last := time.Now().Add(-20 * time.Second)
	f.targets.set(func(f *fakeTargets) { f.state.LastScale = last })
	got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", ScalerMetadata: f.metadata()})
	require.NoError(t, err)
	assert.EqualValues(t, 500, got.GetQueueDepth())
	assert.EqualValues(t, 500, got.GetReady())
	assert.Zero(t, got.GetInFlight())
	assert.Equal(t, "list", got.GetQueueType())
	assert.EqualValues(t, 3, got.GetReplicas())
	assert.EqualValues(t, 3, got.GetDesiredReplicas())
	assert.Equal(t, inspectv1.Action_ACTION_HOLD, got.GetAction())
	assert.Equal(t, inspectv1.Reason_REASON_COOLDOWN, got.GetReason())
	left := got.GetCooldownLeft().AsDuration()
	assert.LessOrEqual(t, left, 40*time.Second)
	assert.GreaterOrEqual(t, left, time.Minute-time.Since(last))
	assert.EqualValues(t, 150, got.GetLowerBound())
	assert.EqualValues(t, 450, got.GetUpperBound())
	assert.InDelta(t, 300, got.GetMetricValue(), 0)
	assert.WithinDuration(t, last, got.GetLastScaleTime().AsTime(), 0)
	assert.Nil(t, got.MessageRate, "unknown, not 0")
	assert.Less(t, got.GetSampleAge().AsDuration(), deadline)

	t.Run("what if", func(t *testing.T) {
		f.targets.stand(f.metadata("redisAddress", "127.0.0.1:1", "maxReplicas", "50")) // which is not read
		depth, replicas := int64(100_000), int32(7)
		got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{
			Name: "orders", Namespace: "shop",
			QueueDepth: &depth, Replicas: &replicas, LastScaleTime: &timestamppb.Timestamp{},
		})
		require.NoError(t, err)
		assert.Equal(t, "queue depth 100000 is above 1050 = 100 × 7 × 150 %: 7 → 50 replicas", got.GetExplanation())
		assert.Nil(t, got.GetLastScaleTime())
	})
	t.Run("bad overrides", func(t *testing.T) {
		depth := int64(-1)
		_, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", QueueDepth: &depth})
		assert.Equal(t, codes.InvalidArgument, status.Code(err))
		assert.ErrorContains(t, err, "queue_depth is -1: it must not be negative")
	})
}

func TestErrorsHaveCodesAndRemedies(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.redis.SAdd(t.Context(), "set", "a").Err())
	standing := func(pairs ...string) func() *externalscaler.ScaledObjectRef {
		return func() *externalscaler.ScaledObjectRef { return f.ref(pairs...) }
	}
	sent := func(ref *externalscaler.ScaledObjectRef) func() *externalscaler.ScaledObjectRef {
		return func() *externalscaler.ScaledObjectRef { return ref }
	}
	tests := map[string]struct {
		ref    func() *externalscaler.ScaledObjectRef
		code   codes.Code
		reason string
		words  string
	}{
		"redis down":       {standing("redisAddress", "127.0.0.1:1"), codes.Unavailable, "BrokerUnreachable", "check that the server runs"},
		"unknown host":     {standing("redisAddress", "nowhere.invalid:6379"), codes.NotFound, "BrokerUnknownHost", "no such host: correct redisAddress"},
		"wrong type":       {standing("channelName", "set"), codes.FailedPrecondition, "QueueWrongType", `key "set" holds a set`},
		"no channelName":   {standing("channelName", ""), codes.InvalidArgument, "InvalidTrigger", `channelName is ""`},
		"no such object":   {sent(&externalscaler.ScaledObjectRef{Name: "other", Namespace: "shop", ScalerMetadata: f.metadata()}), codes.NotFound, "TargetNotFound", "there is no ScaledObject shop/other"},
		"no name":          {sent(&externalscaler.ScaledObjectRef{}), codes.InvalidArgument, "InvalidTrigger", "name and namespace must name a ScaledObject"},
		"state in the key": {standing("currentReplicas", "3"), codes.InvalidArgument, "InvalidTrigger", "--without-cluster"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := func(err error) {
				t.Helper()
				got := status.Convert(err)
				require.Equal(t, test.code, got.Code(), "%v", err)
				assert.Contains(t, got.Message(), test.words)
				require.Len(t, got.Details(), 1)
				info, ok := got.Details()[0].(*errdetails.ErrorInfo)
				require.True(t, ok)
				assert.Equal(t, test.reason, info.GetReason())
				assert.Equal(t, inspect.ErrorDomain, info.GetDomain())
			}
			ref := test.ref()
			_, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
			check(err)
			_, err = f.IsActive(t.Context(), ref)
			check(err)
			_, err = f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: ref.GetName(), Namespace: ref.GetNamespace(), ScalerMetadata: ref.GetScalerMetadata()})
			check(err)
		})
	}
	t.Run("another metric", func(t *testing.T) {
		_, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: f.ref(), MetricName: "other"})
		assert.Equal(t, codes.InvalidArgument, status.Code(err))
	})
	t.Run("cluster", func(t *testing.T) {
		f.targets.set(func(f *fakeTargets) { f.err = assert.AnError })
		_, err := f.IsActive(t.Context(), f.ref())
		assert.Equal(t, codes.Unavailable, status.Code(err))
	})
}

// A handler is bounded even where the server accepts and never answers.
func TestHandlersAreBounded(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	f := newFixture(t, func(o *scaler.Options) {
		o.Pool = sampling.NewPool(sampling.Options{Options: broker.Options{ReadTimeout: time.Hour}})
		t.Cleanup(o.Pool.Close)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = f.IsActive(ctx, f.ref("redisAddress", listener.Addr().String()))
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	assert.NoError(t, ctx.Err(), "it is the handler's deadline, not the caller's")
}

func TestWithoutCluster(t *testing.T) {
	f := newFixture(t, func(o *scaler.Options) { o.Targets = nil })
	f.depth(t, 500)
	f.answers(t, f.ref("currentReplicas", "3"), 400, true)
	f.answers(t, f.ref("currentReplicas", "3", "lastScaleTime", time.Now().Format(time.RFC3339)), 300, true)
	_, err := f.IsActive(t.Context(), f.ref())
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
	assert.ErrorContains(t, err, "currentReplicas is missing")
	_, err = f.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop"})
	assert.ErrorContains(t, err, "scalerMetadata is empty")
}

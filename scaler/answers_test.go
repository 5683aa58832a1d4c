package scaler_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// movable is a clock that stands until it is moved.
type movable struct {
	mu sync.Mutex
	at time.Time
}

func (m *movable) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

func (m *movable) move(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = m.at.Add(by)
}

// told is a scaler whose metrics are scraped.
type told struct {
	service  *scaler.Service
	registry *prometheus.Registry
	targets  *fakeTargets
	redis    *redistest.Server
	clock    *movable
	log      *bytes.Buffer
}

func newTold(t testing.TB, mutate ...func(*scaler.Options)) *told {
	f := &told{registry: newRegistry(), redis: redistest.Start(t), clock: &movable{at: time.Now()}, log: &bytes.Buffer{}}
	f.targets = &fakeTargets{state: target.State{Replicas: 3, ToleranceHonoured: true}}
	f.targets.stand(f.metadata())
	pool := sampling.NewPool(sampling.Options{Tick: tick})
	t.Cleanup(pool.Close)
	options := scaler.Options{Pool: pool, Targets: f.targets, Now: f.clock.now, SettleTimeout: tick, Logger: slog.New(slog.NewJSONHandler(f.log, nil))}
	for _, m := range mutate {
		m(&options)
	}
	f.service = scaler.New(options)
	scaler.NewServer(f.service, nil, f.registry)
	return f
}

func (f *told) metadata(pairs ...string) map[string]string {
	m := map[string]string{"channelName": "q", "redisAddress": f.redis.Addr}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func (f *told) ask(t testing.TB, name string, metadata map[string]string) error {
	_, err := f.service.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{
		ScaledObjectRef: &externalscaler.ScaledObjectRef{Namespace: "shop", Name: name, ScalerMetadata: metadata}})
	return err
}

// series are those of ScaledObjects, by their name without the prefix and their labels besides
// namespace and name.
func (f *told) series(t *testing.T) map[string]float64 {
	families, err := f.registry.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, family := range families {
		name, ours := strings.CutPrefix(family.GetName(), "pubsub_scaled_object_")
		if !ours {
			continue
		}
		for _, metric := range family.GetMetric() {
			key, labels := name, map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			require.Equal(t, "shop", labels["namespace"])
			require.Equal(t, "orders", labels["name"])
			if reason := labels["reason"]; reason != "" {
				key += "/" + reason
			}
			all[key] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return all
}

func (f *told) push(t testing.TB, queue string, messages int) {
	values := make([]any, messages)
	for i := range values {
		values[i] = "message"
	}
	require.NoError(t, f.redis.Client().LPush(t.Context(), queue, values...).Err())
}

// What KEDA was answered is told with the namespace and the name of the ScaledObject.
func TestAnswersAreTold(t *testing.T) {
	f := newTold(t)
	f.push(t, "q", 500)
	assert.Empty(t, f.series(t), "KEDA has not asked yet")
	f.targets.set(func(targets *fakeTargets) { targets.state.LastScale = f.clock.now().Add(-50 * time.Second) })
	require.NoError(t, f.ask(t, "orders", nil))
	asked := f.clock.now()
	f.clock.move(4 * time.Second)
	got := f.series(t)
	assert.InDelta(t, float64(asked.UnixMicro())/1e6, got["last_asked_timestamp_seconds"], 0.01)
	assert.InDelta(t, 6, got["cooldown_remaining_seconds"], 0.01, "it runs on between two questions")
	assert.GreaterOrEqual(t, got["sample_age_seconds"], 0.0)
	for _, name := range []string{"last_asked_timestamp_seconds", "cooldown_remaining_seconds", "sample_age_seconds", "arriving_messages_per_second"} {
		delete(got, name)
	}
	assert.Equal(t, map[string]float64{
		"answered": 1, "queue_depth": 500, "queue_depth_is_lower_bound": 0, "ready_messages": 500, "in_flight_messages": 0,
		"target_queue_depth": 100, "lower_bound_messages": 150, "upper_bound_messages": 450,
		"replicas": 3, "desired_replicas": 3, "min_replicas": 1, "max_replicas": 10, "active": 1, "decision_info/Cooldown": 1,
	}, got)

	f.clock.move(time.Minute)
	require.NoError(t, f.ask(t, "orders", nil))
	got = f.series(t)
	assert.InDelta(t, 4, got["desired_replicas"], 0)
	assert.Contains(t, got, "decision_info/AboveUpperBound")
	assert.NotContains(t, got, "decision_info/Cooldown", "one reason at a time")
}

// A queue that can't be read has no depth, and says why.
func TestFailuresAreTold(t *testing.T) {
	f := newTold(t)
	f.push(t, "q", 500)
	require.NoError(t, f.ask(t, "orders", nil))
	require.NoError(t, f.redis.Client().Del(t.Context(), "q").Err())
	require.NoError(t, f.redis.Client().SAdd(t.Context(), "q", "member").Err())
	require.Eventually(t, func() bool { f.clock.move(time.Second); return f.ask(t, "orders", nil) != nil }, deadline, tick)
	got := f.series(t)
	delete(got, "last_asked_timestamp_seconds")
	assert.Equal(t, map[string]float64{"answered": 0, "errors_total/QueueWrongType": 1}, got, "nothing that is not known, and never a depth of 0")

	f.targets.stand(f.metadata("minReplicas", "none"))
	require.Error(t, f.ask(t, "orders", nil))
	got = f.series(t)
	assert.InDelta(t, 1, got["errors_total/InvalidTrigger"], 0)
	assert.InDelta(t, 0, got["answered"], 0)

	f.targets.stand(f.metadata("channelName", "other"))
	require.NoError(t, f.ask(t, "orders", nil))
	got = f.series(t)
	assert.InDelta(t, 1, got["answered"], 0)
	assert.InDelta(t, 0, got["queue_depth"], 0)
	assert.InDelta(t, 1, got["errors_total/QueueWrongType"], 0, "a counter goes on")
}

// The series go with the ScaledObject, and if nobody asks any more. Names that there are not
// have none.
func TestSeriesAreBounded(t *testing.T) {
	f := newTold(t)
	require.NoError(t, f.ask(t, "orders", nil))
	for i := range 100 {
		require.Error(t, f.ask(t, fmt.Sprint("made-up-", i), nil))
	}
	require.NotEmpty(t, f.series(t), "only those of shop/orders")
	f.clock.move(2*time.Minute + time.Second)
	assert.Empty(t, f.series(t), "KEDA asks no more")

	require.NoError(t, f.ask(t, "orders", nil))
	f.targets.set(func(targets *fakeTargets) { targets.err = errors.New("the API server is away") })
	require.NotEmpty(t, f.series(t), "which proves nothing")
	f.targets.set(func(targets *fakeTargets) { targets.err = fmt.Errorf("%w: deleted", target.ErrNotFound) })
	assert.Empty(t, f.series(t), "the ScaledObject is gone")

	unchecked := newTold(t, func(o *scaler.Options) { o.Targets = nil })
	for i := range 1100 {
		require.NoError(t, unchecked.ask(t, fmt.Sprint("made-up-", i), unchecked.metadata("currentReplicas", "1")))
	}
	assert.Equal(t, 1000, strings.Count(scraped(t, unchecked.registry), "\npubsub_scaled_object_replicas{"))
}

// Of several triggers, the one that asks for the most replicas is told: the HPA follows that.
func TestTheTriggerThatWinsIsTold(t *testing.T) {
	f := newTold(t)
	f.push(t, "q", 500)
	low, high := f.metadata("channelName", "empty"), f.metadata()
	f.targets.stand(low, high)
	for _, metadata := range []map[string]string{high, low} {
		require.NoError(t, f.ask(t, "orders", metadata))
	}
	assert.InDelta(t, 4, f.series(t)["desired_replicas"], 0)
	assert.InDelta(t, 500, f.series(t)["queue_depth"], 0)
}

// A decision that changes something is logged once, however often KEDA asks.
func TestDecisionsAreLoggedOnce(t *testing.T) {
	f := newTold(t)
	f.push(t, "q", 500)
	for range 5 {
		require.NoError(t, f.ask(t, "orders", nil))
	}
	line := f.log.String()
	assert.Equal(t, 1, strings.Count(line, `"msg":"decided"`), line)
	for _, want := range []string{`"namespace":"shop"`, `"name":"orders"`, `"replicas":3`, `"desiredReplicas":4`, `"reason":"AboveUpperBound"`, `"message":"queue depth 500 is above 450`} {
		assert.Contains(t, line, want)
	}
	f.log.Reset()
	f.targets.set(func(targets *fakeTargets) { targets.state.Replicas = 4 })
	require.NoError(t, f.ask(t, "orders", nil))
	assert.Empty(t, f.log.String(), "what changes nothing is no news")
}

// BenchmarkGetMetrics is a call without gRPC, of one ScaledObject whose sample is fresh.
func BenchmarkGetMetrics(b *testing.B) {
	f := newTold(b, func(o *scaler.Options) { o.Now = nil })
	f.push(b, "q", 300)
	in := &externalscaler.GetMetricsRequest{ScaledObjectRef: &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: f.metadata()}}
	_, err := f.service.GetMetrics(b.Context(), in)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.service.GetMetrics(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScrape is a scrape of 1,000 ScaledObjects.
func BenchmarkScrape(b *testing.B) {
	f := newTold(b, func(o *scaler.Options) { o.Targets, o.Now = nil, nil })
	for i := range 1000 {
		require.NoError(b, f.ask(b, fmt.Sprint("orders-", i), f.metadata("currentReplicas", "1")))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

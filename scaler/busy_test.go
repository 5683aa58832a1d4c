package scaler_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// skipping is a clock that a test sets ahead.
type skipping struct{ ahead atomic.Int64 }

func (s *skipping) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// newSkippingFixture is a fixture whose clock skip sets ahead. Meanwhile messages of the stream q
// are finished, so many that each takes little time.
func newSkippingFixture(t *testing.T, mutate ...func(*scaler.Options)) (f *fixture, skip func(time.Duration)) {
	clock := &skipping{}
	f = newFixture(t, append([]func(*scaler.Options){func(o *scaler.Options) {
		o.Now = clock.now
		o.Pool = sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{ReadTimeout: deadline, Resolver: redistest.Zone{}.Resolver(t), Now: clock.now}})
		t.Cleanup(o.Pool.Close)
	}}, mutate...)...)
	return f, func(d time.Duration) {
		t.Helper()
		const step = 3 * time.Second // less than what is a gap
		for ; d > 0; d -= step {
			f.finishInStream(t, 100)
			clock.ahead.Add(int64(min(d, step)))
			f.awaitReads(t, 2)
		}
	}
}

// holdInStream makes q a stream of which a consumer holds so many entries, and others wait.
func (f *fixture) holdInStream(t *testing.T, held, waiting int) {
	t.Helper()
	f.held, f.waiting, f.finished = held, waiting, 0
	f.run(t, []any{"DEL", "q"}, []any{"XGROUP", "CREATE", "q", "g", "$", "MKSTREAM"})
	for i := range held + waiting {
		f.run(t, []any{"XADD", "q", fmt.Sprintf("1-%d", i+1), "i", i})
	}
	if held > 0 {
		f.run(t, []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", held, "STREAMS", "q", ">"})
	}
}

// finishInStream sets the stream's counters as if so many more messages had come and been finished.
func (f *fixture) finishInStream(t *testing.T, messages int) {
	t.Helper()
	if f.held+f.waiting == 0 {
		return
	}
	f.finished += messages
	_, err := f.redis.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Do(t.Context(), "XSETID", "q", fmt.Sprintf("1-%d", f.held+f.waiting), "ENTRIESADDED", f.finished+f.held+f.waiting, "MAXDELETEDID", "0-0")
		p.Do(t.Context(), "XGROUP", "SETID", "q", "g", fmt.Sprintf("1-%d", f.held), "ENTRIESREAD", f.finished+f.held)
		return nil
	})
	require.NoError(t, err)
}

// utilization is the metadata of a policy Utilization with the shortest window.
func utilization(pairs ...string) []string {
	return append([]string{"policy", "Utilization", "utilizationWindow", "15s"}, pairs...)
}

func (f *fixture) explained(t *testing.T, replicas int32) *inspectv1.ExplainResponse {
	t.Helper()
	got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", Replicas: &replicas, LastScaleTime: &timestamppb.Timestamp{}})
	require.NoError(t, err)
	return got
}

// What Utilization decides by is told, and becomes whole as it is seen.
func TestExplainTellsHowBusyTheWorkersAre(t *testing.T) {
	f, skip := newSkippingFixture(t)
	f.holdInStream(t, 6, 2)
	f.targets.stand(f.metadata(utilization("workerConcurrency", "4")...))
	got := f.explained(t, 3)
	assert.True(t, got.GetInFlightKnown())
	assert.EqualValues(t, 12, got.GetSlots())
	assert.Nil(t, got.Busy, "one sample may be a peak")
	assert.Nil(t, got.Utilization)
	assert.InDelta(t, 6, got.GetBusyOverWindow(), 0)
	assert.NotNil(t, got.GetWindowSeen())
	assert.Less(t, got.GetWindowSeen().AsDuration(), 5*time.Second)
	assert.Equal(t, "Utilization", got.GetPolicyInUse())
	assert.Empty(t, got.GetFallbackReason())
	assert.Equal(t, inspectv1.Reason_REASON_WINDOW_INCOMPLETE, got.GetReason(), got.GetExplanation())
	assert.NotContains(t, got.GetLastingExplanation(), " 0 s of", "seconds that count")

	skip(20 * time.Second)
	got = f.explained(t, 3)
	assert.InDelta(t, 6, got.GetBusy(), 0)
	assert.InDelta(t, 50, got.GetUtilization(), 0)
	assert.Equal(t, 15*time.Second, got.GetWindowSeen().AsDuration())
	want := &inspectv1.Policy{Policy: "Utilization", WorkerConcurrency: 4, UtilizationTarget: 80, UtilizationScaleUp: 90, UtilizationScaleDown: 70}
	for _, field := range []func(*inspectv1.Policy) any{
		func(p *inspectv1.Policy) any { return p.GetPolicy() }, func(p *inspectv1.Policy) any { return p.GetWorkerConcurrency() },
		func(p *inspectv1.Policy) any { return p.GetUtilizationTarget() }, func(p *inspectv1.Policy) any { return p.GetUtilizationScaleUp() },
		func(p *inspectv1.Policy) any { return p.GetUtilizationScaleDown() },
	} {
		assert.Equal(t, field(want), field(got.GetPolicy()))
	}
	assert.Equal(t, 15*time.Second, got.GetPolicy().GetUtilizationWindow().AsDuration())
	assert.Positive(t, got.GetMeanTimeInFlight().AsDuration())
	assert.Less(t, got.GetMeanTimeInFlight().AsDuration(), time.Second)
	none := f.explained(t, 0)
	assert.Nil(t, none.Utilization, "of no slots")
	assert.InDelta(t, 6, none.GetBusy(), 0)

	// The metric is what the HPA comes to the desired replicas by.
	f.holdInStream(t, 12, 0)
	skip(20 * time.Second)
	metrics, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: f.ref(utilization("workerConcurrency", "4")...)})
	require.NoError(t, err)
	assert.InDelta(t, 400, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0, "12 of 12 slots: ceil(12 ÷ (4 × 80 %%)) = 4 replicas")
	is, err := f.IsActive(t.Context(), f.ref(utilization("workerConcurrency", "4")...))
	require.NoError(t, err)
	assert.True(t, is.GetResult())
}

// The metrics tell it, too, as far as it is known, and nothing of it for Threshold.
func TestMetricsTellHowBusyTheWorkersAre(t *testing.T) {
	told := &told{registry: newRegistry()}
	f, skip := newSkippingFixture(t, func(o *scaler.Options) {
		told.service = scaler.New(*o)
		scaler.NewServer(told.service, nil, told.registry)
	})
	f.holdInStream(t, 6, 2)
	require.NoError(t, told.ask(t, "orders", nil))
	assert.NotContains(t, told.series(t), "worker_slots")
	f.targets.stand(f.metadata(utilization("workerConcurrency", "4")...))
	require.NoError(t, told.ask(t, "orders", nil))
	got := told.series(t)
	assert.InDelta(t, 12, got["worker_slots"], 0)
	assert.NotContains(t, got, "busy_slots", "one sample may be a peak")
	skip(20 * time.Second)
	require.NoError(t, told.ask(t, "orders", nil))
	assert.InDelta(t, 6, told.series(t)["busy_slots"], 0)
	f.targets.stand(f.metadata())
	require.NoError(t, told.ask(t, "orders", nil))
	assert.NotContains(t, told.series(t), "busy_slots")
}

// Threshold has none of it, but whether in flight is known.
func TestThresholdTellsNothingOfBusyWorkers(t *testing.T) {
	f := newFixture(t)
	f.holdInStream(t, 6, 0)
	got, err := f.explain(t)
	require.NoError(t, err)
	assert.True(t, got.GetInFlightKnown())
	assert.Equal(t, "Threshold", got.GetPolicyInUse())
	assert.Equal(t, "Threshold", got.GetPolicy().GetPolicy())
	without := proto.CloneOf(got)
	without.Busy, without.BusyOverWindow, without.WindowSeen, without.Slots, without.Utilization, without.ConcurrencyRemark = nil, nil, nil, 0, nil, ""
	assert.True(t, proto.Equal(without, got), "%v", got)
	f.depth(t, 5)
	f.awaitReads(t, 3)
	got, err = f.explain(t)
	require.NoError(t, err)
	assert.False(t, got.GetInFlightKnown(), "a plain list")
}

// Where nothing shows the work in flight, Threshold decides, in every word, and it is said why.
func TestUtilizationFallsBackToThreshold(t *testing.T) {
	for name, test := range map[string]struct {
		prepare [][]any
		pairs   []string
		depth   *int64
		why     string
	}{
		"a plain list": {prepare: [][]any{{"RPUSH", "q", "a"}}, why: `no worker shows what it holds of the list "q": our subscriber does once it runs, and others if they add their names to {q}:consumers`},
		"no key":       {why: `"q" does not exist, and no worker shows what it holds of it`},
		"a sorted set": {prepare: [][]any{{"ZADD", "q", 1, "a"}}, why: `nothing shows the work in flight of "q", which is of kind sortedset: set policy to Threshold, or use a Stream`},
		"one of several": {prepare: [][]any{{"XGROUP", "CREATE", "q", "g", "$", "MKSTREAM"}, {"RPUSH", "other", "a"}}, pairs: []string{"keys", "q,other"},
			why: `of the list "other"`},
		"a depth that is given": {depth: proto.Int64(5), why: "queue_depth says nothing of the work in flight"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.run(t, test.prepare...)
			ask := func(pairs ...string) *inspectv1.ExplainResponse {
				f.targets.stand(f.metadata(append(pairs, test.pairs...)...))
				got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", Replicas: proto.Int32(3), LastScaleTime: &timestamppb.Timestamp{}, QueueDepth: test.depth})
				require.NoError(t, err)
				return got
			}
			got := ask(utilization()...)
			assert.Equal(t, "Threshold", got.GetPolicyInUse())
			assert.Contains(t, got.GetFallbackReason(), test.why)
			assert.Equal(t, "Utilization", got.GetPolicy().GetPolicy())
			assert.Nil(t, got.BusyOverWindow)
			assert.Nil(t, got.GetWindowSeen())
			threshold := ask()
			assert.Equal(t, threshold.GetExplanation(), got.GetExplanation())
			assert.Equal(t, threshold.GetReason(), got.GetReason())
			assert.InDelta(t, threshold.GetMetricValue(), got.GetMetricValue(), 0)
		})
	}
}

// Where the work was shown a moment ago, as of a list whose workers all start anew, the fleet holds until a window has
// passed: only then Threshold decides.
func TestUtilizationHoldsWhereTheWorkIsNotShownAnyMore(t *testing.T) {
	f, skip := newSkippingFixture(t)
	f.run(t, []any{"ZADD", queue.ConsumersKey("q"), 1, "worker"})
	f.targets.stand(f.metadata(utilization()...))
	f.explained(t, 10)
	skip(20 * time.Second)
	assert.Equal(t, down, f.explained(t, 10).GetAction())
	f.run(t, []any{"DEL", queue.ConsumersKey("q")})
	f.awaitReads(t, 3)
	got := f.explained(t, 10)
	assert.False(t, got.GetInFlightKnown())
	assert.Equal(t, inspectv1.Reason_REASON_WINDOW_INCOMPLETE, got.GetReason(), got.GetExplanation())
	assert.Equal(t, "Utilization", got.GetPolicyInUse())
	skip(18 * time.Second)
	got = f.explained(t, 10)
	assert.Equal(t, "Threshold", got.GetPolicyInUse())
	assert.Equal(t, down, got.GetAction())
}

// A server that fails is an error as ever; afterwards the window begins anew, and nothing shrinks.
func TestUtilizationAfterAFailure(t *testing.T) {
	f, skip := newSkippingFixture(t)
	f.holdInStream(t, 1, 0)
	f.targets.stand(f.metadata(utilization()...))
	f.explained(t, 10)
	skip(20 * time.Second)
	assert.Equal(t, down, f.explained(t, 10).GetAction())
	f.run(t, []any{"SET", "q", "text"})
	f.awaitReads(t, 3)
	_, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"})
	require.ErrorContains(t, err, `key "q" holds a string`)
	f.holdInStream(t, 1, 0)
	require.Eventually(t, func() bool {
		got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", Replicas: proto.Int32(10), LastScaleTime: &timestamppb.Timestamp{}})
		return err == nil && got.GetReason() == inspectv1.Reason_REASON_WINDOW_INCOMPLETE
	}, deadline, tick)
}

// Where nobody looks at a queue's name, no answer shows it.
func TestAFallbackShowsNoValueOfAnEnvironment(t *testing.T) {
	f := newFixture(t)
	f.run(t, []any{"RPUSH", "secret-name", "a"})
	metadata := f.metadata(utilization()...)
	delete(metadata, "channelName")
	metadata["channelNameFromEnv"] = "QUEUE"
	f.targets.stand(metadata)
	sent := f.metadata(utilization()...)
	delete(sent, "channelName")
	sent["channelNameFromEnv"] = "secret-name"
	got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", ScalerMetadata: sent})
	require.NoError(t, err)
	assert.NotEmpty(t, got.GetFallbackReason())
	assert.NotContains(t, got.GetFallbackReason(), "secret-name")
}

// Several keys are summed, and what was seen is what was seen of all.
func TestBusyIsOfAllKeys(t *testing.T) {
	f, skip := newSkippingFixture(t)
	f.holdInStream(t, 2, 0)
	f.run(t, []any{"ZADD", queue.TakenKey("list"), queue.InWork + 1, "a", queue.InWork + 2, "b", queue.InWork + 3, "c"})
	f.targets.stand(f.metadata(utilization()...))
	f.explained(t, 10)
	skip(20 * time.Second)
	f.targets.stand(f.metadata(utilization("keys", "q,list")...)) // the list is new, the stream is not
	assert.Less(t, f.explained(t, 10).GetWindowSeen().AsDuration(), 5*time.Second)
	skip(20 * time.Second)
	got := f.explained(t, 10)
	assert.InDelta(t, 5, got.GetBusy(), 0)
	assert.InDelta(t, 5, got.GetBusyOverWindow(), 0)
	assert.InDelta(t, 50, got.GetUtilization(), 0)
	assert.Equal(t, 15*time.Second, got.GetWindowSeen().AsDuration())
}

// While no message is finished, they take at least as long as was seen: the window is longer than that,
// and the fleet holds.
func TestTheWindowIsLongerForLongMessages(t *testing.T) {
	f, skip := newSkippingFixture(t)
	f.holdInStream(t, 2, 0)
	f.targets.stand(f.metadata(utilization()...))
	f.explained(t, 10)
	f.held, f.waiting = 0, 0 // so that skip finishes none
	var got *inspectv1.ExplainResponse
	for range 10 { // as KEDA asks again and again
		skip(3 * time.Second)
		got = f.explained(t, 10)
	}
	assert.InDelta(t, 30, got.GetMeanTimeInFlight().AsDuration().Seconds(), 4)
	assert.Equal(t, 5*time.Minute, got.GetPolicy().GetUtilizationWindow().AsDuration())
	assert.Equal(t, inspectv1.Reason_REASON_WINDOW_INCOMPLETE, got.GetReason(), got.GetExplanation())
	assert.Contains(t, got.GetExplanation(), "of the last 300 s only: holding at 10")
}

// A workerConcurrency that is wrong can be seen, and is told with the remedy.
func TestAWrongWorkerConcurrencyIsTold(t *testing.T) {
	const tooLow = "over the last 15s more was in flight than the workers' slots, 2 × workerConcurrency %d = %d: they work on more at once, or fetch ahead"
	const tooHigh = "messages waited all of the last 15s, but never was more in flight than %d a worker, which is less than the workers' slots, 2 × workerConcurrency %d = %d: the fleet counts as less busy than it is, and does not grow by it; set workerConcurrency to %d"
	for name, test := range map[string]struct {
		held, waiting, concurrency int
		scaledAgo                  time.Duration // 0: never
		want                       string
	}{
		"as it is":                          {held: 4, waiting: 5, concurrency: 2},
		"more than the slots":               {held: 8, concurrency: 2, want: fmt.Sprintf(tooLow, 2, 4)},
		"a little more":                     {held: 22, concurrency: 10},
		"less while messages wait":          {held: 4, waiting: 5, concurrency: 5, want: fmt.Sprintf(tooHigh, 2, 5, 10, 2)},
		"less while none waits":             {held: 4, concurrency: 5},
		"a little less while messages wait": {held: 19, waiting: 5, concurrency: 10},
		"nothing at all in work":            {waiting: 5, concurrency: 5},
		"scaled a moment ago":               {held: 8, concurrency: 2, scaledAgo: time.Second},
		"scaled long ago":                   {held: 8, concurrency: 2, scaledAgo: time.Minute, want: fmt.Sprintf(tooLow, 2, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			f, skip := newSkippingFixture(t)
			f.holdInStream(t, test.held, test.waiting)
			f.targets.stand(f.metadata(utilization("workerConcurrency", fmt.Sprint(test.concurrency))...))
			explain := func() *inspectv1.ExplainResponse {
				f.targets.set(func(targets *fakeTargets) {
					targets.state.Replicas = 2
					if test.scaledAgo > 0 {
						targets.state.LastScale = time.Now().Add(18*time.Second - test.scaledAgo)
					}
				})
				got, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"})
				require.NoError(t, err)
				return got
			}
			assert.Empty(t, explain().GetConcurrencyRemark(), "it was not seen for long enough")
			skip(18 * time.Second)
			got := explain().GetConcurrencyRemark()
			if test.want == "" {
				assert.Empty(t, got)
			} else {
				assert.Contains(t, got, test.want)
			}
		})
	}
}

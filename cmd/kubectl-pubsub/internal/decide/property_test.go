package decide

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// withoutWhatNoStatusHas is an answer of the scaler's without what a status can't have. Beside
// these, times are whole seconds there, and messageRate is a whole number.
func withoutWhatNoStatusHas(answer *inspectv1.ExplainResponse, with Overrides) *inspectv1.ExplainResponse {
	out := proto.CloneOf(answer)
	out.Keys = nil
	if with.QueueDepth != nil {
		out.QueueType = "" // the scaler tells the configured one then, and a status the one that was read
	}
	return out
}

// maybe makes a change half of the time.
func maybe(r *rand.Rand, change func()) {
	if r.IntN(2) == 0 {
		change()
	}
}

func randomChannel(r *rand.Rand) *v1.PubSubChannel {
	channel := channeltest.Channel(channeltest.AutoScaled())
	auto := channel.Spec.AutoScaling
	maybe(r, func() { auto.MinReplicas = new(r.Int32N(5)) })
	maybe(r, func() { auto.MaxReplicas = 5 + r.Int32N(100) })
	maybe(r, func() { auto.TargetQueueDepth = 1 + r.Int32N(200) })
	maybe(r, func() { auto.ScaleUpThreshold = 101 + r.Int32N(200) })
	maybe(r, func() { auto.ScaleDownThreshold = 1 + r.Int32N(100) })
	maybe(r, func() { auto.ScaleUpThreshold, auto.ScaleDownThreshold = 101+r.Int32N(10), 90+r.Int32N(10) })
	maybe(r, func() { auto.ActivationQueueDepth = r.Int32N(20) })
	maybe(r, func() { auto.CooldownPeriod = new(r.Int32N(600)) })
	maybe(r, func() { auto.MaxScaleUpStep = new(intstr.FromInt32(1 + r.Int32N(10))) })
	maybe(r, func() { auto.MaxScaleDownStep = new(intstr.FromString(strconv.Itoa(1+r.IntN(100)) + "%")) })
	maybe(r, func() {
		age := time.Second + time.Duration(r.Int64N(int64(time.Hour)))
		channel.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, MaxAge: &metav1.Duration{Duration: age}}
	})
	maybe(r, func() {
		auto.Policy = v1.PolicyUtilization
		maybe(r, func() { channel.Spec.Env = []corev1.EnvVar{{Name: "CONCURRENCY", Value: strconv.Itoa(1 + r.IntN(20))}} })
		maybe(r, func() { auto.WorkerConcurrency = 1 + r.Int32N(20) })
		maybe(r, func() {
			window := 15*time.Second + time.Duration(r.Int64N(int64(10*time.Minute)))
			auto.Utilization = &v1.UtilizationSpec{ScaleUp: 85 + r.Int32N(16), ScaleDown: 1 + r.Int32N(75), Window: &metav1.Duration{Duration: window}}
		})
	})
	return channel
}

// randomState is what the scaler may have read of a queue and of a target.
func randomState(r *rand.Rand, spec policy.Spec) (explanation.Reading, explanation.Target) {
	seconds := func(most int64) time.Time { return now.Add(-time.Duration(r.Int64N(most)) * time.Second) }
	scale := 1 + r.Int64N(20)*spec.TargetQueueDepth // so that all parts of the band come up
	read := explanation.Reading{
		Kind: []string{"list", "stream", "pubsub", "none", "mixed"}[r.IntN(5)], Ready: r.Int64N(scale), InFlight: r.Int64N(40),
		LowerBound: r.IntN(4) == 0, InFlightKnown: r.IntN(2) == 0, RateLowerBound: r.IntN(2) == 0, At: now,
		Keys: []*inspectv1.KeyDepth{{Key: "orders"}}, NoWork: "no worker shows what it holds of the list \"orders\"",
	}
	if r.IntN(5) == 0 {
		read.Ready, read.InFlight = r.Int64N(3), 0
	}
	read.AtLeast = read.LowerBound && read.Kind != "pubsub"
	to := explanation.Target{Replicas: r.Int32N(2 + spec.MaxReplicas), ToleranceHonoured: r.IntN(2) == 0}
	maybe(r, func() { to.Replicas = r.Int32N(4) })
	maybe(r, func() { read.Rate = new(float64(r.Int64N(1000))) })
	maybe(r, func() { read.Remarks = "; the consumer group is gone" })
	maybe(r, func() { to.LastScale = seconds(600) })
	if spec.MaxAge > 0 {
		maybe(r, func() { read.Oldest = seconds(7200) })
	}
	if spec.Policy == policy.ByUtilization {
		maybe(r, func() {
			most := 1000 * (1 + 2*spec.Slots(max(1, to.Replicas)))
			read.Work = &explanation.Work{Mean: r.Int64N(most), Seen: spec.UtilizationWindow()}
			maybe(r, func() {
				read.Work.Took = time.Duration(1+r.Int64N(600_000)) * time.Millisecond
				read.Work.Window = spec.WindowFor(read.Work.Took, spec.WindowFor(time.Duration(r.Int64N(600_000))*time.Millisecond, 0))
				read.Work.Seen = read.Work.Window
			})
			maybe(r, func() { read.Work.Seen = time.Duration(r.Int64N(int64(read.Work.Seen/time.Second))) * time.Second })
			maybe(r, func() { read.Work.Recent = new(r.Int64N(most)) })
			if to.Replicas > 0 {
				maybe(r, func() { read.ConcurrencyRemark = "more was in flight than the workers' slots" })
			}
		})
	}
	return read, to
}

// told is the channel as anybody reads it after the controller has told of an answer.
func told(t *testing.T, channel *v1.PubSubChannel, answer *inspectv1.ExplainResponse) *v1.PubSubChannel {
	t.Helper()
	p := plan.Of(channel)
	channel.Status, _ = status.Next(p, status.Observed{At: now, Answer: &inquiry.Answer{
		Question: inquiry.NewQuestion(p.Trigger, answer.GetReplicas(), true), Response: answer, At: now, Since: now,
	}}, now)
	data, err := json.Marshal(channel)
	require.NoError(t, err)
	read := &v1.PubSubChannel{}
	require.NoError(t, json.Unmarshal(data, read))
	return read
}

// randomOverrides overrides nothing half of the time.
func randomOverrides(r *rand.Rand) (with Overrides) {
	maybe(r, func() {
		maybe(r, func() { with.QueueDepth = new(r.Int64N(5000)) })
		maybe(r, func() { with.Replicas = new(r.Int32N(50)) })
		maybe(r, func() {
			with.LastScale = &time.Time{}
			maybe(r, func() { with.LastScale = new(now.Add(-time.Duration(r.Int64N(600)) * time.Second)) })
		})
	})
	return with
}

// What a channel's spec and status say comes to the scaler's own answer, for random channels and
// all that a scaler may have read, and for what-if questions.
func TestFromTheStatusComesTheScalersAnswer(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	reasons, policies := map[inspectv1.Reason]int{}, map[string]int{}
	for i := range 5000 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		channel := randomChannel(r)
		p := plan.Of(channel)
		require.NoError(t, p.Trigger.Policy.Validate(), "case %d", i)
		parsed, err := trigger.Parse(p.Metadata) // as the scaler reads it
		require.NoError(t, err, "case %d", i)
		read, to := randomState(r, parsed.Policy)
		live, err := explanation.Evaluate(parsed.Policy, read, to, now).Response()
		require.NoError(t, err, "case %d", i)
		stored := told(t, channel, proto.CloneOf(live))

		with := randomOverrides(r)
		if with.QueueDepth != nil {
			read = explanation.OfDepth(read.Kind, *with.QueueDepth, now)
		}
		if with.Replicas != nil {
			to.Replicas = *with.Replicas
		}
		if with.LastScale != nil {
			to.LastScale = *with.LastScale
		}
		read.ConcurrencyRemark = live.GetConcurrencyRemark()
		want, err := explanation.Evaluate(parsed.Policy, read, to, now).Response()
		require.NoError(t, err, "case %d", i)
		got, err := Explain(stored, with, now)
		require.NoError(t, err, "case %d", i)
		wanted, had := withoutWhatNoStatusHas(want, with), withoutWhatNoStatusHas(got, with)
		require.True(t, proto.Equal(wanted, had), "case %d: %+v\nlive:   %v\nstatus: %v\n%+v", i, with, wanted, had, stored.Status.Decision)
		reasons[got.GetReason()]++
		policies[got.GetPolicyInUse()+" for "+got.GetPolicy().GetPolicy()]++
	}
	assert.Len(t, reasons, len(inspectv1.Reason_name)-1, "all reasons come up: %v", reasons)
	assert.Len(t, policies, 3, "%v", policies)
}

// oneTarget is a cluster in which every ScaledObject has the one state, and the one trigger.
type oneTarget struct {
	state      target.State
	metadata   map[string]string
	generation int64
}

func (o *oneTarget) State(context.Context, string, string) (target.State, error) { return o.state, nil }
func (o *oneTarget) Find(context.Context, string, string) (target.Object, error) {
	return target.NewObject(target.Version{UID: "1", Generation: o.generation}, target.ScaleTriggers{Type: "external-push", Metadata: o.metadata}), nil
}

// The same with the scaler's own service, which reads a real server.
func TestFromTheStatusComesWhatTheServiceAnswers(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	cluster := &oneTarget{}
	pool := sampling.NewPool(sampling.Options{Tick: 10 * time.Millisecond, Options: broker.Options{ReadTimeout: time.Minute, Resolver: redistest.Zone{}.Resolver(t)}})
	t.Cleanup(pool.Close)
	service := scaler.New(scaler.Options{Pool: pool, Targets: cluster, Now: func() time.Time { return now }})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range 40 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		channel := randomChannel(r)
		channel.Spec.Queue, channel.Spec.RedisAddress, channel.Spec.ChannelName = nil, server.Addr, fmt.Sprintf("queue-%d", i)
		for range r.IntN(40) {
			require.NoError(t, client.LPush(t.Context(), channel.Spec.ChannelName, "message").Err())
		}
		p := plan.Of(channel)
		cluster.state = target.State{Replicas: r.Int32N(2 + p.Trigger.Policy.MaxReplicas), ToleranceHonoured: true}
		maybe(r, func() { cluster.state.LastScale = now.Add(-time.Duration(r.Int64N(600)) * time.Second) })
		cluster.metadata, cluster.generation = p.Metadata, cluster.generation+1
		live, err := service.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: channel.Namespace, Name: channel.Name})
		require.NoError(t, err, "case %d", i)
		require.Len(t, live.GetKeys(), 1, "case %d", i)
		live.SampleAge = nil // the pool has the machine's clock
		stored := told(t, channel, proto.CloneOf(live))
		got, err := Explain(stored, Overrides{}, now)
		require.NoError(t, err, "case %d", i)
		got.SampleAge = nil
		assert.True(t, proto.Equal(withoutWhatNoStatusHas(live, Overrides{}), got), "case %d\nlive:   %v\nstatus: %v", i, live, got)
	}
}

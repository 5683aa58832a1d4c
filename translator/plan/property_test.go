package plan

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// What the scaler reads from the trigger of a random legal channel is what the channel says, in
// every field of the policy. The random numbers are told apart from each other, so that a field
// that is taken for another shows.
func TestTheScalerReadsThePolicyThatTheChannelAsksFor(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	seen := map[string]map[string]bool{}
	for i := range 2000 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		channel, want := randomChannel(r)
		p := Of(channel)
		require.Nil(t, p.Invalid, "case %d: %v", i, p.Invalid)
		require.NoError(t, p.Unscalable, "case %d", i)
		got, err := trigger.Parse(p.Metadata)
		require.NoError(t, err, "case %d", i)
		require.Equal(t, p.Trigger, got, "case %d", i)
		require.Equal(t, want, got.Policy, "case %d: %v", i, p.Metadata)
		note(seen, "", reflect.ValueOf(got.Policy))
	}
	for field, values := range seen {
		assert.Greater(t, len(values), 1, "%s is always the same", field)
	}
}

// note notes what the fields of a policy were.
func note(seen map[string]map[string]bool, path string, value reflect.Value) {
	if value.Kind() == reflect.Struct {
		for i := range value.NumField() {
			note(seen, path+"."+value.Type().Field(i).Name, value.Field(i))
		}
		return
	}
	if seen[path] == nil {
		seen[path] = map[string]bool{}
	}
	seen[path][fmt.Sprint(value.Interface())] = true
}

// maybe makes a change half of the time.
func maybe(r *rand.Rand, change func()) {
	if r.IntN(2) == 0 {
		change()
	}
}

// randomChannel is a legal channel with autoscaling, and the policy that it asks for.
func randomChannel(r *rand.Rand) (*v1.PubSubChannel, policy.Spec) {
	channel := channeltest.Channel(channeltest.AutoScaled())
	auto, want := channel.Spec.AutoScaling, policy.DefaultSpec()
	maybe(r, func() {
		want.MinReplicas = r.Int32N(5)
		auto.MinReplicas = &want.MinReplicas
	})
	maybe(r, func() { want.MaxReplicas = 5 + r.Int32N(100); auto.MaxReplicas = want.MaxReplicas })
	maybe(r, func() {
		auto.TargetQueueDepth = 1 + r.Int32N(1000)
		want.TargetQueueDepth = int64(auto.TargetQueueDepth)
	})
	maybe(r, func() { want.ScaleUpThreshold = 101 + r.Int32N(900); auto.ScaleUpThreshold = want.ScaleUpThreshold })
	maybe(r, func() { want.ScaleDownThreshold = 1 + r.Int32N(100); auto.ScaleDownThreshold = want.ScaleDownThreshold })
	maybe(r, func() {
		auto.ActivationQueueDepth = r.Int32N(1000)
		want.ActivationQueueDepth = int64(auto.ActivationQueueDepth)
	})
	maybe(r, func() {
		seconds := r.Int32N(1000)
		auto.CooldownPeriod, want.Cooldown = &seconds, time.Duration(seconds)*time.Second
	})
	maybe(r, func() { auto.MaxScaleUpStep, want.MaxScaleUpStep = randomStep(r) })
	maybe(r, func() { auto.MaxScaleDownStep, want.MaxScaleDownStep = randomStep(r) })
	maybe(r, func() {
		want.MaxAge = time.Second + time.Duration(r.Int64N(int64(time.Hour)))
		channel.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, MaxAge: &metav1.Duration{Duration: want.MaxAge}}
	})
	maybe(r, func() { auto.Policy = v1.PolicyThreshold })
	maybe(r, func() { askForUtilization(r, channel, &want) })
	maybe(r, func() { want.WorkerConcurrency = 1 + r.Int32N(10_000); auto.WorkerConcurrency = want.WorkerConcurrency })
	return channel, want
}

func askForUtilization(r *rand.Rand, channel *v1.PubSubChannel, want *policy.Spec) {
	auto := channel.Spec.AutoScaling
	auto.Policy, want.Policy, want.Utilization, want.WorkerConcurrency = v1.PolicyUtilization, policy.ByUtilization, policy.DefaultUtilization(), 1
	maybe(r, func() {
		concurrency := 1 + r.Int32N(1000)
		channel.Spec.Env = []corev1.EnvVar{{Name: "CONCURRENCY", Value: strconv.Itoa(int(concurrency))}}
		want.WorkerConcurrency = concurrency
		if r.IntN(3) == 0 {
			channel.Spec.Image, want.WorkerConcurrency = "mine", 1
		}
	})
	maybe(r, func() {
		u := &v1.UtilizationSpec{}
		auto.Utilization = u
		maybe(r, func() { u.ScaleDown = 1 + r.Int32N(79); want.Utilization.ScaleDown = u.ScaleDown })
		maybe(r, func() { u.ScaleUp = 81 + r.Int32N(20); want.Utilization.ScaleUp = u.ScaleUp })
		between := want.Utilization.ScaleUp - want.Utilization.ScaleDown - 1
		if want.Utilization.Target <= want.Utilization.ScaleDown || want.Utilization.Target >= want.Utilization.ScaleUp || r.IntN(2) == 0 {
			u.Target = want.Utilization.ScaleDown + 1 + r.Int32N(between)
			want.Utilization.Target = u.Target
		}
		maybe(r, func() {
			want.Utilization.Window = 15*time.Second + time.Duration(r.Int64N(int64(time.Hour-15*time.Second)))
			u.Window = &metav1.Duration{Duration: want.Utilization.Window}
		})
	})
}

func randomStep(r *rand.Rand) (*intstr.IntOrString, policy.Step) {
	step := policy.Step{Value: 1 + r.Int32N(100)}
	field := intstr.FromInt32(step.Value)
	if r.IntN(2) == 0 {
		step.Percent, field = true, intstr.FromString(strconv.Itoa(int(step.Value))+"%")
	}
	return &field, step
}

package plan

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func TestFirstReplicas(t *testing.T) {
	within := func(least, most int32) func(*v1.PubSubChannel) {
		return channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = &least, most })
	}
	had := func(n int32) v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{Selector: "app=s", DesiredReplicas: n}
	}
	held := func(annotation, value string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			within(2, 5)(c)
			c.Annotations = map[string]string{annotation: value}
		}
	}
	none := v1.PubSubChannelStatus{}
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		spec   *int32
		status v1.PubSubChannelStatus
		want   int32
	}{
		"default":                   {func(*v1.PubSubChannel) {}, nil, none, 1},
		"none":                      {func(*v1.PubSubChannel) {}, ptr.To[int32](0), none, 0},
		"autoscaled, within limits": {within(2, 5), ptr.To[int32](3), none, 3},
		"autoscaled, too few":       {within(2, 5), nil, none, 2},
		"autoscaled, too many":      {within(2, 5), ptr.To[int32](9), none, 5},

		"may sleep":                         {within(0, 5), nil, none, 0},
		"may sleep, with the CRD's default": {within(0, 5), ptr.To[int32](1), none, 0},
		"may sleep, but asks for more":      {within(0, 5), ptr.To[int32](3), none, 3},
		"may sleep, paused": {func(c *v1.PubSubChannel) {
			within(0, 5)(c)
			channeltest.Paused(c)
		}, nil, none, 0},

		"back":                            {within(2, 5), nil, had(4), 4},
		"back, asleep":                    {within(0, 5), ptr.To[int32](3), had(0), 0},
		"back, awake":                     {within(0, 5), nil, had(1), 1},
		"back, too few by now":            {within(2, 5), nil, had(0), 2},
		"back, too many by now":           {within(2, 5), nil, had(9), 5},
		"back, paused":                    {held(kedav1alpha1.PausedAnnotation, "true"), nil, had(9), 9},
		"back, held by number":            {held(kedav1alpha1.PausedReplicasAnnotation, "9"), nil, had(9), 9},
		"back, held in one direction":     {held(kedav1alpha1.PausedScaleInAnnotation, "true"), nil, had(9), 5},
		"back, without autoscaling":       {func(*v1.PubSubChannel) {}, ptr.To[int32](3), had(4), 3},
		"back, paused and not autoscaled": {channeltest.Paused, ptr.To[int32](3), had(4), 4},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(test.change)
			channel.Spec.Replicas, channel.Status = test.spec, test.status
			assert.Equal(t, test.want, Of(channel).FirstReplicas())
		})
	}
}

// What was stored before a field had a default comes without it.
func TestPlanHasTheDefaults(t *testing.T) {
	p := Of(&v1.PubSubChannel{Spec: v1.PubSubChannelSpec{ChannelName: "orders"}})
	assert.Equal(t, "jawaracloud/subscriber", p.Image)
	assert.EqualValues(t, 30, p.MessageTimeout)
	assert.EqualValues(t, 1, p.Replicas)
	assert.False(t, p.AutoScaled)
	assert.Equal(t, policy.DefaultSpec(), p.Trigger.Policy)
	assert.Equal(t, "dragonfly:6379", p.Trigger.Redis.Address)
	assert.Equal(t, p.Trigger.Metadata(), p.Metadata)
	assert.Nil(t, p.Invalid)
	assert.NoError(t, p.Unscalable)
}

// A schedule that can't be read keeps nobody from being told of the others, and is told itself.
func TestPlanReadsEachSchedule(t *testing.T) {
	day := v1.Schedule{Name: "day", Timezone: "Europe/Berlin", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 2}
	nowhere := v1.Schedule{Name: "nowhere", Timezone: "Europe/Atlantis", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 2}
	p := Of(channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.Schedules = []v1.Schedule{nowhere, day} })))
	assert.ErrorContains(t, p.Unscalable, "spec.autoScaling.schedules nowhere: timezone")
	require.Len(t, p.Schedules, 1)
	assert.Equal(t, day, p.Schedules[0].Schedule)
	end, within := p.Schedules[0].Hours.Until(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))
	assert.True(t, within)
	assert.Equal(t, time.Date(2026, 1, 2, 17, 0, 0, 0, time.UTC), end.UTC())

	off := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.Enabled, a.Schedules = false, []v1.Schedule{nowhere} }))
	assert.NoError(t, Of(off).Unscalable, "while autoscaling is off, KEDA is given nothing")
}

// How many messages a worker works on at once is read from env, or it is asked for; the workers
// run meanwhile.
func TestAConcurrencyThatCannotBeReadIsAskedFor(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.Policy = v1.PolicyUtilization }))
	channel.Spec.Env = []corev1.EnvVar{{Name: "CONCURRENCY", ValueFrom: &corev1.EnvVarSource{}}}
	p := Of(channel)
	assert.Nil(t, p.Invalid)
	assert.ErrorContains(t, p.Unscalable, "set spec.autoScaling.workerConcurrency")
	assert.Zero(t, p.WorkerConcurrency)

	channel.Spec.AutoScaling.WorkerConcurrency = 3
	p = Of(channel)
	assert.NoError(t, p.Unscalable)
	assert.EqualValues(t, 3, p.WorkerConcurrency)
	assert.EqualValues(t, 3, p.Trigger.Policy.WorkerConcurrency)

	channel.Spec.AutoScaling.WorkerConcurrency, channel.Spec.AutoScaling.Policy = 0, v1.PolicyThreshold
	assert.NoError(t, Of(channel).Unscalable, "Threshold has no use for it")
}

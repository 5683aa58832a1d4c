package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// What was stored before a field had a default comes without it.
func TestPlanHasTheDefaults(t *testing.T) {
	p := planOf(&v1.PubSubChannel{Spec: v1.PubSubChannelSpec{ChannelName: "orders"}})
	assert.Equal(t, "jawaracloud/subscriber:latest", p.Image)
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
	p := planOf(testChannel(scaled(func(a *v1.AutoScalingSpec) { a.Schedules = []v1.Schedule{nowhere, day} })))
	assert.ErrorContains(t, p.Unscalable, "spec.autoScaling.schedules nowhere: timezone")
	require.Len(t, p.Schedules, 1)
	assert.Equal(t, day, p.Schedules[0].Schedule)
	end, within := p.Schedules[0].Hours.Until(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))
	assert.True(t, within)
	assert.Equal(t, time.Date(2026, 1, 2, 17, 0, 0, 0, time.UTC), end.UTC())

	off := testChannel(scaled(func(a *v1.AutoScalingSpec) { a.Enabled, a.Schedules = false, []v1.Schedule{nowhere} }))
	assert.NoError(t, planOf(off).Unscalable, "while autoscaling is off, KEDA is given nothing")
}

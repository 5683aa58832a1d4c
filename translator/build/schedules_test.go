package build

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func TestTriggers(t *testing.T) {
	prometheus := kedav1alpha1.ScaleTriggers{
		Type: "prometheus", Name: "lag", Metadata: map[string]string{"serverAddress": "http://p:9090", "query": "lag", "threshold": "5"},
		AuthenticationRef: &kedav1alpha1.AuthenticationRef{Name: "bearer"}, UseCachedMetrics: true,
	}
	fallback := &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6, Behavior: "currentReplicasIfHigher"}
	so := ScaledObject(plan.Of(channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
		a.Schedules = []v1.Schedule{channeltest.Office(), channeltest.Office(func(s *v1.Schedule) { s.Name, s.MinReplicas = "sale", 9 })}
		a.Triggers = []kedav1alpha1.ScaleTriggers{prometheus, channeltest.CPU("")}
		a.Fallback = fallback
	}))), ScalerRef{Address: "s:1"})
	require.Len(t, so.Spec.Triggers, 5)
	assert.Equal(t, "external-push", so.Spec.Triggers[0].Type, "ours is the first: the scaler looks for it")
	assert.Equal(t, kedav1alpha1.ScaleTriggers{
		Type: "cron", Name: "office", MetricType: autoscalingv2.AverageValueMetricType,
		Metadata: map[string]string{"timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "desiredReplicas": "5"},
	}, so.Spec.Triggers[1])
	assert.Equal(t, "9", so.Spec.Triggers[2].Metadata["desiredReplicas"])
	assert.Equal(t, []kedav1alpha1.ScaleTriggers{prometheus, channeltest.CPU("")}, so.Spec.Triggers[3:], "unchanged")
	assert.Equal(t, fallback, so.Spec.Fallback)
}

func TestCheckScaling(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1.AutoScalingSpec)
		want   []string // empty: nothing wrong
	}{
		"nothing":    {func(*v1.AutoScalingSpec) {}, nil},
		"a schedule": {func(a *v1.AutoScalingSpec) { a.Schedules = []v1.Schedule{channeltest.Office()} }, nil},
		"names of months, days": {func(a *v1.AutoScalingSpec) {
			a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Start = "*/5 0 1 JAN MON-FRI" })}
		}, nil},
		"an unknown time zone": {
			func(a *v1.AutoScalingSpec) {
				a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Timezone = "Europe/Entenhausen" })}
			},
			[]string{`schedules office: timezone is "Europe/Entenhausen"`, "IANA name"},
		},
		"no cron expression": {
			func(a *v1.AutoScalingSpec) {
				a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Start = "0 25 * * 1" })}
			},
			[]string{`start is "0 25 * * 1"`, "above maximum"},
		},
		"a descriptor, which KEDA does not read": {
			func(a *v1.AutoScalingSpec) {
				a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.End = "@daily" })}
			},
			[]string{`end is "@daily"`, "five fields"},
		},
		"a trigger named as a schedule": {
			func(a *v1.AutoScalingSpec) {
				a.Schedules, a.Triggers = []v1.Schedule{channeltest.Office()}, []kedav1alpha1.ScaleTriggers{channeltest.CPU("office")}
			},
			[]string{"spec.autoScaling.triggers", `"office" is defined multiple times`},
		},
		"two triggers of one name": {
			func(a *v1.AutoScalingSpec) {
				a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("a"), channeltest.CPU("a")}
			},
			[]string{`"a" is defined multiple times`},
		},
		"cached metrics of cpu": {
			func(a *v1.AutoScalingSpec) {
				t := channeltest.CPU("a")
				t.UseCachedMetrics = true
				a.Triggers = []kedav1alpha1.ScaleTriggers{t}
			},
			[]string{"useCachedMetrics"},
		},
		"a fallback": {func(a *v1.AutoScalingSpec) {
			a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 5, Behavior: "static"}
		}, nil},
		"a fallback below 0": {
			func(a *v1.AutoScalingSpec) { a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: -1} },
			[]string{"spec.autoScaling.fallback", "FailureThreshold=-1"},
		},
		"a fallback by modifiers": {
			func(a *v1.AutoScalingSpec) {
				a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 1, Behavior: "scalingModifiers"}
			},
			[]string{"scalingModifiers", "set behavior to static"},
		},
		"everything at once": {
			func(a *v1.AutoScalingSpec) {
				a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Timezone, s.Start = "X", "y" })}
				a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("office")}
			},
			[]string{"timezone", "multiple times"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := scalingFault(channeltest.Channel(channeltest.AutoScaled(test.change)))
			if test.want == nil {
				assert.NoError(t, err)
				return
			}
			for _, words := range test.want {
				assert.ErrorContains(t, err, words)
			}
			var got *plan.Problem
			require.ErrorAs(t, err, &got)
			assert.Equal(t, v1.ReasonInvalidSpec, got.Reason)
		})
	}
}

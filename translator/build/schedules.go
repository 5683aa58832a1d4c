package build

import (
	"strconv"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// buildSchedules are the cron triggers of a channel's schedules.
func buildSchedules(schedules []v1.Schedule) []kedav1alpha1.ScaleTriggers {
	var triggers []kedav1alpha1.ScaleTriggers
	for _, schedule := range schedules {
		triggers = append(triggers, kedav1alpha1.ScaleTriggers{
			Type: "cron",
			Name: schedule.Name,
			Metadata: map[string]string{
				"timezone":        schedule.Timezone,
				"start":           schedule.Start,
				"end":             schedule.End,
				"desiredReplicas": strconv.Itoa(int(schedule.MinReplicas)),
			},
			MetricType: autoscalingv2.AverageValueMetricType,
		})
	}
	return triggers
}

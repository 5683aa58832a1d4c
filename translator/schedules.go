package translator

import (
	"fmt"
	"strconv"
	"time"
	_ "time/tzdata" // the time zones of schedules, whatever the image holds

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/robfig/cron/v3"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// cronParser reads what KEDA's cron trigger reads (KEDA 2.21, pkg/scalers/cron_scaler.go,
// cronMetadata.Validate).
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

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

// hours are a schedule that was read.
type hours struct {
	location   *time.Location
	start, end cron.Schedule
}

// readHours finds what the CRD's schema can't: a time zone that does not exist, or an
// expression that is no cron expression.
func readHours(schedule v1.Schedule) (hours, error) {
	fail := func(field, value string, err error, remedy string) (hours, error) {
		return hours{}, fmt.Errorf("spec.autoScaling.schedules %s: %s is %q: %w: %s", schedule.Name, field, value, err, remedy)
	}
	location, err := time.LoadLocation(schedule.Timezone)
	if err != nil {
		return fail("timezone", schedule.Timezone, err, "set it to an IANA name, for example Europe/Berlin")
	}
	start, err := cronParser.Parse(schedule.Start)
	if err != nil {
		return fail("start", schedule.Start, err, "set it to a cron expression of five fields, for example 0 8 * * 1-5")
	}
	end, err := cronParser.Parse(schedule.End)
	if err != nil {
		return fail("end", schedule.End, err, "set it to a cron expression of five fields, for example 0 18 * * 1-5")
	}
	return hours{location: location, start: start, end: end}, nil
}

// until is when the schedule ends; false where it does not keep workers now. It decides as
// KEDA does, by which comes next (KEDA 2.21, pkg/scalers/cron_scaler.go,
// GetMetricsAndActivity).
func (h hours) until(now time.Time) (time.Time, bool) {
	local := now.In(h.location)
	start, end := h.start.Next(local), h.end.Next(local)
	return end, !start.Before(end)
}

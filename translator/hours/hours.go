// Package hours reads the hours in which a channel's schedule keeps workers, as KEDA's cron
// trigger does.
package hours

import (
	"fmt"
	"time"
	_ "time/tzdata" // the time zones of schedules, whatever the image holds

	"github.com/robfig/cron/v3"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// cronParser reads what KEDA's cron trigger reads (KEDA 2.21, pkg/scalers/cron_scaler.go,
// cronMetadata.Validate).
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// Hours are a schedule that was read.
type Hours struct {
	location   *time.Location
	start, end cron.Schedule
}

// Read finds what the CRD's schema can't: a time zone that does not exist, or an expression
// that is no cron expression. Its errors name the schedule, the field and the remedy.
func Read(schedule v1.Schedule) (Hours, error) {
	fail := func(field, value string, err error, remedy string) (Hours, error) {
		return Hours{}, fmt.Errorf("spec.autoScaling.schedules %s: %s is %q: %w: %s", schedule.Name, field, value, err, remedy)
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
	return Hours{location: location, start: start, end: end}, nil
}

// Until is when the schedule ends; false where it does not keep workers now. It decides as
// KEDA does (KEDA 2.21, pkg/scalers/cron_scaler.go, GetMetricsAndActivity), also where the
// clock is changed:
//   - What the clock skips, as 02:30 on the day that summer time begins, does not happen. A
//     schedule whose start is skipped keeps workers from the end before.
//   - What the clock has twice may be found in the past: a schedule from midnight on, where the
//     clock goes back from 0:01, keeps workers until its end, over the second midnight.
func (h Hours) Until(now time.Time) (time.Time, bool) {
	local := now.In(h.location)
	start, end := h.start.Next(local), h.end.Next(local)
	within := now.After(start) || now.Before(end)
	if start.Before(end) {
		within = now.After(start) && now.Before(end)
	}
	if !end.After(now) {
		end = now.Add(time.Minute) // as soon as a schedule may end
	}
	return end, within
}

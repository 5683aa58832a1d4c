package hours

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// office keeps five workers from 8 to 18 on working days.
func office(change ...func(*v1.Schedule)) v1.Schedule {
	schedule := v1.Schedule{Name: "office", Timezone: "Europe/Berlin", Start: "0 8 * * 1-5", End: "0 18 * * 1-5", MinReplicas: 5}
	for _, c := range change {
		c(&schedule)
	}
	return schedule
}

// The hours are KEDA's: it asks which comes next, the start or the end.
func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	night := office(func(s *v1.Schedule) { s.Start, s.End = "0 22 * * *", "0 6 * * *" })
	for name, test := range map[string]struct {
		schedule v1.Schedule
		now      time.Time
		end      time.Time // zero: it does not keep workers
	}{
		"before":                         {office(), at(1, 5, 7, 59), time.Time{}},
		"at the start":                   {office(), at(1, 5, 8, 0), at(1, 5, 18, 0)},
		"within":                         {office(), at(1, 5, 12, 0), at(1, 5, 18, 0)},
		"at the end":                     {office(), at(1, 5, 18, 0), time.Time{}},
		"at the weekend":                 {office(), at(1, 3, 12, 0), time.Time{}},
		"over midnight, before":          {night, at(1, 5, 23, 30), at(1, 6, 6, 0)},
		"over midnight, after":           {night, at(1, 6, 1, 0), at(1, 6, 6, 0)},
		"by day":                         {night, at(1, 6, 12, 0), time.Time{}},
		"another zone's clock":           {office(), at(1, 5, 8, 30).UTC(), at(1, 5, 18, 0)},
		"in summer, by the summer clock": {office(), time.Date(2026, 7, 6, 6, 30, 0, 0, time.UTC), at(7, 6, 18, 0)},
		"in winter, that is too early":   {office(), time.Date(2026, 1, 5, 6, 30, 0, 0, time.UTC), time.Time{}},
		"on the day the clock springs":   {office(func(s *v1.Schedule) { s.Start, s.End = "0 1 * * *", "0 4 * * *" }), at(3, 29, 3, 30), at(3, 29, 4, 0)},
		"a start that the clock skips":   {office(func(s *v1.Schedule) { s.Start, s.End = "30 2 * * *", "0 18 * * *" }), at(3, 28, 18, 0), at(3, 29, 18, 0)},
		"a start that the clock has twice": {
			office(func(s *v1.Schedule) { s.Timezone, s.Start, s.End = "America/St_Johns", "0 0 * * *", "30 0 * * *" }),
			time.Date(2000, 10, 29, 2, 31, 0, 0, time.UTC), time.Date(2000, 10, 29, 3, 0, 0, 0, time.UTC),
		},
		"an end that the clock has twice, too": { // the end that is found is over, so what it is later is looked up in a minute
			office(func(s *v1.Schedule) { s.Timezone, s.Start, s.End = "America/St_Johns", "0 0 1-31 * *", "0 0 * * *" }),
			time.Date(2000, 10, 29, 2, 40, 0, 0, time.UTC), time.Date(2000, 10, 29, 2, 41, 0, 0, time.UTC),
		},
		"on the day the clock goes back": {office(func(s *v1.Schedule) { s.Start, s.End = "0 1 * * *", "0 4 * * *" }), at(10, 25, 2, 30), at(10, 25, 4, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			open, err := Read(test.schedule)
			require.NoError(t, err)
			end, active := open.Until(test.now)
			assert.Equal(t, !test.end.IsZero(), active)
			if active {
				assert.True(t, test.end.Equal(end), "%s, not %s", end, test.end)
			}
		})
	}
}

package benchmarks

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	v2 "k8s.io/api/autoscaling/v2"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/hours"
)

// Over every change of the clock of a year, in zones of every kind, a channel's condition
// names the schedules that KEDA's own cron scaler keeps workers by, minute for minute. The
// time is a bubble's, which begins with the year 2000.
func TestSchedulesAreKEDAsOverChangesOfTheClock(t *testing.T) {
	for _, zone := range []string{
		"Europe/Berlin", "America/New_York", "America/Havana", // at 2:00, and at midnight
		"Australia/Lord_Howe", "Asia/Tehran", "America/St_Johns", // by half an hour, at 0:00, at 0:01
		"Asia/Kolkata", // never
	} {
		t.Run(zone, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { schedulesAreKEDAs(t, zone) }) })
	}
}

// around is how long before and after a change of the clock is looked at.
const around = 26 * time.Hour

func schedulesAreKEDAs(t *testing.T, zone string) {
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	var schedules []v1.Schedule
	for _, pair := range [][2]string{
		{"0 8 * * 1-5", "0 18 * * 1-5"}, {"0 22 * * *", "0 6 * * *"}, // by day, by night
		{"30 2 * * *", "0 18 * * *"}, {"0 18 * * *", "30 2 * * *"}, // what the clock skips, or has twice
		{"0 0 * * *", "30 0 * * *"}, {"0 1 * * *", "0 4 * * *"}, {"*/20 1-3 * * *", "10 * * * *"}, {"15 2 * * 0", "45 2 * * 0"},
	} {
		schedules = append(schedules, v1.Schedule{Name: "s", Timezone: zone, Start: pair[0], End: pair[1], MinReplicas: 5})
	}
	minutes, kept := 0, 0
	year := time.Now().Year()
	_, offset := time.Now().In(location).Zone()
	for time.Now().Year() == year {
		if _, later := time.Now().Add(around).In(location).Zone(); later == offset && zone != "Asia/Kolkata" || minutes > 0 && zone == "Asia/Kolkata" {
			time.Sleep(time.Hour)
			continue
		}
		for end := time.Now().Add(2 * around); time.Now().Before(end); time.Sleep(time.Minute) {
			minutes++
			for _, schedule := range schedules {
				kept += isKEDAs(t, schedule)
			}
		}
		_, offset = time.Now().In(location).Zone()
	}
	t.Logf("%d minutes, %d schedules: %d times within one", minutes, len(schedules), kept)
	assert.NotZero(t, kept)
}

// isKEDAs asks both whether a schedule keeps workers now, and returns 1 if it does.
func isKEDAs(t *testing.T, schedule v1.Schedule) int {
	keda, err := scalers.NewCronScaler(&scalersconfig.ScalerConfig{
		ScalableObjectName: "orders", ScalableObjectNamespace: "shop", ScalableObjectType: "ScaledObject", MetricType: v2.AverageValueMetricType,
		TriggerMetadata: map[string]string{"timezone": schedule.Timezone, "start": schedule.Start, "end": schedule.End, "desiredReplicas": fmt.Sprint(schedule.MinReplicas)},
	})
	require.NoError(t, err)
	metrics, active, err := keda.GetMetricsAndActivity(t.Context(), "s1-cron")
	require.NoError(t, err)
	open, err := hours.Read(schedule)
	require.NoError(t, err)
	end, ours := open.Until(time.Now())
	require.Equalf(t, active, ours, "%s to %s at %s", schedule.Start, schedule.End, time.Now())
	if !ours {
		require.Zero(t, metrics[0].Value.MilliValue())
		return 0
	}
	require.Equal(t, int64(schedule.MinReplicas)*1000, metrics[0].Value.MilliValue())
	require.True(t, end.After(time.Now()))
	return 1
}

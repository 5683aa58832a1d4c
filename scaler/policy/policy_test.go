package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStep(t *testing.T) {
	for text, want := range map[string]Step{"": {}, "1": {Value: 1}, "20%": {Value: 20, Percent: true}, "1000000": {Value: 1_000_000}} {
		got, err := ParseStep(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	for _, text := range []string{"0", "-1", "0%", "%", "x", "1.5", "20 %", "1000001", "10000%", "99999999999"} {
		_, err := ParseStep(text)
		assert.ErrorContains(t, err, text)
	}
}

// The status has the lasting text, and is written when that changes: averages, which change
// with each sample, are not in it.
func TestLastingTextHasNoAverages(t *testing.T) {
	spec := Spec{
		Policy: ByUtilization, MinReplicas: 1, MaxReplicas: 10, TargetQueueDepth: 100, ScaleUpThreshold: 150, ScaleDownThreshold: 50,
		Cooldown: time.Minute, MaxScaleUpStep: Step{}, MaxScaleDownStep: Step{Value: 20, Percent: true},
	}
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		replicas int32
		since    time.Duration // since the last scaling
		one, two InFlight
		reason   Reason
	}{
		"busy":            {5, time.Hour, InFlight{Recent: 4600}, InFlight{Recent: 4700}, AboveUtilization},
		"at maxReplicas":  {10, time.Hour, InFlight{Recent: 9800}, InFlight{Recent: 9900}, AtMaxReplicas},
		"in the cooldown": {5, time.Second, InFlight{Recent: 4800}, InFlight{Recent: 4900}, Cooldown},
		"busy on average": {5, time.Hour, InFlight{Window: 4000, Seen: time.Hour}, InFlight{Window: 4100, Seen: time.Hour}, WorkersBusy},
		"busy lately":     {5, time.Hour, InFlight{Window: 4000, Seen: time.Hour}, InFlight{Recent: 4490, Seen: time.Hour}, WorkersBusy},
	} {
		t.Run(name, func(t *testing.T) {
			decide := func(work InFlight) Decision {
				work.Known = true
				return Utilization(spec, State{Replicas: test.replicas, Depth: 6, InFlight: work, LastScale: now.Add(-test.since), Now: now})
			}
			one, two := decide(test.one), decide(test.two)
			require.Equal(t, test.reason, one.Reason)
			require.Equal(t, one.Desired, two.Desired)
			require.NotEqual(t, one.Text, two.Text)
			require.Equal(t, one.LastingText, two.LastingText)
		})
	}
}

// What is kept must stay true while the cooldown runs.
func TestLastingTextDoesNotCountDown(t *testing.T) {
	scaled := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, since := range []time.Duration{time.Second, 1700 * time.Millisecond, 59 * time.Second} {
		got := Decide(DefaultSpec(), State{Replicas: 4, Depth: 5000, LastScale: scaled, Now: scaled.Add(since)})
		assert.Equal(t, "queue depth 5000 is above 600 = 100 × 4 × 150 %; holding at 4: the 60 s cooldown lasts until 15:05:05 UTC", got.LastingText)
	}
}

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

// At the upper bound itself the depth asks for nothing: an old message asks for one replica more.
func TestAnOldMessageAtTheUpperBound(t *testing.T) {
	spec := DefaultSpec()
	spec.MaxAge = time.Minute
	d := Decide(spec, State{Replicas: 3, Depth: 450, OldestAge: 61 * time.Second, Now: now})
	require.EqualValues(t, 450, d.UpperBound)
	assert.Equal(t, AboveMaxAge, d.Reason)
	assert.EqualValues(t, 4, d.Desired)
	assert.Equal(t, "the oldest message has waited 61 s, longer than maxAge 60 s: 3 → 4 replicas", d.Text)
}

func TestTheNameOfAPolicy(t *testing.T) {
	busy := State{Replicas: 3, Depth: 300, Now: now, InFlight: InFlight{Known: true, Recent: 3000, Window: 3000, Seen: time.Hour}}
	for name, want := range map[Name]Reason{"": WithinBand, ByThreshold: WithinBand, ByUtilization: AboveUtilization} {
		spec := DefaultSpec()
		spec.Policy = name
		require.NoError(t, spec.Validate())
		assert.Equal(t, want, name.Decider()(spec, busy).Reason, name)
	}
	spec := DefaultSpec()
	spec.Policy = "Guess"
	assert.EqualError(t, spec.Validate(), `policy is "Guess": it must be Threshold or Utilization`)
}

// The ends of each range are in it, and what is beyond is refused by its name.
func TestRanges(t *testing.T) {
	for field, test := range map[string]struct {
		set         func(*Spec, int64)
		least, most int64
	}{
		"minReplicas":          {func(s *Spec, v int64) { s.MinReplicas, s.MaxReplicas = int32(v), MaxReplicasLimit }, 0, MaxReplicasLimit},
		"maxReplicas":          {func(s *Spec, v int64) { s.MaxReplicas = int32(v) }, 1, MaxReplicasLimit},
		"targetQueueDepth":     {func(s *Spec, v int64) { s.TargetQueueDepth = v }, 1, MaxTargetQueueDepth},
		"scaleUpThreshold":     {func(s *Spec, v int64) { s.ScaleUpThreshold, s.ScaleDownThreshold = int32(v), 1 }, 2, 1000},
		"scaleDownThreshold":   {func(s *Spec, v int64) { s.ScaleDownThreshold = int32(v) }, 1, 100},
		"activationQueueDepth": {func(s *Spec, v int64) { s.ActivationQueueDepth = v }, 0, MaxTargetQueueDepth},
		"cooldownPeriod":       {func(s *Spec, v int64) { s.Cooldown = time.Duration(v) * time.Second }, 0, 86400},
		"maxAge":               {func(s *Spec, v int64) { s.MaxAge = time.Duration(v) * time.Millisecond }, 1000, MaxMaxAge.Milliseconds()},
		"workerConcurrency":    {func(s *Spec, v int64) { s.WorkerConcurrency = int32(v) }, 0, MaxWorkerConcurrency},
		"utilization.window": {func(s *Spec, v int64) { *s = s.WithWindow(time.Duration(v) * time.Millisecond) },
			RecentWindow.Milliseconds(), MaxWindow.Milliseconds()},
		"scaleDown": {func(s *Spec, v int64) {
			s.Utilization = DefaultUtilization()
			s.Utilization.ScaleDown = int32(v)
		}, 1, 79},
		"target": {func(s *Spec, v int64) {
			s.Utilization = DefaultUtilization()
			s.Utilization.Target = int32(v)
		}, 71, 89},
		"scaleUp": {func(s *Spec, v int64) {
			s.Utilization = DefaultUtilization()
			s.Utilization.ScaleUp = int32(v)
		}, 81, 100},
	} {
		t.Run(field, func(t *testing.T) {
			of := func(value int64) error {
				spec := DefaultSpec()
				test.set(&spec, value)
				return spec.Validate()
			}
			require.NoError(t, of(test.least))
			require.NoError(t, of(test.most))
			require.ErrorContains(t, of(test.least-1), field)
			require.ErrorContains(t, of(test.most+1), field)
		})
	}
}

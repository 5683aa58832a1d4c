package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJitterIsATwentiethEitherWay(t *testing.T) {
	for _, delay := range []time.Duration{1, 20 * time.Millisecond, time.Second, 8 * time.Second} {
		least, most := delay, delay
		for range 10_000 {
			got := jittered(delay)
			require.GreaterOrEqual(t, got, delay-delay/20)
			require.LessOrEqual(t, got, delay+delay/20)
			least, most = min(least, got), max(most, got)
		}
		if delay >= time.Millisecond {
			assert.Less(t, least, delay-delay/25, "it spreads")
			assert.Greater(t, most, delay+delay/25, "in both directions")
		}
	}
}

func TestDelayGrowsWithFailuresAndIsResetBySuccess(t *testing.T) {
	s := newSampler(Server{}, Options{}.withDefaults())
	assert.Equal(t, time.Second, s.delay())
	for _, seconds := range []float64{1, 2, 4, 8, 8, 8} {
		s.failed(errors.New("refused"))
		assert.InDelta(t, seconds, s.delay().Seconds(), 0)
	}
	for range 100 { // no shift is too far
		s.failed(errors.New("refused"))
	}
	assert.Equal(t, maxBackOff, s.delay())
	s.failed(nil)
	assert.Equal(t, time.Second, s.delay())

	s.options.Tick = time.Minute
	s.failed(errors.New("refused"))
	assert.Equal(t, time.Minute, s.delay(), "never less than a tick")
}

func TestRate(t *testing.T) {
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		tick  time.Duration
		added func(since time.Duration) int64
		after time.Duration
		want  float64 // negative: unknown
	}{
		"unknown within a second":      {100 * time.Millisecond, func(d time.Duration) int64 { return int64(d / time.Millisecond) }, 900 * time.Millisecond, -1},
		"steady":                       {time.Second, func(d time.Duration) int64 { return 10 * int64(d/time.Second) }, time.Minute, 10},
		"steady, with a short tick":    {time.Millisecond, func(d time.Duration) int64 { return int64(d / time.Millisecond) }, time.Minute, 1000},
		"a jittered tick":              {960 * time.Millisecond, func(d time.Duration) int64 { return int64(d / time.Millisecond) }, time.Minute, 1000},
		"what was before is forgotten": {time.Second, func(d time.Duration) int64 { return min(1000, 100*int64(d/time.Second)) }, time.Minute, 0},
		"a stream made anew": {time.Second, func(d time.Duration) int64 {
			if d < 30*time.Second {
				return 1_000_000
			}
			return 2 * int64((d-30*time.Second)/time.Second)
		}, time.Minute, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var meter rateMeter
			var got *float64
			for since := time.Duration(0); since <= test.after; since += test.tick {
				got = meter.add(test.added(since), start.Add(since))
				require.LessOrEqual(t, len(meter.points), 7, "however short the tick is")
			}
			if test.want < 0 {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.InDelta(t, test.want, *got, test.want/50)
		})
	}
}

// A sample that was given away must not change.
func TestARateThatWasGivenAwayStays(t *testing.T) {
	var meter rateMeter
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	meter.add(0, start)
	first := meter.add(10, start.Add(2*time.Second))
	second := meter.add(100, start.Add(4*time.Second))
	assert.InDelta(t, 5, *first, 0.01)
	assert.InDelta(t, 25, *second, 0.01)
}

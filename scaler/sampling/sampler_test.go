package sampling

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

func TestDelayGrowsWithFailuresAndIsResetBySuccess(t *testing.T) {
	pool := NewPool(Options{})
	t.Cleanup(pool.Close)
	l := newSampler(pool, "", broker.Server{}).first
	assert.Equal(t, time.Second, l.delay())
	for _, seconds := range []float64{1, 2, 4, 8, 8, 8} {
		l.recordOutcome(nil, errors.New("refused"))
		assert.InDelta(t, seconds, l.delay().Seconds(), 0)
	}
	for range 100 { // no shift is too far
		l.recordOutcome(nil, errors.New("refused"))
	}
	assert.Equal(t, maxBackOff, l.delay())
	l.recordOutcome(nil, &broker.StaleReplicaError{})
	assert.Equal(t, time.Second, l.delay(), "a new master is looked for each tick")
	l.recordOutcome(nil, nil)
	assert.Equal(t, time.Second, l.delay())

	l.sampler.options.Tick = time.Minute
	l.recordOutcome(nil, errors.New("refused"))
	assert.Equal(t, time.Minute, l.delay(), "never less than a tick")
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
		"counters that are not read in the same instant": {time.Second, func(d time.Duration) int64 {
			return 100*int64(d/time.Second) - 7*int64(d/time.Second%2)
		}, time.Minute, 100},
		"a small stream made anew": {time.Second, func(d time.Duration) int64 {
			if d < 50*time.Second {
				return 3
			}
			return 0
		}, 55 * time.Second, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var meter rateMeter
			var got *float64
			for since := time.Duration(0); since <= test.after; since += test.tick {
				got = meter.arrivals(test.added(since), start.Add(since))
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
	meter.arrivals(0, start)
	first := meter.arrivals(10, start.Add(2*time.Second))
	second := meter.arrivals(100, start.Add(4*time.Second))
	assert.InDelta(t, 5, *first, 0.01)
	assert.InDelta(t, 25, *second, 0.01)
}

func TestGrowthOfADepth(t *testing.T) {
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		depth func(second int64) int64
		want  float64 // 0: unknown
	}{
		"it grows":              {func(s int64) int64 { return 5 * s }, 5},
		"it shrinks":            {func(s int64) int64 { return 1000 - s }, 0},
		"it stays":              {func(int64) int64 { return 7 }, 0},
		"it is empty":           {func(int64) int64 { return 0 }, 0},
		"it was drained before": {func(s int64) int64 { return max(0, 100-10*s) }, 0},
		"it goes up and down":   {func(s int64) int64 { return 3*s + 20*(s%2) }, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var w watched
			for second := range int64(61) {
				w.sampled(queue.Depth{Kind: queue.List, Ready: test.depth(second), Added: -1}, start.Add(time.Duration(second)*time.Second))
			}
			if test.want == 0 {
				assert.Nil(t, w.sample.Rate)
				assert.False(t, w.sample.RateLowerBound)
				return
			}
			require.NotNil(t, w.sample.Rate)
			assert.InDelta(t, test.want, *w.sample.Rate, test.want/2)
			assert.True(t, w.sample.RateLowerBound)
		})
	}
}

func TestAnEmptyQueueNeedsNoMeter(t *testing.T) {
	start := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	var w watched
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	w.sampled(queue.Depth{Added: -1}, at(0))
	assert.Nil(t, w.rate)
	w.sampled(queue.Depth{Ready: 10, Added: -1}, at(1))
	require.NotNil(t, w.sample.Rate, "it was empty a second ago")
	assert.InDelta(t, 10, *w.sample.Rate, 0.01)
	w.sampled(queue.Depth{Ready: 1000, Added: -1, LowerBound: true}, at(2))
	assert.Nil(t, w.sample.Rate, "a depth that is not exact does not tell what grew")
	w.sampled(queue.Depth{Added: -1}, at(3))
	assert.Nil(t, w.rate)
}

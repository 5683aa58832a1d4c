package work

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The mean of the times is 1, and their standard deviation is the variation.
func TestDraw(t *testing.T) {
	for name, test := range map[string]struct {
		work      Work
		variation float64
	}{
		"fixed":             {Work{}, 0},
		"exponential":       {Work{Distribution: Exponential}, 1},
		"lognormal":         {Work{Distribution: Lognormal}, 1},
		"lognormal, narrow": {Work{Distribution: Lognormal, Variation: 0.5}, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			const draws = 1_000_000
			var sum, squares float64
			for range draws {
				x := test.work.Draw(random)
				sum += x
				squares += x * x
			}
			assert.InDelta(t, 1, sum/draws, 0.005)
			assert.InDelta(t, test.variation, math.Sqrt(max(0, squares/draws-sum/draws*sum/draws)), 0.05)
		})
	}
}

func TestSpeedAndSlots(t *testing.T) {
	w := Work{Slowdown: Slowdown{At: time.Hour, Speed: 0.5}}
	assert.InDelta(t, 1, w.Speed(3599), 0)
	assert.InDelta(t, 0.5, w.Speed(3600), 0)
	assert.InDelta(t, 1, Work{}.Speed(1e9), 0)
	assert.Equal(t, 1, w.Slots())
	assert.True(t, Work{Distribution: Fixed, Concurrency: 1}.IsFlow())
	for _, other := range []Work{w, {Concurrency: 2}, {Distribution: Exponential}} {
		assert.False(t, other.IsFlow())
	}
}

func TestWorkIsValidated(t *testing.T) {
	for words, w := range map[string]Work{
		`serviceTime is "gamma": it must be fixed, exponential or lognormal`: {Distribution: "gamma"},
		"serviceTimeVariation is NaN":                                        {Variation: math.NaN()},
		"serviceTimeVariation is 21":                                         {Variation: 21},
		"concurrency is -1: it must be from 1 to 10000":                      {Concurrency: -1},
		"slowdown is to 0 at 1m0s: the speed must be more than 0":            {Slowdown: Slowdown{At: time.Minute}},
	} {
		assert.ErrorContains(t, w.Validate(), words)
	}
	assert.NoError(t, Work{}.Validate())
	assert.NoError(t, Work{Distribution: Lognormal, Variation: 4, Concurrency: 4, Slowdown: Slowdown{Speed: 0.5}}.Validate())
}

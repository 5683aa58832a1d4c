package trace

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// at is the messages expected in the second that begins at a time.
func at(t *testing.T, name string, times ...time.Duration) []float64 {
	t.Helper()
	builtIn, ok := Lookup(name)
	require.True(t, ok, name)
	expected := builtIn.Expected()
	var rates []float64
	for _, moment := range times {
		rates = append(rates, math.Round(expected[int(moment.Seconds())]))
	}
	return rates
}

func TestBuiltIns(t *testing.T) {
	const m = time.Minute
	assert.Equal(t, []float64{83, 83, 376, 669, 1169, 1667, 1667, 1667, 1250, 833, 458, 83, 83},
		at(t, "flash", 0, 599*time.Second, 10*m+150*time.Second, 15*m, 17*m+30*time.Second, 20*m, 44*m, 45*m, 67*m+30*time.Second, 90*m, 135*m, 180*m, 209*m))
	assert.Equal(t, []float64{20, 1200, 1200, 20, 20, 1200, 20, 1200, 1200, 20},
		at(t, "spike", 599*time.Second, 600*time.Second, 719*time.Second, 720*time.Second, 39*m, 40*m, 69*m, 70*m, 101*m, 102*m))
	assert.Equal(t, []float64{500, 500}, at(t, "steady", 0, 119*m))
	assert.Equal(t, []float64{0, 100_000, 0, 100_000, 0}, at(t, "batch", 0, 10*m, 11*m, 190*m, 239*m))
	assert.Equal(t, []float64{400, 0, 2000, 2000, 400}, at(t, "outage", 44*m, 45*m, 60*m, 63*m, 64*m))
	assert.Equal(t, []float64{120, 90, 900, 120}, at(t, "daily", 0, 30*m, 20*time.Hour, 24*time.Hour-time.Second))
	assert.Equal(t, []float64{50, 250, 450, 250, 50}, at(t, "diurnal", 0, 60*m, 120*m, 180*m, 240*m-time.Second))
	assert.Equal(t, []float64{50, 800, 50}, at(t, "step", 29*m, 30*m, 90*m))
	assert.Equal(t, []float64{50, 425, 800, 50, 800}, at(t, "sawtooth", 0, 10*m, 20*m-time.Second, 20*m, 120*m-time.Second))
	assert.Equal(t, []float64{400, 400}, at(t, "slowdown", 59*m, 60*m))
	assert.Equal(t, []float64{100, 600, 100}, at(t, "concurrent", 0, 30*m, 90*m))

	for _, builtIn := range BuiltIns() {
		require.NoError(t, builtIn.Validate(), builtIn.Name)
		require.NoError(t, builtIn.Spec.Validate(), builtIn.Name)
		require.NoError(t, builtIn.Work.Validate(), builtIn.Name)
		assert.EqualValues(t, builtIn.Work.Slots(), max(1, builtIn.Spec.WorkerConcurrency), "the policy is told the truth")
		found, ok := Lookup(builtIn.Name)
		assert.True(t, ok)
		assert.Equal(t, builtIn, found)
		assert.Equal(t, policy.Step{Value: 20, Percent: true}, builtIn.Spec.MaxScaleDownStep, "the product's default")
	}
	assert.Equal(t, []string{"flash", "spike", "steady", "daily", "batch", "outage",
		"diurnal", "noisy", "step", "sawtooth", "small", "jobs-10s", "jobs-2m", "heavy", "slowdown", "concurrent"}, Names())
	_, ok := Lookup("Flash")
	assert.False(t, ok)
}

// What a producer could not send while it was away comes later.
func TestAnOutageLosesNothing(t *testing.T) {
	builtIn, _ := Lookup("outage")
	assert.InDelta(t, 400*2*3600, builtIn.Messages(), 1)
}

func TestArrivalsArePoisson(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, mean := range []float64{0.1, 3, 9.9, 10, 83, 1667, 1e6} {
		const draws = 20_000
		var sum, squares float64
		for range draws {
			value := float64(poisson(random, mean))
			require.GreaterOrEqual(t, value, 0.0)
			sum += value
			squares += (value - mean) * (value - mean)
		}
		assert.InDelta(t, mean, sum/draws, 5*math.Sqrt(mean/draws), "mean of %v", mean)
		assert.InEpsilon(t, mean, squares/draws, 0.06+0.5/mean/10, "variance of %v", mean)
	}
	assert.Zero(t, poisson(random, 0))
}

func TestArrivals(t *testing.T) {
	builtIn, _ := Lookup("spike")
	first := builtIn.Arrivals(1)
	assert.Equal(t, first, builtIn.Arrivals(1), "the same seed, the same arrivals")
	assert.NotEqual(t, first, builtIn.Arrivals(2))
	assert.Len(t, first, 7200)

	var sum float64
	for _, count := range first {
		sum += float64(count)
	}
	assert.InDelta(t, builtIn.Messages(), sum, 5*math.Sqrt(builtIn.Messages()))
}

func TestBatchesAreExact(t *testing.T) {
	trace := Trace{Batches: []Batch{
		{At: 500 * time.Millisecond, Length: 250 * time.Millisecond, Messages: 7},
		{At: 2500 * time.Millisecond, Length: 3 * time.Second, Messages: 100_000},
	}}
	require.NoError(t, trace.Validate())
	arrivals := trace.Arrivals(1)
	require.Len(t, arrivals, 6)
	assert.EqualValues(t, 7, arrivals[0])
	assert.Zero(t, arrivals[1])
	var sum int64
	for _, count := range arrivals[2:] {
		sum += count
	}
	assert.EqualValues(t, 100_000, sum)
	for second, want := range map[int]float64{2: 16_667, 3: 33_333, 4: 33_333, 5: 16_667} {
		assert.InDelta(t, want, float64(arrivals[second]), 800, "second %d", second)
		assert.InDelta(t, want, trace.Expected()[second], 1)
	}
}

func TestRampsMayChangeWithinASecond(t *testing.T) {
	trace := Trace{Ramps: []Ramp{{Length: 500 * time.Millisecond, From: 10, To: 10}, {Length: time.Second, From: 20, To: 40}}}
	assert.InDeltaSlice(t, []float64{5 + 12.5, 17.5}, trace.Expected(), 1e-9)
	assert.InDelta(t, 35, trace.Messages(), 1e-9)
}

func TestATraceIsNeitherEmptyNorEndless(t *testing.T) {
	assert.ErrorContains(t, Trace{}.Validate(), "lasts 0s: it must last more than 0 and at most 744h0m0s")
	assert.ErrorContains(t, Trace{Ramps: []Ramp{{Length: 32 * 24 * time.Hour}}}.Validate(), "lasts 768h0m0s")
	assert.ErrorContains(t, Trace{Ramps: []Ramp{{Length: time.Hour, From: 1e6, To: 1e6}}}.Validate(), "has 3600000000 messages: at most 1000000000")
}

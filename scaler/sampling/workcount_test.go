package sampling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// atLeast is a depth whose Ready is a lower bound, as a stream's is while its entries are being counted.
func atLeast(depth queue.Depth) queue.Depth {
	depth.LowerBound = true
	return depth
}

// sticky is a window of five times what a message takes, one minute at least, which becomes shorter
// only once messages take less than a third of what it is for.
func sticky(least time.Duration) Window {
	return func(took, before time.Duration) time.Duration {
		if window := max(least, 5*took); window >= before || 3*window < before {
			return window
		}
		return before
	}
}

// A sample that is a lower bound tells no count. It must not end the one there is: neither how long messages
// take, nor the window that follows from it, is forgotten.
func TestALowerBoundDoesNotEndTheCount(t *testing.T) {
	for name, bound := range map[string]func(second int) bool{
		"none":               func(int) bool { return false },
		"one":                func(second int) bool { return second == 1500 },
		"the newest":         func(second int) bool { return second == 1799 },
		"some":               func(second int) bool { return second%7 < 3 },
		"every other":        func(second int) bool { return second%2 == 1 },
		"half of the window": func(second int) bool { return second >= 1500 },
	} {
		t.Run(name, func(t *testing.T) {
			m := meterOf(time.Minute)
			var got Work
			for i := range 1800 { // 120 are in work, and one is done every second: each takes 2 minutes
				depth := counting(int64(i), 120)
				if bound(i) {
					depth = atLeast(depth)
				}
				m.sampled(depth, second(float64(i)), longest)
				got = m.over(sticky(time.Minute), second(float64(i)), longest)
			}
			assert.InDelta(t, 120, got.Took.Seconds(), 12)
			assert.InDelta(t, 600, got.Window.Seconds(), 90)
			assert.Equal(t, got.Window, got.Seen, "a stream shows its work all the same")
		})
	}
}

// While nothing tells how long messages take, the window stays: one that became short would take workers from
// the long ones.
func TestAWindowStaysWhileNothingTellsOfMessages(t *testing.T) {
	m := meterOf(time.Minute)
	at := 0
	ask := func(depth queue.Depth) Work {
		m.sampled(depth, second(float64(at)), longest)
		got := m.over(sticky(time.Minute), second(float64(at)), longest)
		at++
		return got
	}
	var got Work
	for range 1800 {
		got = ask(counting(int64(at), 120))
	}
	long := got.Window
	require.InDelta(t, 600, long.Seconds(), 90)
	for range 3000 { // longer than the window
		got = ask(atLeast(counting(int64(at), 120)))
	}
	assert.Zero(t, got.Took, "it is not known any more")
	assert.Equal(t, long, got.Window)
	for range 1800 {
		got = ask(counting(int64(at), 120))
	}
	assert.InDelta(t, 120, got.Took.Seconds(), 12)
	assert.InDelta(t, long.Seconds(), got.Window.Seconds(), 10)
	for range 3000 { // nothing is in flight, which is known
		got = ask(counting(0, 0))
	}
	assert.Zero(t, got.Took)
	assert.Equal(t, time.Minute, got.Window)
}

// Messages that are worked on where they wait are not seen in flight, which is not that nothing is: the window of
// long ones stays, until one has gone in which nothing was.
func TestAWindowStaysWhileWorkIsInPlace(t *testing.T) {
	m := meterOf(time.Minute)
	at := 0
	ask := func(depth queue.Depth) Work {
		m.sampled(depth, second(float64(at)), longest)
		got := m.over(sticky(time.Minute), second(float64(at)), longest)
		at++
		return got
	}
	var got Work
	for range 1800 {
		got = ask(counting(int64(at), 120))
	}
	long := got.Window
	require.InDelta(t, 600, long.Seconds(), 90)
	for range 3000 { // longer than the window
		depth := counting(int64(at), 0)
		depth.WorkInPlace = true
		got = ask(depth)
	}
	assert.Equal(t, long, got.Window)
	for range int(long.Seconds()) - 1 {
		got = ask(counting(int64(at), 0))
	}
	assert.Equal(t, long, got.Window)
	for range 2 {
		got = ask(counting(int64(at), 0))
	}
	assert.Equal(t, time.Minute, got.Window)
}

// A gap that ends with a lower bound does not count what was finished in it.
func TestALowerBoundAfterAGap(t *testing.T) {
	m := meterOf(10 * time.Minute)
	for i := range 400 {
		depth := counting(2*int64(i), 20)
		switch {
		case i > 100 && i < 150: // nothing is read
			continue
		case i == 150, i == 151:
			depth = atLeast(depth)
		}
		m.sampled(depth, second(float64(i)), longest)
	}
	assert.InDelta(t, 10, m.over(fixed(10*time.Minute), second(399), longest).Took.Seconds(), 0.5)
}

// Two ScaledObjects that ask for one queue with different windows have windows of their own.
func TestTheWindowsOfTwoWhoAskAreApart(t *testing.T) {
	m := meterOf(time.Minute)
	var short, long Work
	for i := range 3000 { // each takes a minute
		m.sampled(counting(int64(i), 60), second(float64(i)), longest)
		short = m.over(sticky(time.Minute), second(float64(i)), longest)
		long = m.over(sticky(15*time.Minute), second(float64(i)), longest)
	}
	assert.InDelta(t, 300, short.Window.Seconds(), 60)
	assert.Equal(t, 15*time.Minute, long.Window)
	for i := range 3 * mostKept { // others come and go
		m.over(fixed(time.Duration(20+i)*time.Minute), second(2999), longest)
	}
	assert.Len(t, m.kept, mostKept)
	assert.Equal(t, 15*time.Minute, m.over(sticky(15*time.Minute), second(2999), longest).Window)
}

package sampling

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// longest is how long a sample stands for in these tests.
const longest = 3500 * time.Millisecond

var began = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func holding(inFlight int64) queue.Depth { return queue.Depth{Kind: queue.Stream, InFlight: inFlight} }

// second is that many seconds after began.
func second(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }

// fixed is a window of that length, however long messages take.
func fixed(window time.Duration) Window {
	return func(_, _ time.Duration) time.Duration { return window }
}

func meterOf(window time.Duration) *workMeter {
	m := &workMeter{}
	m.want(window, began)
	return m
}

func meanOf(samples []int64) float64 {
	var sum float64
	for _, sample := range samples {
		sum += float64(sample)
	}
	return sum / float64(len(samples))
}

// With a sample each second, the means are those of the samples, as scaler/policy wants them.
func TestWorkIsTheMeanOfASampleEachSecond(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, window := range []time.Duration{15 * time.Second, time.Minute, 2 * time.Minute} {
		m := meterOf(window)
		var samples []int64
		for i := range 400 {
			samples = append(samples, r.Int64N(20))
			now := second(float64(i))
			m.sampled(holding(samples[i]), now, longest)
			got := m.over(fixed(window), now, longest)
			require.True(t, got.Known)
			// The first one stands for no time: it is not in a mean that goes back to it.
			recent, all := samples[max(min(i, 1), len(samples)-15):], samples[max(min(i, 1), len(samples)-int(window.Seconds())):]
			require.InDelta(t, 1000*meanOf(recent), got.Recent, 1, "second %d", i)
			tolerance := 1.0
			if i > 64 { // points are apart by 2 s, between which it is taken as even
				tolerance = 1000 * 20 / window.Seconds()
			}
			require.InDelta(t, 1000*meanOf(all), got.Mean, tolerance, "%s, second %d", window, i)
			require.Equal(t, min(window, time.Duration(i)*time.Second), got.Seen)
			require.Equal(t, min(recentWork, time.Duration(i)*time.Second), got.RecentSeen)
		}
	}
}

// Samples that come at other times than each second count by the time that they stand for.
func TestWorkIsWeightedByTime(t *testing.T) {
	for name, test := range map[string]struct {
		every []float64 // seconds between samples, by turns
		held  []int64   // in flight, by the same turns
		want  float64
	}{
		"each second":                  {[]float64{1, 1}, []int64{4, 8}, 6},
		"four times a second":          {[]float64{0.25, 0.25, 0.25, 0.25}, []int64{2, 4, 6, 8}, 5},
		"slow ones count for more":     {[]float64{1, 3}, []int64{4, 8}, 7},
		"a burst of reads counts once": {[]float64{0.1, 0.1, 0.1, 0.1, 2.6}, []int64{9, 9, 9, 9, 3}, (4*0.1*9 + 2.6*3) / 3},
		"a tick that is longer":        {[]float64{3}, []int64{5}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			m := meterOf(time.Minute)
			at := 0.0
			for turn := 0; at < 300; turn++ {
				i := turn % len(test.every)
				at += test.every[i]
				m.sampled(holding(test.held[i]), second(at), longest)
			}
			got := m.over(fixed(time.Minute), second(at), longest)
			assert.InDelta(t, 1000*test.want, got.Mean, 1000*test.want*0.07)
			assert.InDelta(t, 1000*test.want, got.Recent, 1000*test.want*0.2)
			assert.Equal(t, time.Minute, got.Seen)
		})
	}
}

// A tick that is longer than 15 s makes the newest sample the mean of those.
func TestASampleOfMoreThanTheRecentTime(t *testing.T) {
	m := meterOf(2 * time.Minute)
	for i, held := range []int64{1, 2, 3, 9} {
		m.sampled(holding(held), second(20*float64(i)), 45*time.Second)
	}
	got := m.over(fixed(2*time.Minute), second(60), 45*time.Second)
	assert.EqualValues(t, 9000, got.Recent)
	assert.EqualValues(t, 4667, got.Mean, "of 2, 3 and 9")
	assert.Equal(t, time.Minute, got.Seen)
}

// What was not seen is no 0: it is left out of the means, and the window begins anew.
func TestAGapIsNotZeroAndEndsWhatWasSeen(t *testing.T) {
	const window = 2 * time.Minute
	for name, test := range map[string]struct {
		hole func(m *workMeter, at time.Time) // at the seconds 201 to 210; nil: nothing comes
	}{
		"a failed read":          {hole: func(m *workMeter, _ time.Time) { m.gap = true }},
		"nothing is read":        {},
		"nothing shows the work": {hole: func(m *workMeter, at time.Time) { m.sampled(queue.Depth{Kind: queue.None}, at, longest) }},
		"it may be more than known": {hole: func(m *workMeter, at time.Time) {
			m.sampled(queue.Depth{Kind: queue.List, Consumed: true, InFlight: 10, LowerBound: true}, at, longest)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := meterOf(window)
			for i := range 201 {
				m.sampled(holding(10), second(float64(i)), longest)
			}
			assert.Equal(t, window, m.over(fixed(window), second(200), longest).Seen)
			for i := 201; i <= 210; i++ {
				if test.hole != nil {
					test.hole(m, second(float64(i)))
				}
			}
			got := m.over(fixed(window), second(210), longest)
			assert.True(t, got.Known, "it was not long ago")
			assert.Zero(t, got.Seen)
			assert.EqualValues(t, 10000, got.Recent)
			assert.EqualValues(t, 10000, got.Mean)
			for i := 211; i <= 230; i++ {
				m.sampled(holding(10), second(float64(i)), longest)
			}
			got = m.over(fixed(window), second(230), longest)
			assert.EqualValues(t, 10000, got.Recent)
			assert.EqualValues(t, 10000, got.Mean, "a gap is left out")
			assert.InDelta(t, 19.5, got.Seen.Seconds(), 0.6)
			got = m.over(fixed(window), second(231+window.Seconds()), longest)
			assert.Equal(t, Work{Window: window}, got, "of the whole window nothing was seen: it is not known")
		})
	}
}

// A clock that is set back begins anew, and does not stop the meter for so long.
func TestWorkWhenTheClockIsSetBack(t *testing.T) {
	m := meterOf(time.Minute)
	for i := range 100 {
		m.sampled(holding(10), second(float64(i)), longest)
	}
	m.sampled(holding(4), second(-3600), longest)
	m.sampled(holding(4), second(-3599), longest)
	got := m.over(fixed(time.Minute), second(-3599), longest)
	assert.Equal(t, Work{Known: true, Recent: 4000, Mean: 4000, RecentSeen: time.Second, Seen: time.Second, Most: 4, Window: time.Minute}, got)
}

// Most and Waited are of all samples of the window, however close its points are.
func TestMostAndWaited(t *testing.T) {
	m := meterOf(time.Minute)
	add := func(at int, inFlight, ready int64) Work {
		m.sampled(queue.Depth{Kind: queue.Stream, InFlight: inFlight, Ready: ready}, second(float64(at)), longest)
		return m.over(fixed(time.Minute), second(float64(at)), longest)
	}
	var got Work
	for i := range 100 {
		got = add(i, 3, 1)
	}
	assert.EqualValues(t, 3, got.Most)
	assert.True(t, got.Waited)
	got = add(100, 7, 0)
	for i := 101; i < 159; i++ {
		assert.EqualValues(t, 7, got.Most, "second %d", i)
		assert.False(t, got.Waited)
		got = add(i, 2+int64(i%2), 1)
	}
	for i := 159; i < 170; i++ {
		got = add(i, 2+int64(i%2), 1)
	}
	assert.EqualValues(t, 3, got.Most)
	assert.True(t, got.Waited)
}

// However long the window, and whatever comes: the memory has a bound, and the means hold.
func TestWorkTakesLittleMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for window, most := range map[time.Duration]int{15 * time.Second: 40, 2 * time.Minute: 150, time.Hour: 450} {
		m := meterOf(window)
		var samples []int64
		for i := range 3 * 3600 {
			held := 50 + r.Int64N(100)
			if i/1000%2 == 1 {
				held = 5
			}
			samples = append(samples, held)
			m.sampled(holding(held), second(float64(i)+0.2*r.Float64()), longest)
			require.LessOrEqual(t, len(m.points), most, "%s", window)
			require.LessOrEqual(t, cap(m.points), 4*most)
			if n := int(window.Seconds()); i > n && i%97 == 0 {
				got := m.over(fixed(window), second(float64(i)+0.2), longest)
				require.InDelta(t, 1000*meanOf(samples[len(samples)-n:]), got.Mean, 9000, "%s, second %d", window, i)
				require.Equal(t, window, got.Seen)
			}
		}
	}
	idle := meterOf(time.Hour)
	for i := range 10_000 {
		idle.sampled(holding(0), second(float64(i)), longest)
	}
	assert.Len(t, idle.points, 2, "nothing changes")
	assert.Equal(t, Work{Known: true, RecentSeen: recentWork, Seen: time.Hour, Window: time.Hour}, idle.over(fixed(time.Hour), second(9999), longest))
}

// BenchmarkWork is a sample of a queue whose work in flight changes all the time, and the
// question for it.
func BenchmarkWork(b *testing.B) {
	for name, window := range map[string]time.Duration{"120s": 2 * time.Minute, "1h": time.Hour} {
		full := func() *workMeter {
			m := meterOf(window)
			for i := range 2 * 3600 {
				m.sampled(holding(int64(i%17)), second(float64(i)), longest)
			}
			return m
		}
		b.Run("sample/"+name, func(b *testing.B) {
			m := full()
			b.ReportAllocs()
			i := 2 * 3600
			for b.Loop() {
				m.sampled(holding(int64(i%17)), second(float64(i)), longest)
				i++
			}
			b.ReportMetric(float64(cap(m.points)*int(unsafe.Sizeof(workPoint{}))+int(unsafe.Sizeof(*m))), "B/queue")
		})
		b.Run("ask/"+name, func(b *testing.B) {
			m := full()
			b.ReportAllocs()
			for b.Loop() {
				m.over(fixed(window), second(2*3600), longest)
			}
		})
	}
}

// counting is a stream's depth where that many messages were ever finished.
func counting(finished, inFlight int64) queue.Depth {
	return queue.Depth{Kind: queue.Stream, InFlight: inFlight, Added: finished + inFlight}
}

// fiveTimes is a window of five times what a message takes, a minute at least and an hour at most.
func fiveTimes(took, _ time.Duration) time.Duration {
	return min(max(time.Minute, 5*took), time.Hour)
}

// How long a message is in flight is what was in flight ÷ what was finished, and the window
// follows.
func TestAWindowForMessagesThatTakeLong(t *testing.T) {
	m := meterOf(time.Minute)
	// Six are in work, and one is done every 20 s: each takes 2 minutes.
	var got Work
	for i := range 3000 {
		m.sampled(counting(int64(i)/20, 6), second(float64(i)), longest)
		got = m.over(fiveTimes, second(float64(i)), longest)
	}
	assert.InDelta(t, 120, got.Took.Seconds(), 12)
	assert.InDelta(t, 600, got.Window.Seconds(), 60)
	assert.Equal(t, got.Window, got.Seen, "it was remembered for so long")
	assert.EqualValues(t, 6000, got.Mean)
}

// Where messages no longer take long, the window is short again once the long ones are out of it.
func TestAWindowBecomesShortAgain(t *testing.T) {
	m := meterOf(time.Minute)
	var got Work
	at := 0
	for ; at < 7200; at++ { // each takes 12 minutes
		m.sampled(counting(int64(at)/120, 6), second(float64(at)), longest)
		got = m.over(fiveTimes, second(float64(at)), longest)
	}
	require.Equal(t, time.Hour, got.Window)
	done := int64(at) / 120
	for until := at + 3700; at < until; at++ { // and now a second
		done += 6
		m.sampled(counting(done, 6), second(float64(at)), longest)
		got = m.over(fiveTimes, second(float64(at)), longest)
	}
	assert.Equal(t, time.Minute, got.Window)
	for until := at + 600; at < until; at++ { // some of a minute each: the hour before counts no more
		done += int64(at%10) / 9
		m.sampled(counting(done, 6), second(float64(at)), longest)
		got = m.over(fiveTimes, second(float64(at)), longest)
	}
	assert.InDelta(t, 60, got.Took.Seconds(), 8)
}

// Before any message was finished, they take at least as long as was seen, so the window is never
// seen to its end.
func TestNoMessageWasFinishedYet(t *testing.T) {
	m := meterOf(time.Minute)
	for i := range 1000 {
		m.sampled(counting(7, 2), second(float64(i)), longest)
		got := m.over(fiveTimes, second(float64(i)), longest)
		require.Less(t, got.Seen, got.Window, "second %d", i)
	}
	assert.Equal(t, time.Hour, m.over(fiveTimes, second(999), longest).Window)
	idle := meterOf(time.Minute)
	for i := range 1000 {
		idle.sampled(counting(7, 0), second(float64(i)), longest)
	}
	got := idle.over(fiveTimes, second(999), longest)
	assert.Zero(t, got.Took, "nothing was in flight")
	assert.Equal(t, time.Minute, got.Window)
	assert.Equal(t, time.Minute, got.Seen)
}

func TestHowLongMessagesTakeIsKnownOnlyByACount(t *testing.T) {
	for name, test := range map[string]struct {
		depth func(i int64) queue.Depth
		want  float64 // seconds; 0: not known
	}{
		"counted":               {func(i int64) queue.Depth { return counting(2*i, 20) }, 10},
		"nothing counts":        {func(int64) queue.Depth { return queue.Depth{Kind: queue.List, Added: -1, InFlight: 20} }, 0},
		"a count that can't be": {func(int64) queue.Depth { return queue.Depth{Kind: queue.Stream, Added: 5, InFlight: 20} }, 0},
		"a lower bound":         {func(i int64) queue.Depth { d := counting(2*i, 20); d.LowerBound = true; return d }, 0},
		"work in place":         {func(i int64) queue.Depth { d := counting(2*i, 20); d.WorkInPlace = true; return d }, 0},
		"work in place until 100 s ago": {func(i int64) queue.Depth {
			d := counting(2*i, 20)
			if d.WorkInPlace = i < 200; d.WorkInPlace {
				d.InFlight = 0
			}
			return d
		}, 10},
		"made anew":     {func(i int64) queue.Depth { return counting(2*(i%200), 20) }, 10},
		"back by a few": {func(i int64) queue.Depth { return counting(2*i-i%2, 20) }, 10},
		"counted since 100 s ago": {func(i int64) queue.Depth {
			d := counting(2*i, 20)
			d.Added -= 1 << 40 * max(0, min(1, 200-i))
			return d
		}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			m := meterOf(2 * time.Minute)
			for i := range int64(300) {
				m.sampled(test.depth(i), second(float64(i)), longest)
			}
			assert.InDelta(t, test.want, m.over(fixed(2*time.Minute), second(299), longest).Took.Seconds(), 0.5)
		})
	}
}

// What was finished while nothing was read is not counted, as the time is not.
func TestAGapIsLeftOutOfHowLongMessagesTake(t *testing.T) {
	m := meterOf(10 * time.Minute)
	for i := range 200 {
		if i < 100 || i > 150 {
			m.sampled(counting(2*int64(i), 20), second(float64(i)), longest)
		}
	}
	assert.InDelta(t, 10, m.over(fixed(10*time.Minute), second(199), longest).Took.Seconds(), 0.5)
}

// A message that was taken a second ago is in flight for a second, however long nothing was before it.
func TestTheFirstMessageAfterALongTimeTakesNoLongTime(t *testing.T) {
	m := meterOf(time.Minute)
	for i := range 600 {
		m.sampled(counting(7, 0), second(float64(i)), longest)
	}
	for i := 600; i < 605; i++ {
		m.sampled(counting(7, 2), second(float64(i)), longest)
		got := m.over(fiveTimes, second(float64(i)), longest)
		require.InDelta(t, float64(i-599), got.Took.Seconds(), 1, "second %d", i)
		require.Equal(t, time.Minute, got.Window)
	}
}

// A window that becomes longer is seen from when on it was remembered, which was for the shorter one.
func TestALongerWindowWasNotSeenBefore(t *testing.T) {
	m := meterOf(time.Minute)
	for i := range 600 {
		m.sampled(counting(int64(i), 1), second(float64(i)), longest)
	}
	require.Equal(t, time.Minute, m.over(fixed(time.Minute), second(599), longest).Seen)
	got := m.over(fixed(10*time.Minute), second(599), longest)
	assert.InDelta(t, 60, got.Seen.Seconds(), 20)
	for i := 600; i < 1300; i++ {
		m.sampled(counting(int64(i), 1), second(float64(i)), longest)
	}
	assert.Equal(t, 10*time.Minute, m.over(fixed(10*time.Minute), second(1299), longest).Seen)
}

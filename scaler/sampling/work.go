package sampling

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	// recentWork is the time of Work.Recent: one HPA sync, as policy.RecentWindow.
	recentWork = 15 * time.Second
	// workStep is the least time between two points of a workMeter.
	workStep = time.Second
	// workThinning is how exact a workMeter remembers: two points are apart by at most a part of
	// their age, or by workStep. So the last 32 s are known to the second, and a window's length
	// to 1/32 at worst, between whose points it is taken as even.
	workThinning = 32
)

// Work is what was in flight of a queue over time. The means are of all samples, each of which
// stands for the time since the one before.
type Work struct {
	// Known is false if no sample of the window shows what is in flight. The rest is then 0.
	Known bool
	// Recent is the mean over the last 15 s, and Mean the mean over the window, or over what was
	// seen of them, in thousandths of messages.
	Recent, Mean int64
	// RecentSeen is how much of the 15 s was seen, gaps left out.
	RecentSeen time.Duration
	// Seen is how long it was seen without a gap, at most the window. A failed read is a gap, and
	// so is a sample that is a lower bound or does not show what is in flight. Of a window that has
	// become longer, what is no longer remembered was not seen.
	Seen time.Duration
	// Most is the most that was in flight in any sample of the window.
	Most int64
	// Waited tells that messages waited in each sample of the window.
	Waited bool
	// Window is the window: what the Window that was asked with says of Took.
	Window time.Duration
	// Took is how long a message was in flight on average, over the window: what was in flight ×
	// time ÷ the messages that were finished. While none was, it is how long those that are in flight
	// have been. It is 0 where nothing was in flight, or nothing counts messages.
	Took time.Duration
}

// Window is how far back the work in flight counts, by how long a message is in flight on
// average; 0: that is not known. It must not be shorter for longer ones.
type Window func(took time.Duration) time.Duration

// workMeter remembers what was in flight of a queue for as long as the longest window that is
// asked for. It is guarded by the sampler's mutex.
type workMeter struct {
	horizon time.Duration // the longest window that was asked for
	asked   time.Time     // when any was
	window  time.Duration // that of the last answer

	start  time.Time // of the first sample; the rest is relative to it
	points []workPoint
	head   workPoint     // as of the newest sample
	last   time.Duration // when the newest sample that shows work was read
	value  int64         // that it has in flight
	since  time.Duration // since when there was no gap
	gap    bool          // the newest read shows no work

	counted     bool          // the newest sample tells how many messages were ever finished
	finished    int64         // that count
	countedFrom time.Duration // since when there was one in each sample
	even        bool          // between the last two points, value was the same all the time
	full        int           // points, from which on it is worth looking which are not needed
}

// workPoint is a time, and the sums up to it. most and waited are of the samples since the point
// before.
type workPoint struct {
	at      time.Duration
	covered time.Duration // of it, what was seen
	area    float64       // in flight × time, in message seconds
	done    int64         // messages that were finished
	most    int64
	waited  bool
}

// want notes that somebody wants to know of so long a window.
func (m *workMeter) want(window time.Duration, now time.Time) {
	m.horizon = max(m.horizon, window, recentWork)
	m.asked = now
}

// sampled takes a depth. After more than longest without one, there was a gap.
func (m *workMeter) sampled(depth queue.Depth, at time.Time, longest time.Duration) {
	if !depth.ShowsWork() {
		m.gap = true
		return
	}
	waits := depth.Ready > 0
	now := at.Sub(m.start)
	switch {
	case len(m.points) == 0, m.last-now > longest: // the first one, or the clock was set back
		horizon, asked, window := m.horizon, m.asked, m.window
		*m = workMeter{horizon: horizon, asked: asked, window: window, start: at, value: depth.InFlight}
		m.head = workPoint{most: depth.InFlight, waited: waits}
		m.points = append(m.points, m.head)
		m.count(depth)
		return
	case now <= m.last: // another lane has read it in the same instant
		return
	}
	m.head.at = now
	if m.gap || now-m.last > longest {
		m.head.most, m.head.waited = depth.InFlight, waits
		m.count(depth)
		m.push(false)
		m.since = now
	} else {
		m.head.done += m.count(depth)
		m.grow(depth.InFlight, waits, now-m.last)
		if depth.WorkAtLeast() {
			m.since = now
		}
	}
	m.gap, m.last, m.value = false, now, depth.InFlight
}

// count takes how many messages were ever finished, and returns how many more that are than in the
// sample before.
func (m *workMeter) count(depth queue.Depth) (more int64) {
	finished := depth.Added - depth.Total()
	if depth.Added < 0 || finished < 0 || depth.LowerBound || depth.WorkAtLeast() { // of the last, what was finished was not in flight
		m.counted = false
		return 0
	}
	back := m.finished - finished
	if !m.counted || back > 0 && (finished == 0 || back > max(countJitter, m.finished/100)) { // it was made anew
		m.counted, m.finished, m.countedFrom = true, finished, m.head.at
		return 0
	}
	if back > 0 {
		return 0
	}
	m.finished = finished
	return -back
}

// took is Work.Took over so long a window.
func (m *workMeter) took(window time.Duration, now time.Duration) time.Duration {
	if !m.counted {
		return 0
	}
	from := max(now-window, m.countedFrom)
	before := m.until(from)
	area := m.head.area - before.area
	if area <= 0 {
		return 0
	}
	if done := m.head.done - before.done; done > 0 {
		return seconds(area / float64(done))
	}
	// All that were in flight are so yet, if none was given back: the most at once are all of them.
	most, _ := m.samples(from)
	return min(seconds(area/float64(max(1, most))), (m.head.covered - before.covered).Round(time.Millisecond))
}

// seconds is a time to the millisecond, so that those who pass it on lose nothing of it.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, math.MaxInt32) * float64(time.Second)).Round(time.Millisecond)
}

// grow adds a sample that stands for the time since the one before.
func (m *workMeter) grow(inFlight int64, waits bool, elapsed time.Duration) {
	newest := m.points[len(m.points)-1]
	even := newest.at == m.last // there is a point at the sample before
	m.head.covered += elapsed
	m.head.area += float64(inFlight) * elapsed.Seconds()
	if even {
		m.head.most, m.head.waited = inFlight, waits
	} else {
		m.head.most, m.head.waited = max(m.head.most, inFlight), m.head.waited && waits
	}
	if m.head.at-newest.at < workStep/2 { // somebody awaits the first message: four samples a second
		return
	}
	if n := len(m.points); even && m.even && n > 1 && newest.most == inFlight && newest.waited == waits &&
		m.head.done == newest.done && newest.done == m.points[n-2].done {
		m.points[n-1] = m.head // as before: queues that stay empty need no more than two points
		return
	}
	m.push(even)
}

// push adds a point.
func (m *workMeter) push(even bool) {
	m.even = even
	m.points = append(m.points, m.head)
	if len(m.points) >= m.full {
		m.thin()
		m.full = len(m.points) + len(m.points)/4 + 8
	}
}

// thin forgets what is older than the horizon, and of points that are close together for their age all but one.
func (m *workMeter) thin() {
	now, kept := m.head.at, 0
	for i, point := range m.points {
		if i < len(m.points)-1 && kept == 0 && now-m.points[i+1].at >= m.horizon {
			continue
		}
		if i < len(m.points)-2 && kept > 0 {
			next := &m.points[i+1]
			if next.at-m.points[kept-1].at <= max(workStep/2, (now-next.at)/workThinning) {
				next.most, next.waited = max(next.most, point.most), next.waited && point.waited
				continue
			}
		}
		m.points[kept] = point
		kept++
	}
	m.points = m.points[:kept]
	if cap(m.points) > 4*kept+8 {
		m.points = slices.Clip(slices.Clone(m.points))
	}
}

// over is the work of the window until now. After more than longest without a sample, what comes
// last is a gap. How long messages take is measured over the window of the last answer, so that one
// that became longer does not become shorter again for want of those that it was made longer for,
// and does once they are no more.
func (m *workMeter) over(of Window, at time.Time, longest time.Duration) Work {
	now := at.Sub(m.start)
	m.want(of(0), at)
	if len(m.points) == 0 || now-m.last > m.horizon {
		return Work{Window: of(0)}
	}
	work := Work{Known: true, Took: m.took(max(of(0), m.window), now)}
	window := of(work.Took)
	work.Window, m.window = window, window
	m.want(window, at)
	if now-m.last > window {
		return Work{Window: window}
	}
	work.Mean, _ = m.mean(now - window)
	work.Recent, work.RecentSeen = m.mean(now - recentWork)
	if !m.gap && now-m.last <= longest {
		work.Seen = min(m.last-max(m.since, m.points[0].at), window)
	}
	work.Most, work.Waited = m.samples(now - window)
	return work
}

// samples is the most that was in flight in any sample since from, and whether messages waited in each.
func (m *workMeter) samples(from time.Duration) (most int64, waited bool) {
	most, waited = m.head.most, m.head.waited
	for i := len(m.points) - 1; i >= 0 && m.points[i].at > from; i-- {
		most, waited = max(most, m.points[i].most), waited && m.points[i].waited
	}
	return most, waited
}

// mean is that of the time since from, in thousandths, and how much of it was seen. Where nothing was, the newest
// sample counts.
func (m *workMeter) mean(from time.Duration) (thousandths int64, seen time.Duration) {
	before := m.until(from)
	seen = m.head.covered - before.covered
	if seen <= 0 {
		return asThousandths(float64(m.value)), 0
	}
	return asThousandths((m.head.area - before.area) / seen.Seconds()), seen
}

// until is the sums up to a time. Between two points, what was in flight is taken as even.
func (m *workMeter) until(at time.Duration) workPoint {
	after := sort.Search(len(m.points), func(i int) bool { return m.points[i].at > at })
	if after == 0 {
		return m.points[0]
	}
	before, next := m.points[after-1], m.head
	if after < len(m.points) {
		next = m.points[after]
	}
	if next.at <= before.at {
		return before
	}
	part := min(1, float64(at-before.at)/float64(next.at-before.at))
	return workPoint{
		covered: before.covered + time.Duration(part*float64(next.covered-before.covered)),
		area:    before.area + part*(next.area-before.area),
		done:    before.done + int64(part*float64(next.done-before.done)),
	}
}

// asThousandths is a mean in thousandths, which an int64 holds whatever a server claims.
func asThousandths(mean float64) int64 { return int64(math.Round(1000 * min(mean, 1e15))) }

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
	// have been. It is 0 where nothing was in flight, or nothing counts messages. A depth that is a
	// lower bound tells no count: the next one that is exact does.
	Took time.Duration
}

// Window is how far back the work in flight counts, by how long a message is in flight on average, and
// by what the window was before; both are 0 where there is no such thing. It must not be shorter for longer
// ones. Of the shortest one, Window(0, 0), there are no two with different answers.
type Window func(took, before time.Duration) time.Duration

// workMeter remembers what was in flight of a queue for as long as the longest window that is
// asked for. It is guarded by the sampler's mutex.
type workMeter struct {
	horizon time.Duration // the longest window that was asked for
	asked   time.Time     // when any was
	kept    []keptWindow  // of the last answers

	start  time.Time // of the first sample; the rest is relative to it
	points []workPoint
	head   workPoint     // as of the newest sample
	last   time.Duration // when the newest sample that shows work was read
	value  int64         // that it has in flight
	since  time.Duration // since when there was no gap
	gap    bool          // the newest read shows no work
	partly time.Duration // when a sample was last that may have had too little in flight; 0: none was

	counted     bool          // it is known how many messages were ever finished
	finished    int64         // that count, as of countedTo
	countedFrom time.Duration // since when it was known
	countedTo   workPoint     // as of the newest sample that tells it
	even        bool          // between the last two points, value was the same all the time
	full        int           // points, from which on it is worth looking which are not needed
}

// keptWindow is the window of the last answer to those whose shortest one that is.
type keptWindow struct{ least, window time.Duration }

// mostKept is how many are kept. Others than a few would be of ScaledObjects that ask for the same queue
// with as many windows.
const mostKept = 8

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

// before is the window of the last answer to those whose shortest one that is; 0 if there was none.
func (m *workMeter) before(least time.Duration) time.Duration {
	for _, k := range m.kept {
		if k.least == least {
			return k.window
		}
	}
	return 0
}

// keep remembers the window of an answer.
func (m *workMeter) keep(least, window time.Duration) {
	m.kept = slices.DeleteFunc(m.kept, func(k keptWindow) bool { return k.least == least })
	if len(m.kept) == mostKept {
		m.kept = slices.Delete(m.kept, 0, 1)
	}
	m.kept = append(m.kept, keptWindow{least, window})
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
		*m = workMeter{horizon: m.horizon, asked: m.asked, kept: m.kept, start: at, value: depth.InFlight}
		m.head = workPoint{most: depth.InFlight, waited: waits}
		m.points = append(m.points, m.head)
		m.resume(depth)
		return
	case now <= m.last: // another lane has read it in the same instant
		return
	}
	m.head.at = now
	if m.gap || now-m.last > longest {
		m.head.most, m.head.waited = depth.InFlight, waits
		m.resume(depth)
		m.push(false)
		m.since = now
	} else {
		exact := m.count(depth)
		m.grow(depth.InFlight, waits, now-m.last)
		if exact {
			m.countedTo = m.head
		}
		if depth.WorkAtLeast() {
			m.since = now
		}
	}
	if depth.WorkAtLeast() {
		m.partly = now
	}
	m.gap, m.last, m.value = false, now, depth.InFlight
}

// finishedOf is how many messages were ever finished; false if the sample does not tell.
func finishedOf(depth queue.Depth) (finished int64, exact bool) {
	finished = depth.Added - depth.Total()
	return finished, depth.Added >= 0 && finished >= 0 && !depth.LowerBound && !depth.WorkInPlace
}

// resume begins the count with the first sample, or with one after a gap: what was finished meanwhile does not
// count, as the time does not.
func (m *workMeter) resume(depth queue.Depth) {
	finished, exact := finishedOf(depth)
	switch {
	case !exact:
		m.counted = false
	case m.counted && !m.anew(finished):
		m.finished, m.countedTo = max(m.finished, finished), m.head
	default:
		m.beginCount(finished)
	}
}

// anew reports whether a count is not that of before, gone on.
func (m *workMeter) anew(finished int64) bool {
	back := m.finished - finished
	return back > 0 && (finished == 0 || back > max(countJitter, m.finished/100))
}

func (m *workMeter) beginCount(finished int64) {
	m.counted, m.finished, m.countedFrom, m.countedTo = true, finished, m.head.at, m.head
}

// count adds what was finished since the last sample that told it, and reports whether this one does. One that is
// a lower bound does not, and ends nothing: what is finished until the next exact one is added then, as what is
// in flight is meanwhile.
func (m *workMeter) count(depth queue.Depth) (exact bool) {
	finished, exact := finishedOf(depth)
	switch {
	case exact && (!m.counted || m.anew(finished)):
		m.beginCount(finished)
	case exact:
		m.head.done += max(0, finished-m.finished)
		m.finished = max(m.finished, finished)
	case depth.WorkInPlace || !depth.LowerBound:
		m.counted = false // what is finished was not in flight, or nothing counts any more
	}
	return exact
}

// took is Work.Took over so long a window. It is not known if nothing counts messages, unless nothing was in flight
// in any sample, and none may have had too little.
func (m *workMeter) took(window, now time.Duration) (took time.Duration, known bool) {
	before := m.until(now - window)
	if m.head.area <= before.area {
		return 0, m.head.covered > before.covered && (m.partly == 0 || m.partly <= now-window)
	}
	from := max(now-window, m.countedFrom)
	if !m.counted || m.countedTo.at <= from {
		return 0, false
	}
	before = m.until(from)
	area := m.countedTo.area - before.area
	if area <= 0 {
		return 0, false
	}
	if done := m.countedTo.done - before.done; done > 0 {
		return seconds(area / float64(done)), true
	}
	// All that were in flight are so yet, if none was given back: the most at once are all of them.
	most, _ := m.samples(from)
	return min(seconds(area/float64(max(1, most))), (m.countedTo.covered - before.covered).Round(time.Millisecond)), true
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
// and does once they are no more. While it is not known, the window stays as it was.
func (m *workMeter) over(of Window, at time.Time, longest time.Duration) Work {
	now, least := at.Sub(m.start), of(0, 0)
	m.want(least, at)
	before := m.before(least)
	window := max(before, least)
	if len(m.points) == 0 || now-m.last > m.horizon {
		return Work{Window: window}
	}
	took, known := m.took(window, now)
	if known {
		window = of(took, before)
	}
	work := Work{Known: true, Took: took, Window: window}
	m.keep(least, window)
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

package record

import (
	"math"
	"slices"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Position is how much of one channel a page has been told. Its zero value is nothing.
type Position struct {
	version, points, marks, older int
	uid                           string
}

// Detail is one channel with its past.
type Detail struct {
	// Channel is what the cluster last said of it. Nobody may change it.
	Channel *v1.PubSubChannel
	Row     protocol.Row
	// Full is whether Points and Marks are all, because the page knows none or the older ones came.
	Full   bool
	Points []protocol.Point
	Marks  []protocol.Mark
	// Unheard is since when nothing was heard of the channel; zero: it is heard.
	Unheard time.Time
}

// Channel is what of one channel a page has not been told, and counts it as told; found is false
// if there is no such channel.
func (f *Fleet) Channel(key string, p *Position) (d Detail, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.channels[key]
	if e == nil {
		return Detail{}, false
	}
	d = Detail{Channel: e.channel, Row: e.row}
	if e.unheard() {
		d.Unheard = e.points.items[len(e.points.items)-1].message().Time
	}
	if p.uid != string(e.channel.UID) || p.older != len(e.older) || p.version == 0 {
		*p, d.Full = Position{}, true
		d.Points = messages(e.older)
	}
	d.Points = append(d.Points, messages(e.points.since(p.points))...)
	d.Marks = slices.Clone(e.marks.since(p.marks))
	*p = Position{version: 1, points: e.points.next(), marks: e.marks.next(), older: len(e.older), uid: string(e.channel.UID)}
	return d, true
}

// Past is all points of a channel, the oldest first; found is false if there is no such channel.
// The first older ones are of a Prometheus.
func (f *Fleet) Past(key string) (d Detail, older int, found bool) {
	position := &Position{}
	d, found = f.Channel(key, position)
	return d, position.older, found
}

// Prepend takes points of a channel from before the dashboard began, the oldest first. A Prometheus
// knows a channel by its name alone, so those from before the channel was made are of another one of
// that name, and are left out; so are those that are not older than its own. If the channel is gone
// or was made anew meanwhile, none is taken.
func (f *Fleet) Prepend(channel *v1.PubSubChannel, older []protocol.Point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.same(channel)
	if e == nil {
		return
	}
	made := channel.CreationTimestamp.UnixMilli()
	if channel.CreationTimestamp.IsZero() {
		made = math.MinInt64
	}
	e.older, e.prepended = nil, true
	for _, p := range older {
		if c := compact(p); c.at >= made && (len(e.points.items) == 0 || c.at < e.points.items[0].at) {
			e.older = append(e.older, c)
		}
	}
	if excess := len(e.older) - f.mostPoints(); excess > 0 {
		e.older = slices.Clone(e.older[excess:])
	}
	f.change()
}

// together is how far apart two samples of what goes on changing are at most. The controller asks the scaler every 15 s, give or
// take a fifth (translator/observer.go), and waits up to 3 s for the answer. If a status is written later than that after
// the one before, in between an answer told nothing new: what the one before says held until then.
const together = 21 * time.Second

// addPoint keeps at most most. The last of the older points ends where points were dropped: it would hold until those that are left.
func (e *entry) addPoint(p point, most int) {
	began, first := p.at, e.points.first
	if newest := len(e.points.items) - 1; newest >= 0 {
		began = e.points.items[0].at
		p.at = max(p.at, e.points.items[newest].at+1) // who has the one before takes only what is newer
		p.held = p.at-e.points.items[newest].at > together.Milliseconds()
	}
	e.points.add(p, most)
	last := len(e.older) - 1
	if e.points.first == first || last < 0 || e.older[last].isGap() {
		return
	}
	e.older = append(e.older, gap(began))
}

// Prepended is whether Prepend took the older points of a channel, also if there are none.
func (f *Fleet) Prepended(channel *v1.PubSubChannel) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.same(channel)
	return e != nil && e.prepended
}

// same is what is known of a channel, and not of another one of its name. The lock is held.
func (f *Fleet) same(channel *v1.PubSubChannel) *entry {
	e := f.channels[channel.Namespace+"/"+channel.Name]
	if e == nil || e.channel.UID != channel.UID {
		return nil
	}
	return e
}

package record

import (
	"slices"

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

// Prepend takes points from before the dashboard began, the oldest first. Those that are not
// older than its own are left out.
func (f *Fleet) Prepend(key string, older []protocol.Point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.channels[key]
	if e == nil {
		return
	}
	e.older = nil
	for _, p := range older[max(0, len(older)-mostPoints):] {
		if c := compact(p); len(e.points.items) == 0 || c.at < e.points.items[0].at {
			e.older = append(e.older, c)
		}
	}
	f.change()
}

package record

import (
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Miss takes that since a time nothing was heard of the channels of a namespace, or of all where it is empty. What they were
// holds until then. From then on nothing is known of each, until it is seen, or Hear.
func (f *Fleet) Miss(namespace string, since time.Time) {
	from := gap(stamp(since).UnixMilli())
	f.each(namespace, func(e *entry) (changed bool) {
		if e.unheard() {
			return false
		}
		e.addPoint(from, f.mostPoints())
		return true
	})
}

// Hear takes that the channels of a namespace, or all where it is empty, are heard again. Those that were not seen since Miss are,
// from now on, as they were seen last; whether they were so all the time, nobody knows.
func (f *Fleet) Hear(namespace string, at time.Time) {
	at = stamp(at)
	f.each(namespace, func(e *entry) (changed bool) {
		if !e.unheard() {
			return false
		}
		e.addPoint(pointOf(&e.row, e.channel.Status.Decision, at), f.mostPoints())
		return true
	})
}

// each changes the channels of a namespace, and wakes those who wait once for all.
func (f *Fleet) each(namespace string, change func(*entry) (changed bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed []*entry
	for _, e := range f.channels {
		if (namespace == "" || e.channel.Namespace == namespace) && change(e) {
			changed = append(changed, e)
		}
	}
	if len(changed) == 0 {
		return
	}
	version := f.change()
	for _, e := range changed {
		e.version = version
	}
}

// unheard is whether nothing is heard of it.
func (e *entry) unheard() bool {
	last := len(e.points.items) - 1
	return last >= 0 && e.points.items[last].isGap()
}

// undated is a mark of what happened in a gap: at its time it was found. When a cooldown that it began is over is not known.
func undated(mark protocol.Mark) protocol.Mark {
	mark.Words += "; it happened before, while nothing was heard of the channel"
	mark.Until = nil
	return mark
}

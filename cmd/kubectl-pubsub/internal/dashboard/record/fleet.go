// Package record has what the dashboard knows of the channels and what happened to them since it
// began. It is pure: others tell it what the cluster says, and when.
//
// Each page has a Cursor and takes what changed since. So a slow page holds up nobody: it takes
// the newest state of each channel when it can, and what was in between is skipped.
package record

import (
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/trouble"
)

// Fleet is all channels. It may be used by several goroutines at once. Its zero value is of no
// use: see New.
type Fleet struct {
	mu       sync.Mutex
	version  uint64 // counts the changes
	channels map[string]*entry
	gone     []tombstone
	forgot   uint64 // the newest version of the tombstones that were dropped

	namespaces        []protocol.Namespace
	namespacesVersion uint64
	told              bool // of a channel, or of what may be read; until then nothing is known
	connection        protocol.Connection
	connectionVersion uint64

	changed chan struct{} // closed at the next change
}

// entry is one channel.
type entry struct {
	channel *v1.PubSubChannel // nobody changes it
	row     protocol.Row
	rank    trouble.Rank
	version uint64 // of the last change
	body    []byte // the row as JSON; nil: not made yet
	points  series[point]
	marks   series[protocol.Mark]
	// older are from before the dashboard, from a Prometheus; prepended is whether it was asked.
	older     []point
	prepended bool
}

type tombstone struct {
	key     string
	version uint64
}

// mostTombstones is how many channels that are gone are remembered, for pages that did not hear
// of them yet. A page that missed more gets all rows anew.
const mostTombstones = 1_000

// New is a fleet of which nothing is known. Its connection counts as up until told otherwise.
func New(now time.Time) *Fleet {
	return &Fleet{
		version: 1, channels: map[string]*entry{}, changed: make(chan struct{}),
		connection: protocol.Connection{Up: true, Since: stamp(now)},
	}
}

// stamp is a time as messages have it.
func stamp(at time.Time) time.Time { return at.UTC().Truncate(time.Millisecond) }

// change counts one, and wakes those who wait. The lock is held.
func (f *Fleet) change() uint64 {
	f.version++
	close(f.changed)
	f.changed = make(chan struct{})
	return f.version
}

// Changed is closed once anything is not as it was at the call.
func (f *Fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// See takes what the cluster says of a channel, which nobody may change from then on.
func (f *Fleet) See(channel *v1.PubSubChannel, at time.Time) {
	at = stamp(at)
	row, rank := rowOf(channel)
	now := pointOf(&row, channel.Status.Decision, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = true
	e := f.channels[row.Key]
	if e != nil && e.channel.UID != channel.UID { // made anew while nobody looked: its past is another's
		f.forget(row.Key)
		e = nil
	}
	if e == nil {
		e = &entry{channel: channel, row: row}
		f.channels[row.Key] = e
	}
	for _, mark := range marksOf(e.channel, channel, &e.row, &row, at) {
		if e.unheard() {
			mark = undated(mark)
		}
		e.marks.add(mark, f.share(mostMarks, fewestMarks, mostMarksOfAll))
	}
	if last := len(e.points.items) - 1; last < 0 || !e.points.items[last].same(now) {
		e.addPoint(now, f.mostPoints())
	}
	e.channel, e.row, e.rank, e.body = channel, row, rank, nil
	e.version = f.change()
}

// share is how many of something each channel may have, if all may have ofAll together.
func (f *Fleet) share(most, fewest, ofAll int) int {
	return min(most, max(fewest, ofAll/max(1, len(f.channels))))
}

func (f *Fleet) mostPoints() int { return f.share(mostPoints, fewestPoints, mostPointsOfAll) }

// Forget takes that a channel was deleted.
func (f *Fleet) Forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(key)
}

func (f *Fleet) forget(key string) {
	if f.channels[key] == nil {
		return
	}
	delete(f.channels, key)
	f.gone = append(f.gone, tombstone{key, f.change()})
	if excess := len(f.gone) - mostTombstones; excess > 0 {
		f.forgot = f.gone[excess-1].version
		f.gone = slices.Clone(f.gone[excess:])
	}
}

// Keys are the channels of a namespace, or of all where it is empty.
func (f *Fleet) Keys(namespace string) (keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.channels {
		if namespace == "" || strings.HasPrefix(key, namespace+"/") {
			keys = append(keys, key)
		}
	}
	return keys
}

// Permit takes which namespaces may be read. Pages are told of no channel before it, or before the
// first channel: that there is none would be a claim.
func (f *Fleet) Permit(namespaces []protocol.Namespace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = true
	if slices.Equal(f.namespaces, namespaces) {
		return
	}
	f.namespaces = slices.Clone(namespaces)
	f.namespacesVersion = f.change()
}

// Namespaces are those that Permit took.
func (f *Fleet) Namespaces() []protocol.Namespace {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.namespaces)
}

// Connect takes whether the API server answers, and if not, why.
func (f *Fleet) Connect(up bool, problem string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.connection.Up == up && f.connection.Problem == problem {
		return
	}
	if f.connection.Up != up {
		f.connection.Since = stamp(at)
	}
	f.connection.Up, f.connection.Problem = up, problem
	f.connectionVersion = f.change()
}

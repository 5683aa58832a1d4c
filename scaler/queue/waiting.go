package queue

import (
	"slices"
	"time"
)

// Each entry that is counted crosses the network with its payload, because XRANGE has no way
// to leave it out. So entries are counted in pages, only as many as are needed, and at a pace.
const (
	// lookRate is how many bytes of one stream's entries are read in a second, on average;
	// lookBurst how many at once. Entries differ in size: a page may go beyond, and the next
	// then waits so much longer.
	lookRate  = 64 << 10
	lookBurst = 64 << 10
	// firstPage is how many entries the first page has. Each later one has at most four times
	// as many as the one before it, up to greatestPage: the sizes are not known beforehand.
	firstPage    = 16
	greatestPage = 256
	// estimateEnough is how many of the waiting entries are counted where the server gives an
	// estimate: whether it is by far too high, because almost all that it counts was deleted.
	// (Where it tells nothing, all are.)
	estimateEnough = firstPage
	// idsKept is how many ids of a stream's entries are kept, in 64 KiB.
	idsKept = 4096
)

// allowance is how many bytes may be read now. It comes back at lookRate.
type allowance struct {
	bytes int
	at    time.Time // zero: nothing was read so far
}

// of is the bytes that may be read at that time; none where it is not positive.
func (a *allowance) of(now time.Time) int {
	elapsed := now.Sub(a.at)
	switch {
	case a.at.IsZero():
		a.bytes = lookBurst
	case elapsed > 0:
		// A debt is that of a few pages, and paid off within hours at the most.
		a.bytes = int(min(lookBurst, float64(a.bytes)+elapsed.Seconds()*lookRate))
	case elapsed < 0: // a clock that was set back: nothing comes back for that time
	}
	a.at = now
	return a.bytes
}

// waiting is the first of the entries that wait for a group, as far as they were looked at. It
// is kept from read to read: what the group takes leaves it at one end, and at the other it is
// counted on, so that each entry is read once.
type waiting struct {
	allowed allowance
	// seen is the ids of the entries after the id after, in order, without a gap; of beyond
	// more, up to the id end, it is only known how many they are.
	seen       []entryID
	beyond     int
	after, end entryID
	moved      bool // the group has taken entries since the read before
	ended      bool // the last page of this read found no more

	info streamInfo // of the last read
	page int        // how many entries the next page may have; 0: firstPage
	mean int        // bytes of an entry in the last page
}

// forget drops what was seen, but not what reading it has cost.
func (w *waiting) forget() {
	w.seen, w.beyond, w.after, w.end, w.ended = nil, 0, entryID{}, entryID{}, false
}

// follow takes over what the server told in this read. What was seen is forgotten where some
// of it may be gone, or was delivered to the group again.
func (w *waiting) follow(info *streamInfo, delivered entryID) {
	if delivered.before(w.after) || w.removed(info, delivered) {
		w.forget()
	}
	w.moved = w.after != delivered
	w.after, w.ended, w.info = delivered, false, *info
	taken, _ := slices.BinarySearchFunc(w.seen, delivered, func(id, delivered entryID) int {
		if delivered.before(id) {
			return 1
		}
		return -1
	})
	w.seen = w.seen[taken:]
	if len(w.seen) == 0 {
		w.seen, w.beyond = nil, 0 // how many of those are taken, too, is not known
	}
}

// count is how many were seen.
func (w *waiting) count() int { return len(w.seen) + w.beyond }

// upTo is how many were seen up to that id, where all that were seen are kept.
func (w *waiting) upTo(id entryID) int64 {
	after, _ := slices.BinarySearchFunc(w.seen, id, func(seen, id entryID) int {
		if id.before(seen) {
			return 1
		}
		return -1
	})
	return int64(after + w.beyond)
}

// removed tells whether an entry after the last delivered one may have been removed since the
// read before. XDEL of such a one is seen by max-deleted-entry-id and by the count of what is
// gone. (Where trimming has removed any, the first entry is a later one than the delivered.)
func (w *waiting) removed(info *streamInfo, delivered entryID) bool {
	before := &w.info
	switch {
	case info.lastGenerated.before(before.lastGenerated), info.added < before.added:
		return true // it is another stream
	case info.added < 0: // before Redis 7.0: nothing tells, but that all is as it was
		return info.length != before.length || info.last != before.last || info.first != before.first
	default:
		return delivered.before(info.maxDeleted) &&
			(info.added-info.length != before.added-before.length || info.maxDeleted != before.maxDeleted)
	}
}

// whole tells whether all that wait were seen.
func (w *waiting) whole() bool {
	return w.ended || w.count() > 0 && !w.end.before(w.info.newest())
}

// last is the id after which the next page begins.
func (w *waiting) last() entryID {
	if w.count() > 0 {
		return w.end
	}
	return w.after
}

// next is how many entries the next page is to have so that enough are seen; 0: none.
func (w *waiting) next(enough int, now time.Time) int {
	if w.count() >= enough || w.whole() {
		return 0
	}
	bytes := w.allowed.of(now)
	if bytes <= 0 {
		return 0
	}
	size := max(1, w.mean, w.info.firstSize, w.info.lastSize)
	page := max(1, min(enough-w.count(), max(w.page, firstPage), bytes/size))
	if page == 1 && enough > 1 && w.moved && w.count() == 0 {
		return 0 // that one waits is known; the next read may begin elsewhere again
	}
	return page
}

// add takes a page that was asked for with that many entries.
func (w *waiting) add(ids []entryID, bytes, page int) {
	room := len(ids)
	if w.beyond > 0 || len(w.seen)+room > idsKept {
		room = 0
	}
	w.seen = append(w.seen, ids[:room]...)
	w.beyond += len(ids) - room
	w.ended = len(ids) < page
	w.allowed.bytes -= bytes
	if len(ids) > 0 {
		w.end = ids[len(ids)-1]
		w.mean = bytes / len(ids)
		w.page = min(greatestPage, max(w.page, 4*len(ids)))
	}
}

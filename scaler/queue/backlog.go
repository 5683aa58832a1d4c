package queue

import (
	"math"
	"time"
)

// certainty is how well the two XINFO replies tell what waits for a group.
type certainty int

const (
	exact   certainty = iota
	atMost            // an estimate that is not below the truth
	unknown           // that at least one waits
)

// enough is how many of the entries that wait are worth looking at; of a depth that is exact,
// it is the first alone, for its age.
func (c certainty) enough() int {
	switch c {
	case exact:
		return 1
	case atMost:
		return estimateEnough
	case unknown:
	}
	return math.MaxInt
}

// told is what the two XINFO replies tell.
type told struct {
	depth     Depth // Ready is what certainty says; 0 where it is unknown
	certainty certainty
	look      bool    // the lag is good, as far as is known, and a look is due
	first     entryID // of those that wait; 0-0 where it is not known
}

// weigh tells what waits for a group. The order of the cases matters, because the lag can't be
// trusted on its own:
//   - It is nil behind an XDEL tombstone, and for a group that was created at $ or at an
//     arbitrary id. On Redis 7.0 a group that reads with a tombstone ahead has neither lag nor
//     entries-read from then on, until it has read everything.
//   - It counts entries that were trimmed before they were delivered.
//   - XGROUP SETID leaves it as it was on DragonFly, and whoever says ENTRIESREAD says what it
//     is.
//
// So the positions of the group and of the first and the last entry come first, which can't be
// wrong. Where the lag is not known, entries-added − entries-read is how many ever came after
// what the group has read: no less than what waits, and more by what was deleted of it.
func weigh(info *streamInfo, group *groupInfo, tally tally) told {
	depth := Depth{Kind: Stream, Added: info.added}
	if group == nil { // nobody has read yet: all of it waits
		depth.Ready = info.length
		return told{depth: depth, first: info.first}
	}
	depth.InFlight = group.pending
	if ready, known := position(info, group); known {
		depth.Ready = ready
		if ready == 0 {
			return told{depth: depth}
		}
		return told{depth: depth, first: info.first}
	}
	most := info.length
	if info.first != (entryID{}) {
		most-- // it was delivered
	}
	switch {
	case tally.right && group.lag >= 1 && group.lag <= most && !group.delivered.before(info.maxDeleted):
		depth.Ready = group.lag
		return told{depth: depth}
	case tally.came >= 1 && most >= 1:
		depth.Ready = min(tally.came, most)
		return told{depth: depth, certainty: atMost, look: tally.look}
	}
	return told{depth: depth, certainty: unknown}
}

// position is what waits by the places of the group and of the stream's ends alone: nothing,
// or all of it.
func position(info *streamInfo, group *groupInfo) (ready int64, known bool) {
	switch {
	case info.length == 0 || !group.delivered.before(info.newest()):
		return 0, true
	case group.delivered.before(info.first):
		return info.length, true
	default:
		return 0, false
	}
}

// tally is what a group's entries-read tells.
type tally struct {
	came  int64 // entries that ever came after the last delivered one; -1: it does not tell
	right bool  // entries-read needs no correction, and so the lag needs none
	look  bool  // it would be right, but was never compared, and a look is due
}

// counter follows a group's entries-read, from which the server computes the lag: how many
// entries ever came up to the last delivered one. It may be wrong:
//   - Too low for good after trimming of entries that were not delivered yet (Redis before
//     7.2.6), and after a read that begins behind a tombstone (Redis 7.0 counts on by one).
//   - Too low for good after a restart from the append-only file, or a failover, of Redis 7.0,
//     which does not write it down: it is as old as the file's last rewrite, or as the
//     replica (redis#12898).
//   - Too high on DragonFly after XGROUP SETID to an older id, which leaves it as it was.
//
// So it is compared wherever the positions tell what waits, and corrected by the difference.
// Where they have not told yet, a few of the entries that wait are looked at, now and then:
// if these are all, it is compared with them. So what was wrong before the first read is not seen
// while more wait than a look shows; who gives XGROUP … ENTRIESREAD by hand is believed until
// then.
type counter struct {
	name       string
	delivered  entryID
	read       int64
	excess     int64   // how much too many entries-added − entries-read are; negative: too few
	maxDeleted entryID // when that was found
	low        bool    // entries-read may be too low besides
	doubtful   bool    // it may be too high, and it is not known by how much
	compared   bool    // it was, with what waits
	looked     time.Time
}

// lookPause is the time between two looks at what waits that are only to compare a counter.
const lookPause = 10 * time.Second

// follow takes over what the server told in this read.
func (c *counter) follow(info *streamInfo, group *groupInfo, now time.Time) tally {
	if group == nil {
		*c = counter{}
		return tally{}
	}
	if c.name != group.name || group.read < 0 || info.added < 0 {
		*c = counter{name: group.name, read: -1}
	}
	if group.read < 0 || info.added < 0 { // then the server goes by positions, too
		return tally{came: -1, right: true}
	}
	if group.read < c.read && !group.delivered.before(c.delivered) {
		// The group has read on, so it has read no fewer than before: the server has forgotten.
		c.excess, c.maxDeleted, c.compared = c.excess+c.read-group.read, info.maxDeleted, false
	}
	ready, known := position(info, group)
	came := info.added - group.read
	switch {
	case info.lastGenerated.before(group.delivered):
		// The group has read what came after the reply to XINFO STREAM: they can't be compared.
	case known:
		c.excess, c.maxDeleted, c.low, c.doubtful = came-ready, info.maxDeleted, false, false
		c.compared = true
	case group.delivered.before(c.delivered) && group.read >= c.read:
		c.doubtful = true
	}
	if group.delivered.before(info.maxDeleted) {
		c.low = true
	}
	if c.excess > 0 && (c.low || c.maxDeleted != info.maxDeleted) {
		// With tombstones about, the server may have corrected it by itself meanwhile.
		c.excess, c.low = 0, true
	}
	c.delivered, c.read = group.delivered, group.read
	if !known && came-c.excess < 1 { // one waits in any case
		c.doubtful = true
	}
	if c.doubtful {
		return tally{came: -1}
	}
	right := c.excess == 0 && !c.low
	look := right && !c.compared && !now.Before(c.looked.Add(lookPause))
	if look {
		c.looked = now
	}
	return tally{came: came - c.excess, right: right && !look, look: look}
}

// compare takes over how many entries wait, of those that were there when info and the counter were
// told.
func (c *counter) compare(info *streamInfo, ready int64) {
	if c.compared || c.read < 0 || info.lastGenerated.before(c.delivered) {
		return
	}
	c.excess, c.maxDeleted, c.low, c.doubtful = info.added-c.read-ready, info.maxDeleted, false, false
	c.compared = true
}

package queue

import "time"

const (
	// largeHeads is from how many bytes of a stream's first and last entry on XINFO STREAM,
	// whose reply holds both, is not asked in every read, but at lookRate.
	largeHeads = 16 << 10
	// oldestHeads is how old a reply may be all the same.
	oldestHeads = 10 * time.Second
)

// heads is what XINFO STREAM told the last time.
type heads struct {
	info streamInfo
	at   time.Time // zero: what waits was not exactly known by it
}

// tell takes over what XINFO STREAM told.
func (h *heads) tell(info *streamInfo, c certainty, now time.Time) {
	h.info, h.at = *info, time.Time{}
	if c == exact {
		h.at = now
	}
}

// size is the bytes of a reply to XINFO STREAM, as far as entries make it.
func (h *heads) size() int { return h.info.firstSize + h.info.lastSize }

// good tells whether what was told is still good enough to be read on by.
func (h *heads) good(now time.Time) bool {
	if h.at.IsZero() || h.size() < largeHeads {
		return false
	}
	pause := min(oldestHeads, time.Duration(h.size())*time.Second/lookRate)
	age := now.Sub(h.at)
	return age >= 0 && age < pause
}

// briefly is the depth by the group and the length alone, since nothing else has changed that
// counts. It is known only where the lag is to be believed, and agrees with all that was told
// before: what takes the lag away, or makes it wrong, shows in one of these.
//   - XDEL of what waits: the lag is nil.
//   - XTRIM of what waits: all that is left waits, and the lag is no less than the length.
//   - XGROUP SETID: the group goes back, or is where its counter says that it is not.
func (h *heads) briefly(length int64, group *groupInfo, c *counter) (depth Depth, known bool) {
	if group == nil || !c.agrees(group) || group.lag < 0 || group.read+group.lag < h.info.added {
		return Depth{}, false
	}
	depth = Depth{Kind: Stream, Ready: group.lag, InFlight: group.pending, Added: Sum(group.read, group.lag)}
	if group.lag == 0 {
		return depth, !group.delivered.before(h.info.lastGenerated)
	}
	return depth, group.lag < length && !group.delivered.before(h.info.first) && !group.delivered.before(h.info.maxDeleted)
}

// agrees tells whether the group is the one that was followed, with a counter that was right,
// and has gone on as groups do.
func (c *counter) agrees(group *groupInfo) bool {
	return c.name == group.name && c.read >= 0 && c.excess == 0 && !c.low && !c.doubtful &&
		!group.delivered.before(c.delivered) && group.read >= c.read
}

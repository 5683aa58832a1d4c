package queue

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// countCap is how many entries are counted one by one where the server does not know a
// group's lag; the depth is then a lower bound. Each counted entry's payload crosses the
// network, so it is kept small: the group's first read mends the lag.
const countCap = 1000

// streamReader reads the lag and the pending entries of a consumer group.
type streamReader struct {
	length *redis.IntCmd // XLEN, on a cluster
	info   *redis.Cmd
	groups *redis.Cmd
	// entries is asked for in a round of its own: the first entries after the id in after.
	entries *redis.XMessageSliceCmd
	after   string
	partial Depth // the depth, but for what the entries tell
	count   bool  // the entries are to be counted; else only the first one's age is wanted
}

// ask uses raw XINFO replies: go-redis's own types can't tell a field that is missing
// from 0 (its Lag is 0 on Redis 6, which has none).
func (s *streamReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if r.first {
		s.after = ""
	}
	if s.after != "" {
		count := 1
		if s.count {
			count = countCap
		}
		s.entries = fresh(keyed(redis.NewXMessageSliceCmd(unbound, "xrange", r.queue.Key, "("+s.after, "+", "count", count), 1))
		return append(commands, s.entries)
	}
	if s.info == nil {
		s.info = keyed(redis.NewCmd(unbound, "xinfo", "stream", r.queue.Key), 2)
		s.groups = keyed(redis.NewCmd(unbound, "xinfo", "groups", r.queue.Key), 2)
	}
	if r.cluster {
		if s.length == nil {
			s.length = number("xlen", r.queue.Key)
		}
		commands = append(commands, fresh(s.length))
	}
	return append(commands, fresh(s.info), fresh(s.groups))
}

func (s *streamReader) answer(r round) (Depth, bool, error) {
	if s.after != "" {
		return s.answerEntries(r)
	}
	if r.cluster {
		if _, err := countOf(s.length); err != nil { // whatever XINFO says, which does not redirect
			return Depth{}, true, err
		}
	}
	info, err := infoOf(s.info)
	s.info.SetVal(nil) // it holds two whole entries
	var group *groupInfo
	if err == nil {
		group, err = s.group(r.queue)
	}
	s.groups.SetVal(nil)
	if noSuchKey(err) {
		return s.absent(r)
	}
	if err != nil {
		return Depth{}, true, err
	}
	depth, exact, err := streamDepth(info, group)
	if err != nil {
		return Depth{}, true, err
	}
	if exact {
		if !r.queue.Age || depth.Ready == 0 {
			return depth, true, nil
		}
		if group == nil || info.first != nil && group.delivered.before(*info.first) {
			return aged(depth, info.first, r)
		}
	}
	if r.last {
		return Depth{}, true, fmt.Errorf("stream %q changed its shape %d times during one read", r.queue.Key, maxRounds)
	}
	s.partial, s.after, s.count = depth, group.lastDelivered, !exact
	return Depth{}, false, nil
}

// absent is the depth of a stream that XINFO does not know. A node of a DragonFly cluster
// says so of the keys of other nodes too, so there XLEN must agree.
func (s *streamReader) absent(r round) (Depth, bool, error) {
	if r.cluster && s.length.Val() > 0 {
		return Depth{}, true, &ElsewhereError{Key: r.queue.Key}
	}
	return Depth{Kind: None, Added: -1}, true, nil
}

func (s *streamReader) answerEntries(r round) (Depth, bool, error) {
	s.after = ""
	entries, err := s.entries.Result()
	s.entries = nil // it holds whole entries
	if err != nil {
		return Depth{}, true, err
	}
	depth := s.partial
	if s.count {
		depth.Ready = int64(len(entries))
		depth.LowerBound = len(entries) == countCap
	}
	if !r.queue.Age || len(entries) == 0 {
		return depth, true, nil // what waited has been taken meanwhile: its age is nobody's
	}
	first, err := parseID(entries[0].ID)
	if err != nil {
		return Depth{}, true, &ReplyError{Command: "XRANGE", Err: err}
	}
	return aged(depth, &first, r)
}

// aged adds when the first entry that waits was added, which its id tells.
func aged(depth Depth, first *entryID, r round) (Depth, bool, error) {
	if first == nil {
		return depth, true, nil
	}
	depth.Oldest = time.UnixMilli(int64(first.ms))
	if !plausible(depth.Oldest, r.now) {
		return Depth{}, true, &AgeUnknownError{Key: r.queue.Key, Kind: Stream}
	}
	return depth, true, nil
}

// streamDepth is the depth for a group, as far as the two XINFO replies tell; where exact
// is false, the entries after the last delivered one must be counted. The order of the
// cases matters, because lag can't be trusted on its own:
//   - it is nil for a group created at $ or at an arbitrary id until its first read, and
//     behind an XDEL tombstone;
//   - it counts entries that were trimmed or deleted before they were delivered;
//   - XGROUP SETID to an older id leaves it stale on DragonFly: 0 is believed only where
//     nothing newer than what was delivered was ever added.
func streamDepth(info streamInfo, group *groupInfo) (depth Depth, exact bool, err error) {
	depth = Depth{Kind: Stream, Added: info.added}
	if group == nil { // nobody has read yet: all of it waits
		depth.Ready = info.length
		return depth, true, nil
	}
	depth.InFlight = group.pending
	newest, err := parseID(info.lastGenerated)
	if err != nil {
		return Depth{}, true, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	switch {
	case info.length == 0 || !group.delivered.before(newest):
		return depth, true, nil
	case info.first != nil && group.delivered.before(*info.first):
		depth.Ready = info.length
		return depth, true, nil
	case group.lag > 0 && !group.delivered.before(info.maxDeleted):
		depth.Ready = min(group.lag, info.length)
		return depth, true, nil
	}
	return depth, false, nil
}

// group picks the group that is asked about; nil where it does not exist yet.
func (s *streamReader) group(q *Queue) (*groupInfo, error) {
	replies, err := s.groups.Slice()
	if err != nil {
		return nil, err
	}
	var groups []groupInfo
	for _, reply := range replies {
		group, err := groupOf(reply)
		if err != nil {
			return nil, &ReplyError{Command: "XINFO GROUPS", Err: err}
		}
		groups = append(groups, group)
	}
	if q.Group == "" {
		if len(groups) > 1 {
			names := make([]string, len(groups))
			for i, group := range groups {
				names[i] = group.name
			}
			return nil, &GroupError{Key: q.Key, Groups: names}
		}
		if len(groups) == 1 {
			return &groups[0], nil
		}
	}
	for i := range groups {
		if groups[i].name == q.Group {
			return &groups[i], nil
		}
	}
	return nil, nil
}

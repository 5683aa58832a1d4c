package queue

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// countCap is how many entries are counted one by one where the server does not know a
// group's lag; the depth is then a lower bound. Each counted entry's payload crosses the
// network, so it is kept small: the group's first read mends the lag.
const countCap = 1000

// streamReader reads the lag and the pending entries of a consumer group.
type streamReader struct {
	info   *redis.Cmd
	groups *redis.Cmd
	// counted is asked for in a round of its own, after the id in countAfter.
	counted    *redis.XMessageSliceCmd
	countAfter string
	pending    Depth // the depth, but for what is counted
}

// ask uses raw XINFO replies: go-redis's own types can't tell a field that is missing
// from 0 (its Lag is 0 on Redis 6, which has none).
func (s *streamReader) ask(commands []redis.Cmder, q Queue) []redis.Cmder {
	if s.countAfter != "" {
		s.counted = fresh(redis.NewXMessageSliceCmd(unbound, "xrange", q.Key, "("+s.countAfter, "+", "count", countCap))
		return append(commands, s.counted)
	}
	if s.info == nil {
		s.info = redis.NewCmd(unbound, "xinfo", "stream", q.Key)
		s.groups = redis.NewCmd(unbound, "xinfo", "groups", q.Key)
	}
	return append(commands, fresh(s.info), fresh(s.groups))
}

func (s *streamReader) answer(q Queue, last bool) (Depth, bool, error) {
	if s.countAfter != "" {
		return s.answerCount()
	}
	info, err := infoOf(s.info)
	s.info.SetVal(nil) // it holds two whole entries
	if noSuchKey(err) {
		return Depth{Kind: None, Added: -1}, true, nil
	}
	if err != nil {
		return Depth{}, true, err
	}
	group, err := s.group(q)
	if noSuchKey(err) {
		return Depth{Kind: None, Added: -1}, true, nil
	}
	if err != nil {
		return Depth{}, true, err
	}
	depth, exact, err := streamDepth(info, group)
	if err != nil || exact {
		return depth, true, err
	}
	if last {
		return Depth{}, true, fmt.Errorf("stream %q changed its shape %d times during one read", q.Key, maxRounds)
	}
	s.pending, s.countAfter = depth, group.lastDelivered
	return Depth{}, false, nil
}

func (s *streamReader) answerCount() (Depth, bool, error) {
	s.countAfter = ""
	entries, err := s.counted.Result()
	s.counted = nil // it holds whole entries
	if err != nil {
		return Depth{}, true, err
	}
	depth := s.pending
	depth.Ready = int64(len(entries))
	depth.LowerBound = len(entries) == countCap
	return depth, true, nil
}

// streamDepth is the depth for a group, as far as the two XINFO replies tell; where exact
// is false, the entries after the last delivered one must be counted. The order of the
// cases matters, because lag can't be trusted on its own:
//   - it is nil for a group created at $ or at an arbitrary id until its first read, and
//     behind an XDEL tombstone;
//   - it counts entries that were trimmed or deleted before they were delivered;
//   - XGROUP SETID to an older id leaves it stale on DragonFly.
func streamDepth(info streamInfo, group *groupInfo) (depth Depth, exact bool, err error) {
	depth = Depth{Kind: Stream, Added: info.added}
	if group == nil { // nobody has read yet: all of it waits
		depth.Ready = info.length
		return depth, true, nil
	}
	depth.InFlight = group.pending
	delivered, err := parseID(group.lastDelivered)
	if err != nil {
		return Depth{}, true, &ReplyError{Command: "XINFO GROUPS", Err: err}
	}
	newest, err := parseID(info.lastGenerated)
	if err != nil {
		return Depth{}, true, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	switch {
	case info.length == 0 || !delivered.before(newest):
		return depth, true, nil
	case info.first != nil && delivered.before(*info.first):
		depth.Ready = info.length
		return depth, true, nil
	case group.lag >= 0:
		depth.Ready = min(group.lag, info.length)
		return depth, true, nil
	}
	return depth, false, nil
}

// group picks the group that is asked about; nil where it does not exist yet.
func (s *streamReader) group(q Queue) (*groupInfo, error) {
	replies, err := s.groups.Slice()
	s.groups.SetVal(nil)
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

// entryID is a stream entry's id: milliseconds and a sequence number.
type entryID struct{ ms, seq uint64 }

func (id entryID) before(other entryID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}

func parseID(text string) (entryID, error) {
	ms, seq, ok := strings.Cut(text, "-")
	if !ok {
		seq = "0"
	}
	var id entryID
	var errMS, errSeq error
	id.ms, errMS = strconv.ParseUint(ms, 10, 64)
	id.seq, errSeq = strconv.ParseUint(seq, 10, 64)
	if errMS != nil || errSeq != nil {
		return entryID{}, fmt.Errorf("%q is not a stream entry id", text)
	}
	return id, nil
}

package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// streamReader reads how many entries wait for a consumer group, and its pending ones.
type streamReader struct {
	length  *redis.IntCmd // XLEN: on a cluster, where info is not asked for, and where doubt is
	info    *redis.Cmd
	groups  *redis.Cmd
	heads   heads
	retries retries
	brief   bool // info is not asked for in this round
	doubt   bool // XINFO knew of no such key in the round before
	sized   bool // length is asked for in this round

	told    told // by the first round of the read
	counter counter
	// entries is asked for in rounds of their own: a page of those that wait.
	entries *redis.Cmd
	page    int // how many are asked for in this round; 0: it is not such a round
	waiting waiting
}

// ask uses raw XINFO replies: go-redis's own types can't tell a field that is missing
// from 0 (its Lag is 0 on Redis 6, which has none).
func (s *streamReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if r.first {
		s.page = 0
	}
	if s.page > 0 {
		s.entries = fresh(keyed(redis.NewCmd(unbound, "xrange", r.queue.Key, "("+s.waiting.last().String(), "+", "count", s.page), 1))
		return append(commands, s.entries)
	}
	s.brief = r.first && s.canBeBrief(r.queue, r.now)
	if s.info == nil {
		s.info = keyed(redis.NewCmd(unbound, "xinfo", "stream", r.queue.Key), 2)
		s.groups = keyed(redis.NewCmd(unbound, "xinfo", "groups", r.queue.Key), 2)
	}
	s.sized, s.doubt = r.cluster || s.brief || s.doubt, false
	if s.sized {
		if s.length == nil {
			s.length = number("xlen", r.queue.Key)
		}
		commands = append(commands, fresh(s.length))
	}
	if !s.brief {
		commands = append(commands, fresh(s.info))
	}
	return s.retries.ask(append(commands, fresh(s.groups)), r.queue)
}

// read is the depth with all that is pending in flight.
func (s *streamReader) read(r round) (Depth, bool, error) {
	if s.page > 0 {
		return s.answerPage(r)
	}
	if s.sized {
		if _, err := countOf(s.length); err != nil { // whatever XINFO says, which does not redirect
			return Depth{}, true, err
		}
	}
	if s.brief {
		return s.answerBriefly(r)
	}
	info, err := infoOf(s.info)
	s.info.SetVal(nil) // it holds two whole entries
	var group *groupInfo
	missing := ""
	if err == nil {
		group, missing, err = groupNamed(r.queue, s.groups)
	}
	s.groups.SetVal(nil)
	if noSuchKey(err) {
		return s.absent(r)
	}
	if err != nil {
		return Depth{}, true, err
	}
	s.retries.of(group)
	s.told = weigh(&info, group, s.counter.follow(&info, group, r.now))
	s.told.depth.Remark = missing
	s.heads.tell(&info, s.told.certainty, r.now)
	if s.told.certainty == exact && (!r.queue.Age || s.told.depth.Ready == 0 || s.told.first != (entryID{})) {
		s.waiting.forget()
		return s.aged(s.told.depth, s.told.first, r)
	}
	s.waiting.follow(&info, group.delivered)
	return s.settle(r)
}

// canBeBrief tells whether XINFO STREAM can be left out for once.
func (s *streamReader) canBeBrief(q *Queue, now time.Time) bool { return !q.Age && s.heads.good(now) }

// answerBriefly is the depth without XINFO STREAM, which is asked for in another round where
// that is not enough.
func (s *streamReader) answerBriefly(r round) (Depth, bool, error) {
	s.brief = false
	group, _, err := groupNamed(r.queue, s.groups)
	s.groups.SetVal(nil)
	if noSuchKey(err) {
		return s.absent(r)
	}
	if err != nil {
		return Depth{}, true, err
	}
	s.retries.of(group)
	depth, known := s.heads.briefly(s.length.Val(), group, &s.counter)
	if !known {
		return Depth{}, false, nil
	}
	s.counter.delivered, s.counter.read = group.delivered, group.read
	return depth, true, nil
}

// absent is the depth of a stream that XINFO does not know. A node of a DragonFly cluster says so of the keys
// of other nodes too, and of all keys until somebody has configured the cluster, whatever mode the channel has:
// so XLEN must agree.
func (s *streamReader) absent(r round) (Depth, bool, error) {
	s.doubt = true
	if !s.sized {
		if r.last {
			return Depth{}, true, &ReplyError{Command: "XINFO STREAM", Err: errors.New("the stream went while it was read")}
		}
		return Depth{}, false, nil
	}
	if s.length.Val() > 0 {
		return Depth{}, true, &ElsewhereError{Key: r.queue.Key}
	}
	s.waiting.forget()
	s.heads = heads{}
	return Depth{Kind: None, Added: -1}, true, nil
}

func (s *streamReader) answerPage(r round) (Depth, bool, error) {
	reply, err := s.entries.Slice()
	s.entries = nil // it holds whole entries
	page := s.page
	s.page = 0
	if err != nil {
		return Depth{}, true, err
	}
	ids := make([]entryID, len(reply))
	for i, entry := range reply {
		parts, _ := entry.([]any)
		if ids[i], err = idOf(parts); err != nil {
			return Depth{}, true, &ReplyError{Command: "XRANGE", Err: err}
		}
	}
	s.waiting.add(ids, sizeOf(reply), page)
	return s.settle(r)
}

// settle is the depth by what was told and seen, or asks for another page.
func (s *streamReader) settle(r round) (Depth, bool, error) {
	if s.page = s.waiting.next(s.told.certainty.enough(), r.now); s.page > 0 && !r.last {
		return Depth{}, false, nil
	}
	s.page = 0
	depth, seen := s.told.depth, int64(s.waiting.count())
	switch {
	case s.told.certainty == exact:
	case s.waiting.whole():
		depth.Ready = seen
		s.counter.compare(&s.waiting.info, s.waiting.upTo(s.waiting.info.newest()))
	case s.told.certainty == atMost && seen <= depth.Ready:
		depth.Estimate = !s.told.look
	default:
		// One waits in any case: the newest, which is told to be after the delivered ones.
		depth.Ready, depth.LowerBound = max(1, seen), true
	}
	switch newest := s.waiting.info.newest(); {
	case seen > 0:
		return s.aged(depth, s.waiting.seen[0], r)
	case s.waiting.ended: // what waited has been taken meanwhile: its age is nobody's
		return depth, true, nil
	default:
		// The first is not known: it has waited at least as long as the newest.
		return s.aged(depth, newest, r)
	}
}

// aged adds when the first entry that waits was added, which its id tells.
func (s *streamReader) aged(depth Depth, first entryID, r round) (Depth, bool, error) {
	if first == (entryID{}) || !r.queue.Age {
		return depth, true, nil
	}
	depth.Oldest = time.UnixMilli(int64(first.ms))
	if !plausible(depth.Oldest, r.now) {
		return Depth{}, true, &AgeUnknownError{Key: r.queue.Key, Kind: Stream}
	}
	return depth, true, nil
}

// groupNamed picks the group that is asked about; nil where it does not exist yet. missing says so of one that was named.
func groupNamed(q *Queue, command *redis.Cmd) (group *groupInfo, missing string, err error) {
	replies, err := command.Slice()
	if err != nil {
		return nil, "", err
	}
	var groups []groupInfo
	for _, reply := range replies {
		group, err := groupOf(reply)
		if err != nil {
			return nil, "", &ReplyError{Command: "XINFO GROUPS", Err: err}
		}
		groups = append(groups, group)
	}
	if q.Group == "" {
		switch len(groups) {
		case 0:
			return nil, "", nil
		case 1:
			return &groups[0], "", nil
		default:
			return nil, "", &GroupError{Key: q.Key, Groups: namesOf(groups)}
		}
	}
	for i := range groups {
		if groups[i].name == q.Group {
			return &groups[i], "", nil
		}
	}
	return nil, missingGroup(q, namesOf(groups)), nil
}

func namesOf(groups []groupInfo) []string {
	names := make([]string, len(groups))
	for i, group := range groups {
		names[i] = group.name
	}
	return names
}

// sizeOf is the bytes of all strings of a reply.
func sizeOf(reply any) (bytes int) {
	switch reply := reply.(type) {
	case string:
		return len(reply)
	case []any:
		for _, part := range reply {
			bytes += sizeOf(part)
		}
	}
	return bytes
}

// idOf is the id of an entry, which is [id, [field, value, …]].
func idOf(entry []any) (entryID, error) {
	if len(entry) == 0 {
		return entryID{}, errors.New("an entry without an id")
	}
	id, ok := entry[0].(string)
	if !ok {
		return entryID{}, fmt.Errorf("%v is not a stream entry id", entry[0])
	}
	return parseID(id)
}

package queue

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// streamInfo is what XINFO STREAM tells.
type streamInfo struct {
	length        int64
	lastGenerated entryID
	first, last   *entryID // the oldest and the newest entry; nil in an empty stream
	// firstSize and lastSize are the bytes of these two.
	firstSize, lastSize int
	added               int64   // entries-added, -1 before Redis 7.0
	maxDeleted          entryID // the newest entry that XDEL removed; 0-0 before Redis 7.0
}

// newest is the id of the newest entry, or one after it where the server does not tell.
func (i streamInfo) newest() entryID {
	if i.last == nil {
		return i.lastGenerated
	}
	return *i.last
}

// oldest is the id of the oldest entry; 0-0 where there is none.
func (i streamInfo) oldest() entryID {
	if i.first == nil {
		return entryID{}
	}
	return *i.first
}

// groupInfo is what XINFO GROUPS tells of one group.
type groupInfo struct {
	name      string
	pending   int64
	delivered entryID // last-delivered-id
	read      int64   // entries-read; -1 where it is nil, or missing (before Redis 7.0)
	lag       int64   // likewise
}

func infoOf(cmd *redis.Cmd) (streamInfo, error) {
	reply, err := cmd.Result()
	if err != nil {
		return streamInfo{}, err
	}
	f, err := fieldsOf(reply)
	if err != nil {
		return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	info, err := infoFrom(f)
	if err != nil {
		return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	return info, nil
}

func infoFrom(f fields) (info streamInfo, err error) {
	info.added = -1
	if info.length, err = f.count("length"); err != nil {
		return streamInfo{}, err
	}
	if info.lastGenerated, err = f.id("last-generated-id"); err != nil {
		return streamInfo{}, err
	}
	if f.value("entries-added") != nil {
		if info.added, err = f.count("entries-added"); err != nil {
			return streamInfo{}, err
		}
	}
	if f.value("max-deleted-entry-id") != nil {
		if info.maxDeleted, err = f.id("max-deleted-entry-id"); err != nil {
			return streamInfo{}, err
		}
	}
	if info.first, info.firstSize, err = f.entry("first-entry"); err != nil {
		return streamInfo{}, err
	}
	info.last, info.lastSize, err = f.entry("last-entry")
	return info, err
}

func groupOf(reply any) (groupInfo, error) {
	f, err := fieldsOf(reply)
	if err != nil {
		return groupInfo{}, err
	}
	var group groupInfo
	if group.name, err = f.text("name"); err != nil {
		return groupInfo{}, err
	}
	if group.pending, err = f.count("pending"); err != nil {
		return groupInfo{}, err
	}
	if group.delivered, err = f.id("last-delivered-id"); err != nil {
		return groupInfo{}, err
	}
	group.read, group.lag = f.known("entries-read"), f.known("lag")
	return group, nil
}

// fields is a reply of names and values, in turn. They are few: a map would cost more than
// it saves.
type fields []any

// fieldsOf takes a flat array (RESP2) or a map (RESP3).
func fieldsOf(reply any) (fields, error) {
	switch reply := reply.(type) {
	case []any:
		return reply, nil
	case map[any]any:
		flat := make(fields, 0, 2*len(reply))
		for name, value := range reply {
			flat = append(flat, name, value)
		}
		return flat, nil
	default:
		return nil, fmt.Errorf("unexpected %T", reply)
	}
}

// value is the value of that name; nil where there is none.
func (f fields) value(name string) any {
	for i := 0; i+1 < len(f); i += 2 {
		if f[i] == name {
			return f[i+1]
		}
	}
	return nil
}

// count is a number that counts something, which is never negative.
func (f fields) count(name string) (int64, error) {
	value, ok := f.value(name).(int64)
	if !ok {
		return 0, fmt.Errorf("field %s is %v, not a number", name, f.value(name))
	}
	if value < 0 {
		return 0, fmt.Errorf("field %s is %d, not a count", name, value)
	}
	return value, nil
}

func (f fields) text(name string) (string, error) {
	value, ok := f.value(name).(string)
	if !ok {
		return "", fmt.Errorf("field %s is %v, not a string", name, f.value(name))
	}
	return value, nil
}

// known is a count that the server may not know: -1 where it is nil or missing, and where it is
// negative, as what ENTRIESREAD by hand may lead to.
func (f fields) known(name string) int64 {
	value, ok := f.value(name).(int64)
	if !ok || value < 0 {
		return -1
	}
	return value
}

func (f fields) id(name string) (entryID, error) {
	value, err := f.text(name)
	if err != nil {
		return entryID{}, err
	}
	id, err := parseID(value)
	if err != nil {
		return entryID{}, fmt.Errorf("field %s: %w", name, err)
	}
	return id, nil
}

// entry is the id of an entry, and its bytes; nil where there is none, as in an empty stream.
func (f fields) entry(name string) (id *entryID, bytes int, err error) {
	entry, ok := f.value(name).([]any)
	if !ok || len(entry) == 0 {
		return nil, 0, nil
	}
	first, err := idOf(entry)
	if err != nil {
		return nil, 0, fmt.Errorf("field %s: %w", name, err)
	}
	return &first, sizeOf(entry), nil
}

// entryID is a stream entry's id: milliseconds and a sequence number.
type entryID struct{ ms, seq uint64 }

func (id entryID) before(other entryID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}

func (id entryID) String() string { return fmt.Sprintf("%d-%d", id.ms, id.seq) }

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

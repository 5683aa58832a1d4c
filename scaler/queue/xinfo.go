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
	lastGenerated string
	first         *entryID // the oldest entry; nil in an empty stream
	added         int64    // entries-added, -1 before Redis 7.0
	maxDeleted    entryID  // the newest entry that XDEL removed; 0-0 before Redis 7.0
}

// groupInfo is what XINFO GROUPS tells of one group.
type groupInfo struct {
	name          string
	pending       int64
	lastDelivered string
	delivered     entryID // the same, read
	lag           int64   // -1 where it is nil, or missing (before Redis 7.0)
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
	info := streamInfo{added: -1}
	if info.length, err = f.count("length"); err != nil {
		return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	if info.lastGenerated, err = f.text("last-generated-id"); err != nil {
		return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	if f.value("entries-added") != nil {
		if info.added, err = f.count("entries-added"); err != nil {
			return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
		}
	}
	if deleted, ok := f.value("max-deleted-entry-id").(string); ok {
		if info.maxDeleted, err = parseID(deleted); err != nil {
			return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
		}
	}
	// first-entry is [id, [field, value, …]], or nil in an empty stream.
	if entry, ok := f.value("first-entry").([]any); ok && len(entry) > 0 {
		text, _ := entry[0].(string)
		id, err := parseID(text)
		if err != nil {
			return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
		}
		info.first = &id
	}
	return info, nil
}

func groupOf(reply any) (groupInfo, error) {
	f, err := fieldsOf(reply)
	if err != nil {
		return groupInfo{}, err
	}
	group := groupInfo{lag: -1}
	if group.name, err = f.text("name"); err != nil {
		return groupInfo{}, err
	}
	if group.pending, err = f.count("pending"); err != nil {
		return groupInfo{}, err
	}
	if group.lastDelivered, err = f.text("last-delivered-id"); err != nil {
		return groupInfo{}, err
	}
	if group.delivered, err = parseID(group.lastDelivered); err != nil {
		return groupInfo{}, err
	}
	if lag, ok := f.value("lag").(int64); ok {
		group.lag = lag
	}
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

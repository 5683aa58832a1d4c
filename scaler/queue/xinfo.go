package queue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// streamInfo is what XINFO STREAM tells.
type streamInfo struct {
	length        int64
	lastGenerated entryID
	// first and last are the oldest and the newest entry, and their bytes; 0-0, which no entry
	// is, in an empty stream.
	first, last         entryID
	firstSize, lastSize int
	added               int64   // entries-added, -1 before Redis 7.0
	maxDeleted          entryID // the newest entry that XDEL removed; 0-0 before Redis 7.0
}

// newest is the id of the newest entry, or one after it where the server does not tell.
func (i *streamInfo) newest() entryID {
	if i.last == (entryID{}) {
		return i.lastGenerated
	}
	return i.last
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
	info := streamInfo{length: -1, added: -1}
	if err := info.read(reply); err != nil {
		return streamInfo{}, &ReplyError{Command: "XINFO STREAM", Err: err}
	}
	return info, nil
}

// read goes through the fields once: it is done for each stream in each read.
func (i *streamInfo) read(reply any) error {
	f, err := fieldsOf(reply)
	generated := false
	for at := 0; err == nil && at+1 < len(f); at += 2 {
		name, _ := f[at].(string)
		switch value := f[at+1]; name {
		case "length":
			i.length, err = countIn(name, value)
		case "last-generated-id":
			i.lastGenerated, err = idIn(name, value)
			generated = true
		case "entries-added":
			i.added, err = countIn(name, value)
		case "max-deleted-entry-id":
			i.maxDeleted, err = idIn(name, value)
		case "first-entry":
			i.first, i.firstSize, err = entryIn(name, value)
		case "last-entry":
			i.last, i.lastSize, err = entryIn(name, value)
		}
	}
	switch {
	case err != nil:
		return err
	case i.length < 0:
		return errors.New("field length is missing")
	case !generated:
		return errors.New("field last-generated-id is missing")
	}
	return nil
}

func groupOf(reply any) (groupInfo, error) {
	f, err := fieldsOf(reply)
	group := groupInfo{pending: -1, read: -1, lag: -1}
	named, delivered := false, false
	for at := 0; err == nil && at+1 < len(f); at += 2 {
		name, _ := f[at].(string)
		switch value := f[at+1]; name {
		case "name":
			group.name, named = value.(string)
		case "pending":
			group.pending, err = countIn(name, value)
		case "last-delivered-id":
			group.delivered, err = idIn(name, value)
			delivered = true
		case "entries-read":
			group.read = knownIn(value)
		case "lag":
			group.lag = knownIn(value)
		}
	}
	if err == nil && (!named || !delivered || group.pending < 0) {
		err = errors.New("field name, pending or last-delivered-id is missing")
	}
	return group, err
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

// countIn is a field that counts something, which is never negative.
func countIn(name string, field any) (int64, error) {
	value, ok := field.(int64)
	if !ok {
		return 0, fmt.Errorf("field %s is %v, not a number", name, field)
	}
	if value < 0 {
		return 0, fmt.Errorf("field %s is %d, not a count", name, value)
	}
	return value, nil
}

// knownIn is a count that the server may not know: -1 where it is nil, and where it is
// negative, as what ENTRIESREAD by hand may lead to.
func knownIn(field any) int64 {
	value, ok := field.(int64)
	if !ok || value < 0 {
		return -1
	}
	return value
}

func idIn(name string, field any) (entryID, error) {
	value, ok := field.(string)
	if !ok {
		return entryID{}, fmt.Errorf("field %s is %v, not a string", name, field)
	}
	id, err := parseID(value)
	if err != nil {
		return entryID{}, fmt.Errorf("field %s: %w", name, err)
	}
	return id, nil
}

// entryIn is the id of an entry, and its bytes; 0-0 where there is none, as in an empty stream.
func entryIn(name string, field any) (id entryID, bytes int, err error) {
	entry, ok := field.([]any)
	if !ok || len(entry) == 0 {
		return entryID{}, 0, nil
	}
	if id, err = idOf(entry); err != nil {
		return entryID{}, 0, fmt.Errorf("field %s: %w", name, err)
	}
	return id, sizeOf(field), nil
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

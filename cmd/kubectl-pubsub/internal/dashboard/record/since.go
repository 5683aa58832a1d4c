package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Cursor is what a page has been told. Its zero value is nothing.
type Cursor struct {
	version uint64
	points  map[string]int // by channel, the number of the next point to tell
}

// The points of the first message, for sparklines.
const (
	mostFirstPoints = 120
	// mostFirstPointsOfAll bounds the message: 20,000 points are 2 MB.
	mostFirstPointsOfAll = 20_000
)

// News are messages for a page; nil is none. Fleet is JSON of a protocol.Envelope.
type News struct {
	Connection *protocol.Connection
	Fleet      []byte
}

// Since is what a page has not been told, and counts it as told. Each row is made into JSON once
// for all pages.
func (f *Fleet) Since(c *Cursor, now time.Time) (News, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var news News
	if c.version >= f.version {
		return news, nil
	}
	full := c.version == 0 || c.version < f.forgot
	if full {
		c.points = make(map[string]int, len(f.channels))
	}
	if f.connectionVersion > c.version || full {
		connection := f.connection
		news.Connection = &connection
	}
	if !f.told { // the cursor stays, so that the first message has all
		return news, nil
	}
	var out bytes.Buffer
	some, err := f.writeFleet(&out, c, full, stamp(now))
	if err != nil {
		return News{}, err
	}
	if some || full {
		news.Fleet = out.Bytes()
	}
	c.version = f.version
	return news, nil
}

// writeFleet writes the envelope piece by piece: to put rows that are JSON already through the
// encoder again would cost as much as making them. It reports whether anything changed.
func (f *Fleet) writeFleet(out *bytes.Buffer, c *Cursor, full bool, now time.Time) (some bool, err error) {
	changed := f.since(c.version, full)
	gone := f.goneSince(c) // first: of a channel that was made anew all points are new
	head, err := json.Marshal(protocol.Fleet{Full: full, Now: now})
	if err != nil {
		return false, err
	}
	out.WriteString(`{"kind":"fleet","fleet":`)
	out.Write(bytes.TrimSuffix(head, []byte("}")))
	for i, e := range changed {
		if i == 0 {
			out.WriteString(`,"rows":[`)
		} else {
			out.WriteByte(',')
		}
		if err := f.writeRow(out, c, e, len(changed)); err != nil {
			return false, err
		}
	}
	if len(changed) > 0 {
		out.WriteByte(']')
	}
	if len(gone) > 0 && !full {
		if err := writeMember(out, "gone", gone); err != nil {
			return false, err
		}
	}
	permissions := f.namespacesVersion > c.version // in the first message, too: they may be newer than Hello's
	if permissions {
		if err := writeMember(out, "namespaces", f.namespaces); err != nil {
			return false, err
		}
	}
	out.WriteString("}}")
	return len(changed) > 0 || len(gone) > 0 || permissions, nil
}

func writeMember(out *bytes.Buffer, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	out.WriteString(`,"` + name + `":`)
	out.Write(data)
	return nil
}

// since are the channels that changed, the worst first.
func (f *Fleet) since(version uint64, full bool) []*entry {
	var changed []*entry
	for _, e := range f.channels {
		if full || e.version > version {
			changed = append(changed, e)
		}
	}
	slices.SortFunc(changed, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.row.Key, b.row.Key))
	})
	return changed
}

// goneSince are the channels that were deleted, and were not made anew.
func (f *Fleet) goneSince(c *Cursor) (keys []string) {
	for _, g := range f.gone {
		if g.version > c.version {
			delete(c.points, g.key)
			if f.channels[g.key] == nil {
				keys = append(keys, g.key)
			}
		}
	}
	return keys
}

func (f *Fleet) writeRow(out *bytes.Buffer, c *Cursor, e *entry, rows int) error {
	if e.body == nil {
		body, err := json.Marshal(e.row)
		if err != nil {
			return err
		}
		e.body = body
	}
	from, told := c.points[e.row.Key]
	if !told {
		from = max(0, e.points.next()-min(mostFirstPoints, max(8, mostFirstPointsOfAll/rows)))
	}
	from = max(from, e.points.next()-mostFirstPoints) // of a page that was slow for long: a sparkline has no more
	c.points[e.row.Key] = e.points.next()
	out.Write(e.body[:len(e.body)-1])
	if points := e.points.since(from); len(points) > 0 {
		if err := writeMember(out, "points", messages(points)); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

package trace

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// The columns of a file. Exactly one of arrivals and rate is there.
const (
	columnTime     = "time"
	columnArrivals = "arrivals"
	columnRate     = "rate"
)

// ReadCSV reads a trace from a file with a header and two columns, in either order:
//
//   - time: when an interval begins. Seconds (0, 60, 1767225600.5), durations (0s, 1m30s)
//     or RFC 3339 (2026-01-01T00:00:00Z), the same in all rows, later in each row than in
//     the one before. The trace starts at the first.
//   - arrivals: how many messages arrived in the interval, whole numbers. They are replayed
//     exactly, each at a random moment of its interval.
//   - or rate: how many messages arrive per second in the interval. They are replayed as a
//     Poisson process.
//
// An interval lasts until the next row; the last one as long as the one before it. Empty
// lines and lines that start with # are skipped. Errors name the line, the column, its
// value and the remedy.
func ReadCSV(name string, file io.Reader) (Trace, error) {
	r := reader{csv: csv.NewReader(withoutBOM(file))}
	r.csv.Comment = '#'
	r.csv.TrimLeadingSpace = true
	r.csv.FieldsPerRecord = -1 // told in our own words
	if err := r.header(); err != nil {
		return Trace{}, err
	}
	if err := r.rows(); err != nil {
		return Trace{}, err
	}
	t, err := r.trace(name)
	if err != nil {
		return Trace{}, err
	}
	return t, t.Validate()
}

// withoutBOM skips the byte order mark that spreadsheets put first.
func withoutBOM(file io.Reader) io.Reader {
	buffered := bufio.NewReader(file)
	if first, err := buffered.Peek(3); err == nil && string(first) == "\ufeff" {
		_, _ = buffered.Discard(3) // it was peeked at, so it is there
	}
	return buffered
}

type reader struct {
	csv         *csv.Reader
	time, value int    // indices of the columns
	column      string // the value's
	layout      layout
	intervals   []interval
}

type interval struct {
	line  int
	start time.Duration // from the first
	value float64
}

func (r *reader) header() error {
	record, line, err := r.next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is empty: it must have a header such as %q and at least two rows", columnTime+","+columnArrivals)
	}
	if err != nil {
		return err
	}
	r.time, r.value = -1, -1
	for i, title := range record {
		switch title = strings.ToLower(strings.TrimSpace(title)); title {
		case columnTime:
			r.time = i
		case columnArrivals, columnRate:
			r.value, r.column = i, title
		}
	}
	if len(record) != 2 || r.time < 0 || r.value < 0 {
		return fmt.Errorf("line %d: the header is %q: it must be %q (messages in each interval) or %q (messages per second)",
			line, strings.Join(record, ","), columnTime+","+columnArrivals, columnTime+","+columnRate)
	}
	return nil
}

func (r *reader) rows() error {
	for {
		record, line, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(record) != 2 {
			return fmt.Errorf("line %d: there are %d columns: there must be 2, %s and %s, without spaces or separators in numbers", line, len(record), columnTime, r.column)
		}
		if err := r.row(line, strings.TrimSpace(record[r.time]), strings.TrimSpace(record[r.value])); err != nil {
			return err
		}
	}
	if len(r.intervals) < 2 {
		return fmt.Errorf("there are %d rows below the header: there must be at least 2, because an interval lasts until the next row", len(r.intervals))
	}
	return nil
}

func (r *reader) row(line int, at, value string) error {
	if len(r.intervals) == 0 {
		var err error
		if r.layout, err = layoutOf(at); err != nil {
			return fmt.Errorf("line %d: column %s: %w", line, columnTime, err)
		}
	}
	start, err := r.layout.parse(at)
	if err != nil {
		return fmt.Errorf("line %d: column %s: %w", line, columnTime, err)
	}
	if n := len(r.intervals); n > 0 && start <= r.intervals[n-1].start {
		return fmt.Errorf("line %d: column %s is %q, not later than line %d: sort the rows by time, and merge those of the same time", line, columnTime, at, r.intervals[n-1].line)
	}
	amount, err := r.amount(value)
	if err != nil {
		return fmt.Errorf("line %d: column %s is %q: %w", line, r.column, value, err)
	}
	r.intervals = append(r.intervals, interval{line, start, amount})
	return nil
}

func (r *reader) amount(value string) (float64, error) {
	if r.column == columnArrivals {
		count, err := strconv.ParseInt(value, 10, 64)
		if err != nil || count < 0 || count > MaxMessages {
			return 0, fmt.Errorf("it must be a whole number of messages from 0 to %d; name the column %s if it is messages per second", MaxMessages, columnRate)
		}
		return float64(count), nil
	}
	rate, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(rate) || rate < 0 || rate > MaxMessages {
		return 0, fmt.Errorf("it must be a number of messages per second from 0 to %d, with a point and no unit", MaxMessages)
	}
	return rate, nil
}

// next is the next record and its line.
func (r *reader) next() ([]string, int, error) {
	record, err := r.csv.Read()
	if err != nil {
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			return nil, 0, fmt.Errorf("line %d: %w: write values without quotes, separated by one comma", syntax.Line, syntax.Err)
		}
		return nil, 0, err
	}
	line, _ := r.csv.FieldPos(0)
	return record, line, nil
}

func (r *reader) trace(name string) (Trace, error) {
	t := Trace{Name: name, Description: fmt.Sprintf("%d intervals of a file", len(r.intervals))}
	first := r.intervals[0].start
	for i, current := range r.intervals {
		length := current.start - r.intervals[max(i-1, 0)].start
		if i+1 < len(r.intervals) {
			length = r.intervals[i+1].start - current.start
		}
		if current.start-first > MaxLength {
			return Trace{}, fmt.Errorf("line %d: column %s is %s after the first row: a trace lasts at most %s; leave rows out, or check the unit of the column", current.line, columnTime, current.start-first, MaxLength)
		}
		if r.column == columnRate {
			t.Ramps = append(t.Ramps, Ramp{Length: length, From: current.value, To: current.value})
		} else {
			t.Batches = append(t.Batches, Batch{At: current.start - first, Length: length, Messages: int64(current.value)})
		}
	}
	return t, nil
}

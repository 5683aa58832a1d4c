package trace

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// layout is how a file writes times.
type layout int

const (
	layoutSeconds layout = iota + 1
	layoutDuration
	layoutRFC3339
)

var layouts = map[layout]string{
	layoutSeconds:  "seconds such as 90 or 1767225600.5",
	layoutDuration: "a duration such as 1m30s",
	layoutRFC3339:  "RFC 3339 such as 2026-01-01T00:01:30Z",
}

// layoutOf is the layout of the first time of a file.
func layoutOf(text string) (layout, error) {
	for _, candidate := range []layout{layoutSeconds, layoutDuration, layoutRFC3339} {
		if _, err := candidate.parse(text); err == nil {
			return candidate, nil
		}
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%q is out of range: a number is seconds; divide milliseconds by 1000", text)
	}
	return 0, fmt.Errorf("%q is no time: write %s, %s or %s", text, layouts[layoutSeconds], layouts[layoutDuration], layouts[layoutRFC3339])
}

// parse is a time as a duration since some moment that is the same for the whole file.
func (l layout) parse(text string) (time.Duration, error) {
	var since time.Duration
	var err error
	switch l {
	case layoutSeconds:
		var seconds float64
		seconds, err = strconv.ParseFloat(text, 64)
		if err == nil && !(math.Abs(seconds) < math.MaxInt64/1e9) {
			err = strconv.ErrRange
		}
		// Unix times have no room for nanoseconds in a float64.
		since = time.Duration(math.Round(seconds*1e3)) * time.Millisecond
	case layoutDuration:
		since, err = time.ParseDuration(text)
	case layoutRFC3339:
		var at time.Time
		at, err = time.Parse(time.RFC3339, text)
		since = time.Duration(at.UnixNano())
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not %s, as in the first row: write all times alike", text, layouts[l])
	}
	return since, nil
}

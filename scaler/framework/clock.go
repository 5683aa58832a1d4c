package framework

import (
	"math"
	"strconv"
	"time"
)

// Clock is how a time is written in the score of a sorted set's member.
type Clock struct {
	// Latest is the highest score that has come by a time.
	Latest func(time.Time) string
	// Time is the time that a score says; one that is not plausible where it says none.
	Time func(score float64) time.Time
}

// Seconds and Milliseconds are clocks of so many since 1970.
var (
	Seconds = Clock{
		Latest: func(now time.Time) string { return strconv.FormatFloat(float64(now.UnixMilli())/1000, 'f', 3, 64) },
		Time:   func(score float64) time.Time { return unixMilliseconds(score * 1000) },
	}
	Milliseconds = Clock{
		Latest: func(now time.Time) string { return strconv.FormatInt(now.UnixMilli(), 10) },
		Time:   unixMilliseconds,
	}
)

// unixMilliseconds is the time of so many since 1970; 1970 where they are too many for one.
func unixMilliseconds(since1970 float64) time.Time {
	if math.IsNaN(since1970) || math.Abs(since1970) > 1e16 {
		return time.UnixMilli(0)
	}
	return time.UnixMilli(int64(since1970))
}

// ReadTime reads a time. An error is a value of another form; a time that is not plausible (1970,
// for one) is a job that does not say when it came.
type ReadTime func(value string) (time.Time, error)

// unix reads a number of units since 1970.
func unix(unit time.Duration) ReadTime {
	return func(value string) (time.Time, error) {
		count, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return time.Time{}, err
		}
		return unixMilliseconds(float64(count) * (float64(unit) / float64(time.Millisecond))), nil
	}
}

// iso8601 reads an ISO 8601 time in UTC.
func iso8601(value string) (time.Time, error) { return time.Parse(time.RFC3339Nano, value) }

package trace

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadCSV(t *testing.T) {
	counts := []Batch{{0, time.Minute, 120}, {time.Minute, 90 * time.Second, 0}, {150 * time.Second, 90 * time.Second, 7}}
	for name, test := range map[string]struct {
		file    string
		ramps   []Ramp
		batches []Batch
	}{
		"seconds":       {file: "time,arrivals\n0,120\n60,0\n150,7\n", batches: counts},
		"Unix seconds":  {file: "time,arrivals\n1767225600,120\n1767225660,0\n1767225750,7\n", batches: counts},
		"durations":     {file: "time,arrivals\n0s,120\n1m,0\n2m30s,7\n", batches: counts},
		"RFC 3339":      {file: "time,arrivals\n2026-01-01T00:00:00Z,120\n2026-01-01T01:01:00+01:00,0\n2026-01-01T00:02:30.000Z,7\n", batches: counts},
		"other order":   {file: "arrivals,time\n120,0\n0,60\n7,150\n", batches: counts},
		"a spreadsheet": {file: "\ufeff\"Time\", Arrivals\r\n\r\n0, 120\r\n# midnight\r\n60, 0\r\n150, 7", batches: counts},
		"rates": {file: "time,rate\n10,1.5\n20,0\n",
			ramps: []Ramp{{10 * time.Second, 1.5, 1.5}, {10 * time.Second, 0, 0}}},
		"parts of seconds": {file: "time,rate\n0.5,4\n1.25,1e3\n",
			ramps: []Ramp{{750 * time.Millisecond, 4, 4}, {750 * time.Millisecond, 1000, 1000}}},
	} {
		t.Run(name, func(t *testing.T) {
			trace, err := ReadCSV("orders", strings.NewReader(test.file))
			require.NoError(t, err)
			assert.Equal(t, "orders", trace.Name)
			assert.Equal(t, test.ramps, trace.Ramps)
			assert.Equal(t, test.batches, trace.Batches)
		})
	}
}

func TestReadCSVErrors(t *testing.T) {
	for name, test := range map[string]struct{ file, words string }{
		"empty":             {"", `the file is empty: it must have a header such as "time,arrivals" and at least two rows`},
		"no header":         {"0,12\n60,13\n", `line 1: the header is "0,12": it must be "time,arrivals" (messages in each interval) or "time,rate" (messages per second)`},
		"another column":    {"time,messages\n0,1\n1,1\n", `line 1: the header is "time,messages"`},
		"both columns":      {"time,arrivals,rate\n0,1,1\n1,1,1\n", `line 1: the header is "time,arrivals,rate"`},
		"no rows":           {"time,rate\n", "there are 0 rows below the header: there must be at least 2"},
		"one row":           {"time,rate\n0,1\n", "there are 1 rows below the header: there must be at least 2"},
		"separators":        {"time,arrivals\n0,1\n60,1,200\n", "line 3: there are 3 columns: there must be 2, time and arrivals, without spaces or separators in numbers"},
		"missing value":     {"time,arrivals\n0,1\n60\n", "line 3: there are 1 columns"},
		"no time":           {"time,arrivals\nnoon,1\n60,1\n", `line 2: column time: "noon" is no time: write seconds such as 90`},
		"not a number":      {"time,arrivals\n0,1\nNaN,1\n", `line 3: column time: "NaN" is not seconds such as 90`},
		"mixed times":       {"time,arrivals\n0,1\n1m,1\n", `line 3: column time: "1m" is not seconds such as 90 or 1767225600.5, as in the first row: write all times alike`},
		"backwards":         {"time,arrivals\n0,1\n\n60,1\n30,1\n", `line 5: column time is "30", not later than line 4: sort the rows by time, and merge those of the same time`},
		"the same time":     {"time,arrivals\n0,1\n0,1\n", `line 3: column time is "0", not later than line 2`},
		"negative count":    {"time,arrivals\n0,-1\n60,1\n", `line 2: column arrivals is "-1": it must be a whole number of messages from 0 to 1000000000; name the column rate if it is messages per second`},
		"fractional count":  {"time,arrivals\n0,1\n60,1.5\n", `line 3: column arrivals is "1.5": it must be a whole number of messages`},
		"negative rate":     {"time,rate\n0,1\n60,-0.5\n", `line 3: column rate is "-0.5": it must be a number of messages per second from 0 to 1000000000, with a point and no unit`},
		"rate with a unit":  {"time,rate\n0,5/s\n60,1\n", `line 2: column rate is "5/s"`},
		"infinite rate":     {"time,rate\n0,Inf\n60,1\n", `line 2: column rate is "Inf"`},
		"no rate":           {"time,rate\n0,NaN\n60,1\n", `line 2: column rate is "NaN"`},
		"open quote":        {"time,rate\n0,\"1\n60,1\n", `line 3: extraneous or missing " in quoted-field: write values without quotes`},
		"milliseconds":      {"time,rate\n1767225600000,1\n1767225660000,1\n", `line 2: column time: "1767225600000" is out of range: a number is seconds; divide milliseconds by 1000`},
		"minutes of a year": {"time,rate\n0,1\n60,1\n3600000,1\n", "line 4: column time is 1000h0m0s after the first row: a trace lasts at most 744h0m0s; leave rows out, or check the unit of the column"},
		"far too many":      {"time,rate\n0,1000000\n3600,1000000\n", "the trace has 7200000000 messages: at most 1000000000 can be replayed"},
		"time out of range": {"time,rate\n1e300,1\n60,1\n", `"1e300" is out of range`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCSV("orders", strings.NewReader(test.file))
			assert.ErrorContains(t, err, test.words)
		})
	}
}

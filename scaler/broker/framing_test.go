package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fragmented follows the replies in pieces of that many bytes.
func fragmented(f *framing, replies string, size int) error {
	for len(replies) > 0 {
		n := min(size, len(replies))
		if err := f.follow([]byte(replies[:n])); err != nil {
			return err
		}
		replies = replies[n:]
	}
	return nil
}

func TestFramingTakesWhatRedisSends(t *testing.T) {
	for name, replies := range map[string]string{
		"a status":                  "+OK\r\n",
		"an empty status":           "+\r\n",
		"an error":                  "-ERR unknown command 'HELLO'\r\n",
		"numbers":                   ":0\r\n:-1\r\n:9223372036854775807\r\n:-9223372036854775808\r\n",
		"strings":                   "$0\r\n\r\n$5\r\na\r\nbc\r\n$-1\r\n",
		"arrays":                    "*0\r\n*-1\r\n*2\r\n:1\r\n*1\r\n$-1\r\n",
		"ranges of a cluster":       "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:6379\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\na\r\n",
		"an error inside":           "*2\r\n-ERR no\r\n+OK\r\n",
		"the largest string":        "$8388608\r\n" + strings.Repeat("x", maxBulk) + "\r\n",
		"an array in the last one":  "*1\r\n*1\r\n*0\r\n:1\r\n",
		"the longest line":          "+" + strings.Repeat("x", maxLine) + "\r\n",
		"the deepest array":         strings.Repeat("*1\r\n", maxNesting) + ":1\r\n",
		"the longest array that is": "*131072\r\n" + strings.Repeat("*0\r\n", maxElements),
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20, len(replies)} {
			if size < 7 && len(replies) > 1<<20 {
				continue
			}
			var f framing
			require.NoError(t, fragmented(&f, replies, size), "%s in pieces of %d", name, size)
			assert.True(t, f.between(), "%s in pieces of %d: something is to come yet", name, size)
		}
	}
}

func TestFramingRefusesWhatGoRedisMustNotSee(t *testing.T) {
	limit, other := new(*ReplyLimitError), new(*NotRESPError)
	for name, test := range map[string]struct {
		replies string
		want    any
		words   string
	}{
		"a string of 2^63 bytes":    {"$9223372036854775800\r\n", limit, "a string of 9223372036854775800 bytes; at most 8388608 are read"},
		"an array of 2^63 elements": {"*9223372036854775800\r\n", limit, "an array of 9223372036854775800 elements; at most 131072 are read"},
		"more than a number holds":  {"$18446744073709551616\r\n", limit, "a string of 18446744073709551616 bytes"},
		"digits without an end":     {"$" + strings.Repeat("1", 100), other, "more than 20 digits"},
		"one byte too many":         {"$8388609\r\n", limit, "a string of 8388609 bytes"},
		"one element too many":      {"*131073\r\n", limit, "an array of 131073 elements"},
		"one level too many":        {strings.Repeat("*1\r\n", maxNesting+1), limit, "arrays in arrays of 9 levels; at most 8"},
		"a line too long":           {"+" + strings.Repeat("x", maxLine+3), limit, "a line of more than 16384 bytes"},
		"an error too long":         {"-" + strings.Repeat("x", maxLine+3), limit, "a line of more than 16384 bytes"},
		"arrays that add up":        {"*65536\r\n" + strings.Repeat("*65536\r\n", 7), limit, "replies to one pipeline of more than 16777216 bytes"},
		"strings that add up":       {strings.Repeat("$8388000\r\n"+strings.Repeat("x", 8388000)+"\r\n", 5), limit, "replies to one pipeline of more than 16777216 bytes"},
		"a length of -2":            {"$-2\r\n", other, "a length is not a number"},
		"an array of -5":            {"*-5\r\n", other, "a length is not a number"},
		"a length with a sign":      {"$+5\r\n", other, "a length is not a number"},
		"no length":                 {"$\r\n", other, "a length is missing"},
		"no number":                 {":\r\n", other, "a number is malformed"},
		"a number with words":       {":12 apples\r\n", other, "a number is malformed"},
		"no CR":                     {"+OK\n", other, "a line does not end with CR LF"},
		"only LF":                   {"+\n", other, "a line does not end with CR LF"},
		"an empty line":             {"\r\n", other, "a reply begins with the byte 0x0d"},
		"a longer string":           {"$1\r\nab\r\n", other, "a string is longer than announced"},
		"a string without its LF":   {"$1\r\na\rb", other, "a string is longer than announced"},
		"a map":                     {"%1\r\n", other, "the byte 0x25"},
		"a set":                     {"~1\r\n", other, "the byte 0x7e"},
		"a push":                    {">1\r\n", other, "the byte 0x3e"},
		"an attribute":              {"|1\r\n", other, "the byte 0x7c"},
		"a verbatim string":         {"=5\r\n", other, "the byte 0x3d"},
		"a long error":              {"!5\r\n", other, "the byte 0x21"},
		"a big number":              {"(1\r\n", other, "the byte 0x28"},
		"a streamed string":         {"$?\r\n", other, "a length is not a number"},
		"a map in an array":         {"*1\r\n%1\r\n", other, "the byte 0x25"},
		"a banner":                  {"HTTP/1.1 400 Bad Request\r\n", other, "the byte 0x48"},
	} {
		for _, size := range []int{1, 3, 1 << 20} {
			var f framing
			err := fragmented(&f, test.replies, size)
			require.ErrorAs(t, err, test.want, "%s in pieces of %d", name, size)
			assert.ErrorContains(t, err, test.words, "%s in pieces of %d", name, size)
		}
	}
}

// What many servers' replies hold together is bounded, for one namespace and for all; small
// ones always have room.
func TestReplyBudget(t *testing.T) {
	b := newBudget()
	var g guards
	header := []byte("$8388608\r\n")
	var full []*guard
	take := func(namespace string) {
		guard := g.add("full", newShare(b, namespace))
		guard.sending()
		require.NoError(t, guard.received(header[:4]))
		require.NoError(t, guard.received(header[4:]))
		full = append(full, guard)
	}
	take("greedy")
	take("greedy")
	late := g.add("late:6379", newShare(b, "greedy"))
	err := late.received(header)
	require.ErrorAs(t, err, new(*ReplyBudgetError))
	require.ErrorContains(t, err, "late:6379 does not fit beside others of its namespace")
	assert.Equal(t, ReplyBudget, causeOf(err))
	require.ErrorAs(t, late.received([]byte("+OK\r\n")), new(*ReplyBudgetError), "a connection that was refused stays so")

	take("another") // what is left is for the others
	other := g.add("other", newShare(b, "third"))
	require.ErrorContains(t, other.received(header), "does not fit beside all others")
	small := g.add("small", newShare(b, "greedy"))
	require.NoError(t, small.received([]byte(strings.Repeat(":1\r\n", 1000))), "small replies need no share")

	g.settle()
	require.Error(t, g.add("again", newShare(b, "third")).received(header), "what has not come to its end is held yet")
	for _, guard := range full {
		guard.closed()
		guard.closed() // go-redis may close twice
	}
	assert.Zero(t, b.taken)
	assert.Empty(t, b.byNamespace)
	last := g.add("last", newShare(b, "third"))
	require.NoError(t, last.received(header))
	require.NoError(t, last.received([]byte(strings.Repeat("x", maxBulk)+"\r\n")))
	assert.NotZero(t, b.taken)
	g.settle()
	assert.Zero(t, b.taken, "what has been used gives back its share")
}

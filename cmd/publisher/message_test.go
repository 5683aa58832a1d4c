package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestPayloadAsAsked(t *testing.T) {
	raw := "\x00{{not a template}}\n"
	for name, tc := range map[string]struct{ args, want []string }{
		"template": {[]string{`--payload={"order":{{.Number}},"to":"{{.Channel}}"}`}, []string{`{"order":0,"to":"q"}`, `{"order":1,"to":"q"}`}},
		"template of a file": {
			[]string{"--payload-template-file=" + file(t, "p.tmpl", `{{printf "%05d" .Number}}`)}, []string{"00000", "00001"},
		},
		"file, byte for byte": {[]string{"--payload-file=" + file(t, "p.bin", raw)}, []string{raw, raw}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			code, _, side := publishTo(t, server.Addr, append(tc.args, "--count=2", "--progress=0")...)
			require.Zero(t, code, side)
			assert.Equal(t, []string{tc.want[1], tc.want[0]}, server.Client().LRange(t.Context(), "q", 0, -1).Val())
		})
	}
}

// A handler finds in the payload when the message was sent, and how long it is to take.
func TestPayloadsSayWhatMessagesAreToTake(t *testing.T) {
	works := func(args ...string) (micros []int64, sum float64) {
		server := redistest.Start(t)
		before := time.Now()
		code, _, side := publishTo(t, server.Addr, append(args, "--work-time=200ms", "--count=2000", "--progress=0")...)
		require.Zero(t, code, side)
		for i, text := range server.Client().LRange(t.Context(), "q", 0, -1).Val() {
			var timed struct {
				Run                            string
				Number, SentMicros, WorkMicros int64
			}
			require.NoError(t, json.Unmarshal([]byte(text), &timed), text)
			require.EqualValues(t, 1999-i, timed.Number)
			require.WithinRange(t, time.UnixMicro(timed.SentMicros), before.Add(-time.Second), time.Now())
			micros, sum = append(micros, timed.WorkMicros), sum+float64(timed.WorkMicros)
		}
		return micros, sum / float64(len(micros))
	}
	exponential, mean := works()
	assert.InEpsilon(t, 200_000, mean, 0.1)
	again, _ := works()
	assert.Equal(t, exponential, again, "the same seed, the same times")
	other, _ := works("--seed=2")
	assert.NotEqual(t, exponential, other)
	fixed, _ := works("--work-time-distribution=fixed")
	assert.EqualValues(t, 200_000, fixed[0])
	assert.EqualValues(t, 200_000, fixed[1])
	_, mean = works("--work-time-distribution=lognormal", "--work-time-variation=2")
	assert.InEpsilon(t, 200_000, mean, 0.3)
}

func TestFieldsOfAStream(t *testing.T) {
	server := redistest.Start(t)
	code, _, side := publishTo(t, server.Addr, "--queue-type=Stream", "--payload=p", "--field=ce_type=order.made", "--field=n={{.Number}}", "--count=2", "--progress=0")
	require.Zero(t, code, side)
	entries := server.Client().XRange(t.Context(), "q", "-", "+").Val()
	require.Len(t, entries, 2)
	assert.Equal(t, map[string]any{"payload": "p", "ce_type": "order.made", "n": "1"}, entries[1].Values)

	code, _, side = publishTo(t, server.Addr, "--channel=new", "--field=a=b", "--count=1", "--progress=0")
	assert.Equal(t, program.Failed, code)
	assert.Contains(t, side, `"new" is a List, and only a stream's entries have fields`)
}

func TestSeveralKeysTakeTurns(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "b", Values: []any{"payload", "first"}}).Err())
	env := map[string]string{"QUEUE_KEYS": `["a","b","c"]`, "CHANNEL": "a"}
	var out, side bytes.Buffer
	code := run(t.Context(), []string{"--redis-address", server.Addr, "--count=301", "--pipeline=50", "--progress=0"}, func(name string) string { return env[name] }, nil, &out, &side, false)
	require.Zero(t, code, side.String())
	assert.EqualValues(t, 101, client.LLen(t.Context(), "a").Val())
	assert.EqualValues(t, 101, client.XLen(t.Context(), "b").Val(), "each key has its own kind")
	assert.EqualValues(t, 100, client.LLen(t.Context(), "c").Val())
	assert.Contains(t, out.String(), "sent 301 messages")
}

func TestStdin(t *testing.T) {
	server := redistest.Start(t)
	lines := strings.Repeat("a line\n", 250) + "\nthe last, without an end"
	var out, side bytes.Buffer
	code := run(t.Context(), []string{"--redis-address", server.Addr, "--channel=q", "--stdin", "--progress=0", "--pipeline=100"}, noEnv, strings.NewReader(lines), &out, &side, false)
	require.Zero(t, code, side.String())
	assert.Contains(t, out.String(), "sent 252 messages")
	values := server.Client().LRange(t.Context(), "q", 0, -1).Val()
	assert.Equal(t, []string{"the last, without an end", "", "a line"}, values[:3])
}

// What is read may come in slower than the rate: that is no rate that was not kept. And all
// that came in is sent.
func TestStdinIsSentAsItComesIn(t *testing.T) {
	server := redistest.Start(t)
	in, write := io.Pipe()
	done := make(chan string)
	go func() {
		var out, side bytes.Buffer
		run(t.Context(), []string{"--redis-address", server.Addr, "--channel=q", "--stdin", "--rate=1000", "--progress=0"}, noEnv, in, &out, &side, false)
		done <- out.String() + side.String()
	}()
	client := server.Client()
	for n := int64(1); n <= 3; n++ {
		_, err := io.WriteString(write, "a line\n")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return client.LLen(t.Context(), "q").Val() == n }, time.Minute, 10*time.Millisecond)
	}
	require.NoError(t, write.Close())
	said := <-done
	assert.Contains(t, said, "sent 3 messages")
	assert.NotContains(t, said, "rate")
}

func TestALineThatIsTooLongIsTold(t *testing.T) {
	server := redistest.Start(t)
	var out, side bytes.Buffer
	code := run(t.Context(), []string{"--redis-address", server.Addr, "--channel=q", "--stdin"}, noEnv, strings.NewReader(strings.Repeat("x", maxSize+2)), &out, &side, false)
	assert.Equal(t, program.Failed, code)
	assert.Contains(t, side.String(), "more than 67108864 bytes")
}

func TestMembersThatWereThereAreTold(t *testing.T) {
	server := redistest.Start(t)
	code, out, side := publishTo(t, server.Addr, "--queue-type=SortedSet", "--payload=same", "--count=5", "--pipeline=1", "--progress=0")
	require.Zero(t, code, side)
	assert.Contains(t, out, "sent 5 messages")
	assert.Contains(t, out, "4 of them were in the sorted set already")
}

// What is read ahead is no more than what is sent at once: lines may be large.
func TestLinesAreReadAheadWithinBounds(t *testing.T) {
	const all, ahead = 20, 3
	o, err := parse([]string{"--channel=q", "--stdin", "--pipeline=3"}, noEnv, io.Discard)
	require.NoError(t, err)
	require.Equal(t, ahead, o.pipeline)
	in := readLines(strings.NewReader(strings.Repeat("x\n", all)), o.pipeline)
	require.Eventually(t, func() bool { return len(in.lines) == ahead }, time.Minute, time.Millisecond)
	var got int
	for {
		taken, err := in.take(t.Context(), 100)
		got += len(taken)
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Equal(t, all, got)
}

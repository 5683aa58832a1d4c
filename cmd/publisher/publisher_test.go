package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// asPublisher makes the test binary run main in place of the tests.
const asPublisher = "PUBLISHER_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPublisher) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func noEnv(string) string { return "" }

// publishTo runs the publisher and returns its exit code and both outputs.
func publishTo(t *testing.T, addr string, args ...string) (code int, out, side string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--channel") }) {
		args = append(args, "--channel=q")
	}
	args = append([]string{"--redis-address", addr}, args...)
	code = run(t.Context(), args, noEnv, nil, &stdout, &stderr, false)
	return code, stdout.String(), stderr.String()
}

func TestOptions(t *testing.T) {
	env := map[string]string{
		"REDIS_ADDR": "a:1,b:2", "REDIS_MODE": "Standalone", "REDIS_TLS": "true", "REDIS_TLS_CA_FILE": "/ca.crt",
		"CHANNEL": "orders", "REDIS_PASSWORD": "hunter2",
	}
	o, err := parse([]string{"--channel", "other", "--rate=2.5", "--redis-mode=Cluster", "--redis-tls-server-name=r"}, func(name string) string { return env[name] }, io.Discard)
	require.NoError(t, err)
	require.Equal(t, connection.Settings{
		Mode: connection.Cluster, Addresses: []string{"a:1", "b:2"}, Password: "hunter2",
		TLS: &connection.TLS{CAFile: "/ca.crt", ServerName: "r"},
	}, o.redis, "from the environment, but for the flags")
	require.Equal(t, []string{"other"}, o.channels, "a flag wins")
	require.InDelta(t, 2.5, o.rate, 0)

	o, err = parse([]string{"--channel", "q"}, noEnv, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:6379"}, o.redis.Addresses)
	require.Equal(t, kindAuto, o.queueType)

	var help bytes.Buffer
	_, err = parse([]string{"--help"}, func(name string) string { return env[name] }, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, help.String(), "-burst-interval")
	require.NotContains(t, help.String(), "hunter2")
}

func TestBadOptionsAreNamedWithTheRemedy(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"no channel":             {[]string{"--channel="}, `--channel is "": set it to the key`},
		"address":                {[]string{"--redis-address=redis://h"}, `--redis-address is "redis://h": set it to host:port`},
		"queue type":             {[]string{"--queue-type=Topic"}, `--queue-type is "Topic": set it to one of Auto, List, Stream, SortedSet, PubSub`},
		"score":                  {[]string{"--score=Days"}, `--score is "Days": set it to UnixSeconds`},
		"mode":                   {[]string{"--redis-mode=Ring"}, `--redis-mode is "Ring": set it to one of`},
		"no sentinel master":     {[]string{"--redis-mode=Sentinel"}, `--redis-sentinel-master is ""`},
		"rate":                   {[]string{"--rate=-1"}, `--rate is "-1": set it from 0`},
		"rate not a number":      {[]string{"--rate=NaN"}, `--rate is "NaN": set it from 0`},
		"size":                   {[]string{"--size=0"}, `--size is "0": set it from 1`},
		"pipeline":               {[]string{"--pipeline=0"}, `--pipeline is "0": set it from 1`},
		"burst":                  {[]string{"--burst=-1"}, `--burst is "-1"`},
		"burst interval":         {[]string{"--burst-interval=0s"}, `--burst-interval is "0s": set it to more than 0`},
		"max length of a list":   {[]string{"--queue-type=List", "--max-length=5"}, `--max-length is "5": only a stream is trimmed`},
		"the same channel twice": {[]string{"--channel=a", "--channel=a"}, `--channel is "a": name each key once`},
		"ramp without an end":    {[]string{"--rate=5", "--ramp-to=9"}, `--ramp-to is "9": say in --ramp`},
		"ramp of nothing":        {[]string{"--ramp=5m"}, `--ramp is "5m0s": set --rate or --ramp-to`},
		"trace and rate":         {[]string{"--trace=flash", "--rate=5"}, `--trace is "flash": a trace has its own rates`},
		"no such trace":          {[]string{"--trace=/none.csv"}, `name a CSV file, or one of flash`},
		"speed without a trace":  {[]string{"--trace-speed=5"}, `name a trace`},
		"no speed":               {[]string{"--trace=flash", "--trace-speed=0"}, `--trace-speed is "0": set it from 0.001`},
		"hardly any speed":       {[]string{"--trace=flash", "--trace-speed=1e-300"}, `--trace-speed is "1e-300": set it from 0.001`},
		"a speed of the limit":   {[]string{"--trace=flash", "--trace-speed=0.001"}, `the trace lasts 3500h0m0s`},
		"two payloads":           {[]string{"--payload=a", "--stdin"}, `--payload and --stdin are given`},
		"template":               {[]string{"--payload={{.Nmber}}"}, `--payload is "{{.Nmber}}": `},
		"no payload file":        {[]string{"--payload-file=/none"}, `--payload-file is "/none"`},
		"field without a name":   {[]string{"--field==x"}, `--field is "=x": write it as name=value`},
		"field of the payload":   {[]string{"--field=payload=x"}, `a field payload already`},
		"field of a list":        {[]string{"--queue-type=List", "--field=a=x"}, `only a stream's entries have fields`},
		"distribution":           {[]string{"--work-time-distribution=normal"}, `--work-time-distribution is "normal": set it to fixed, exponential or lognormal`},
		"variation":              {[]string{"--work-time-variation=-1"}, `--work-time-variation is "-1": set it to more than 0`},
		"work time, not told":    {[]string{"--work-time=1s", "--payload=x"}, `--work-time is "1s": no message says what it is to take: use {{.Work}}`},
		"work time of lines":     {[]string{"--work-time=1s", "--stdin"}, `--work-time is "1s": no message says`},
		"metrics address":        {[]string{"--metrics-address=9090"}, `--metrics-address is "9090": set it to host:port or :port`},
		"argument":               {[]string{"orders"}, `unexpected argument "orders"`},
		"unknown flag":           {[]string{"--password=x"}, `flag provided but not defined: -password`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var side bytes.Buffer
			if !slices.ContainsFunc(tc.args, func(arg string) bool { return strings.HasPrefix(arg, "--channel") }) {
				tc.args = append(tc.args, "--channel=q")
			}
			code := run(t.Context(), tc.args, noEnv, nil, io.Discard, &side, false)
			require.Equal(t, program.Usage, code)
			require.Contains(t, side.String(), tc.want)
		})
	}
}

func TestSchedule(t *testing.T) {
	at := func(s *schedule, elapsed time.Duration) int64 { return s.due(elapsed, math.MaxInt64) }
	t.Run("rate", func(t *testing.T) {
		s := newSchedule(options{rate: 10})
		require.EqualValues(t, 0, at(s, 0))
		require.Equal(t, 100*time.Millisecond, s.wait(0))
		require.EqualValues(t, 1, at(s, 100*time.Millisecond))
		require.EqualValues(t, 5, at(s, 600*time.Millisecond))
		require.EqualValues(t, 2, s.due(time.Second, 2), "no more than the limit")
		require.EqualValues(t, 2, at(s, time.Second), "the rest follows")
	})
	t.Run("rate after an outage goes on, and does not make up for it", func(t *testing.T) {
		s := newSchedule(options{rate: 10})
		require.EqualValues(t, 10, at(s, time.Hour))
		require.EqualValues(t, 0, at(s, time.Hour))
		require.EqualValues(t, 5, at(s, time.Hour+500*time.Millisecond))
	})
	t.Run("less than one a second", func(t *testing.T) {
		s := newSchedule(options{rate: 0.1})
		require.EqualValues(t, 0, at(s, 9*time.Second))
		require.Equal(t, time.Second, s.wait(9*time.Second))
		require.EqualValues(t, 1, at(s, 10*time.Second))
	})
	t.Run("bursts", func(t *testing.T) {
		s := newSchedule(options{burst: 50, burstInterval: time.Second})
		require.EqualValues(t, 30, s.due(0, 30), "at once, in parts")
		require.Zero(t, s.wait(0))
		require.EqualValues(t, 20, s.due(0, 30))
		require.Equal(t, time.Second, s.wait(0))
		require.EqualValues(t, 0, at(s, 999*time.Millisecond))
		require.EqualValues(t, 50, at(s, time.Second))
	})
	t.Run("rate and bursts", func(t *testing.T) {
		s := newSchedule(options{rate: 10, burst: 50, burstInterval: time.Second})
		require.EqualValues(t, 50, at(s, 0))
		require.EqualValues(t, 5, at(s, 500*time.Millisecond))
		require.EqualValues(t, 55, at(s, time.Second))
	})
	t.Run("as fast as possible", func(t *testing.T) {
		require.EqualValues(t, 7, newSchedule(options{}).due(0, 7))
	})
}

func TestPayload(t *testing.T) {
	for size, want := range map[int]string{
		30: "0000beef-000000000042.........", 21: "0000beef-000000000042", 4: "0042", 1: "2",
	} {
		require.Equal(t, want, payload("0000beef", 42, size))
	}
}

func TestCountAndSize(t *testing.T) {
	for name, tc := range map[string]struct {
		args     []string
		contents func(t *testing.T, client *redis.Client) []string // in the order of consumption
	}{
		"list": {nil, func(t *testing.T, client *redis.Client) []string {
			values := client.LRange(t.Context(), "q", 0, -1).Val()
			for i, j := 0, len(values)-1; i < j; i, j = i+1, j-1 {
				values[i], values[j] = values[j], values[i]
			}
			return values
		}},
		"stream": {[]string{"--queue-type=Stream"}, func(t *testing.T, client *redis.Client) []string {
			var values []string
			for _, entry := range client.XRange(t.Context(), "q", "-", "+").Val() {
				values = append(values, fmt.Sprint(entry.Values["payload"]))
			}
			return values
		}},
		"sorted set": {[]string{"--queue-type=SortedSet"}, func(t *testing.T, client *redis.Client) []string {
			return client.ZRange(t.Context(), "q", 0, -1).Val() // of one second or two, so in their order
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			args := append(tc.args, "--count=1050", "--size=40", "--pipeline=100", "--progress=0")
			code, out, side := publishTo(t, server.Addr, args...)
			require.Zero(t, code)
			require.Empty(t, side)
			require.Regexp(t, `^sent 1050 messages in \d+\.\d s: [\d.]+ messages/s, 0 errors\n$`, out)
			values := tc.contents(t, server.Client())
			require.Len(t, values, 1050)
			for i, value := range values {
				require.Len(t, value, 40)
				require.Contains(t, value, fmt.Sprintf("-%012d.", i), "in order, each once")
			}
		})
	}
}

func TestRateAndDuration(t *testing.T) {
	server := redistest.Start(t)
	code, _, side := publishTo(t, server.Addr, "--rate=100", "--duration=2s", "--progress=500ms")
	require.Zero(t, code)
	sent := server.Client().LLen(t.Context(), "q").Val()
	require.LessOrEqual(t, sent, int64(210), "no faster, and as fast as the machine can")
	require.Positive(t, sent)
	require.GreaterOrEqual(t, strings.Count(side, "\n"), 2, side)
	require.Regexp(t, `(?m)^ +\d+\.\d s  sent \d+  [\d.]+ messages/s$`, side)
	require.NotContains(t, side, "\r")
}

func TestBursts(t *testing.T) {
	server := redistest.Start(t)
	code, _, _ := publishTo(t, server.Addr, "--burst=300", "--burst-interval=10s", "--duration=1s", "--progress=0")
	require.Zero(t, code)
	require.EqualValues(t, 300, server.Client().LLen(t.Context(), "q").Val())
}

func TestMaxLength(t *testing.T) {
	server := redistest.Start(t)
	code, _, _ := publishTo(t, server.Addr, "--queue-type=Stream", "--count=2000", "--max-length=100", "--progress=0")
	require.Zero(t, code)
	require.Less(t, server.Client().XLen(t.Context(), "q").Val(), int64(300), "about 100: trimmed by whole nodes")
}

func TestAutoFollowsTheKey(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "q", Values: []any{"payload", "first"}}).Err())
	code, _, _ := publishTo(t, server.Addr, "--count=3", "--progress=0")
	require.Zero(t, code)
	require.EqualValues(t, 4, client.XLen(t.Context(), "q").Val())
}

func TestErrorsThatEndTheRun(t *testing.T) {
	server := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "hunter2")
	require.NoError(t, server.Client().HSet(t.Context(), "q", "f", "v").Err())
	for name, tc := range map[string]struct{ addr, want string }{
		"not a queue": {server.Addr, `--channel is "q", which holds a hash`},
		"no password": {locked.Addr, "NOAUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, side := publishTo(t, tc.addr, "--count=1")
			require.Equal(t, program.Failed, code)
			require.Contains(t, side, tc.want)
			require.Contains(t, out, "sent 0 messages")
		})
	}
}

func TestProgressOnATerminalStaysOnOneLine(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	p := &progress{out: &out, terminal: true, interval: time.Second, now: func() time.Time { return now }}
	p.start(now)
	p.report(totals{sent: 5})
	require.Empty(t, out.String(), "not yet")
	now = now.Add(2 * time.Second)
	p.report(totals{sent: 10})
	now = now.Add(2 * time.Second)
	p.report(totals{sent: 20, unknown: 1, errors: 2})
	p.end()
	p.end()
	require.Equal(t, "\r     2.0 s  sent 10  5.0 messages/s\x1b[K"+
		"\r     4.0 s  sent 20  5.0 messages/s  errors 2  unknown 1\x1b[K\n", out.String())
}

// losingReplies breaks connections between the client and the server: while it is on,
// what the client sends arrives, and no reply comes back.
type losingReplies struct{ on atomic.Bool }

func (l *losingReplies) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &losingConn{conn, l}, err
}

type losingConn struct {
	net.Conn
	losing *losingReplies
}

func (c *losingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.losing.on.Load() && n > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func TestLostReplies(t *testing.T) {
	for kind, length := range map[string]func(*redis.Client) *redis.IntCmd{
		kindList:      func(c *redis.Client) *redis.IntCmd { return c.LLen(t.Context(), "q") },
		kindStream:    func(c *redis.Client) *redis.IntCmd { return c.XLen(t.Context(), "q") },
		kindSortedSet: func(c *redis.Client) *redis.IntCmd { return c.ZCard(t.Context(), "q") },
	} {
		t.Run(kind, func(t *testing.T) {
			server := redistest.Start(t)
			losing := &losingReplies{}
			client := redis.NewClient(&redis.Options{
				Addr: server.Addr, Dialer: losing.dial, Protocol: 2, MaxRetries: -1, DisableIdentity: true,
			})
			defer client.Close()
			require.NoError(t, client.Ping(t.Context()).Err())
			var troubles []error
			p := newPublisher(options{channels: []string{"q"}, queueType: kind, score: scoreSeconds, size: 30, pipeline: 10}, client, func(err error) { troubles = append(troubles, err) })
			losing.on.Store(true)
			require.NoError(t, p.send(t.Context(), 3))
			losing.on.Store(false)
			require.NoError(t, p.send(t.Context(), 2))
			require.Equal(t, totals{sent: 2, unknown: 3, errors: 1}, p.totals)
			require.Len(t, troubles, 2)
			require.Error(t, troubles[0])
			require.NoError(t, troubles[1])
			require.EqualValues(t, 5, length(server.Client()).Val(), "they had arrived, and are not sent again")
		})
	}
	require.Contains(t, summary(totals{sent: 2, unknown: 3}, time.Second), "3 more messages without a reply")
}

func TestMessagesThatWereNotSentAreSentAgain(t *testing.T) {
	server := redistest.Start(t)
	o := options{channels: []string{"q"}, queueType: kindList, size: 30, pipeline: 10}
	client := connection.Settings{Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: poolSize})
	defer client.Close()
	var restarted atomic.Bool
	p := newPublisher(o, client, func(err error) {
		if err != nil && restarted.CompareAndSwap(false, true) {
			server.Restart()
		}
	})
	server.Stop()
	require.NoError(t, p.send(t.Context(), 5))
	require.EqualValues(t, 5, p.totals.sent)
	require.Zero(t, p.totals.unknown)
	require.EqualValues(t, 5, client.LLen(t.Context(), "q").Val())
}

// The process itself, as in a pod: settings from the environment, ended by a signal.
func TestInterruptEndsWithTheSummary(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "--rate=50")
			cmd.Env = []string{asPublisher + "=1", "REDIS_ADDR=" + server.Addr, "CHANNEL=q"}
			var out bytes.Buffer
			cmd.Stdout = &out
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			require.NoError(t, client.Del(t.Context(), "q").Err())
			require.Eventually(t, func() bool { return client.LLen(t.Context(), "q").Val() > 5 }, time.Minute, 10*time.Millisecond)
			require.NoError(t, cmd.Process.Signal(signal))
			require.NoError(t, cmd.Wait(), "exit code 0")
			assert.Regexp(t, `^sent \d+ messages in .*, 0 errors\n$`, out.String())
		})
	}
}

func TestUnreachableServer(t *testing.T) {
	code, out, side := publishTo(t, "127.0.0.1:1", "--duration=300ms")
	require.Equal(t, program.Failed, code)
	require.Contains(t, out, "sent 0 messages")
	require.Equal(t, 1, strings.Count(side, "the server fails"), "told once")
}

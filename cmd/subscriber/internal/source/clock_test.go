package source

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// ahead has the server's clock tell a later time, which goes on as the clock does that tests move.
type ahead struct {
	by    atomic.Int64
	clock *clock
}

func (a *ahead) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (a *ahead) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if told, ok := cmd.(*redis.TimeCmd); ok && err == nil {
			told.SetVal(told.Val().Add(time.Duration(a.by.Load() + a.clock.offset.Load())))
		}
		return err
	}
}

func (a *ahead) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *testbed) clockOfServer(t *testing.T) *ahead {
	t.Helper()
	clock := &ahead{clock: b.clock}
	b.Client.AddHook(clock)
	return clock
}

// The server's clock goes an hour ahead, as by a failover to one whose clock is: no lease of a worker that
// lives is taken for ended before it had the time to extend it.
func TestListKeepsWhatIsInWorkWhenTheClockGoesAhead(t *testing.T) {
	b := newTestbed(t)
	server := b.clockOfServer(t)
	b.push(t, "m")
	busy := b.list(t)
	m := fetchOne(t, busy)
	other := NewList(b.other("other"))
	require.NoError(t, other.Recover(t.Context()))
	b.clock.advance(reclaimGrace)
	server.by.Store(int64(time.Hour))
	require.NoError(t, other.heartbeat(t.Context()))
	look := func() {
		t.Helper()
		other.nextLook = time.Time{}
		none, err := other.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		require.Empty(t, none, "it is in work")
	}
	look()
	require.NoError(t, busy.heartbeat(t.Context()))
	b.clock.advance(reclaimGrace)
	require.NoError(t, other.heartbeat(t.Context()))
	look()
	require.NoError(t, busy.Ack(t.Context(), m))
}

// The server's clock goes back by hours: what waits for another delivery does not wait for hours.
func TestListDeliversWhatWaitsWhenTheClockGoesBack(t *testing.T) {
	b := newTestbed(t)
	server := b.clockOfServer(t)
	server.by.Store(int64(3 * time.Hour))
	b.push(t, "failed", "asked for five minutes")
	l := b.list(t)
	require.NoError(t, l.Retry(t.Context(), fetchOne(t, l), time.Second))
	server.by.Store(0)
	require.NoError(t, l.heartbeat(t.Context()))
	later := fetchOne(t, l)
	require.NoError(t, l.Release(t.Context(), []Message{later}, 5*time.Minute))
	require.NoError(t, l.mendLeases(t.Context()))
	l.nextLook = time.Time{}
	again := fetchOne(t, l)
	require.Equal(t, "failed", again.Payload)
	require.EqualValues(t, 2, again.Deliveries)
	l.nextLook, l.newFirst = time.Time{}, false
	none, err := l.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none, "the other's wait is one that a worker asked for")
}

// The same with a stream, of which the server itself counts how long an entry has been pending.
func TestStreamKeepsWhatIsInWorkWhenTheClockGoesAhead(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 10 * time.Second
	server := b.clockOfServer(t)
	b.add(t, "m")
	busy := b.stream(t)
	m := fetchOne(t, busy)
	other := NewStream(b.other("other"))
	require.NoError(t, other.Recover(t.Context()))
	b.clock.advance(reclaimGrace)
	server.by.Store(int64(time.Hour))
	require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, b.Consumer, 0, m.ID, "IDLE", time.Hour.Milliseconds(), "JUSTID").Err())
	require.NoError(t, other.lookAtClock(t.Context()))
	look := func() []Message {
		t.Helper()
		other.nextClaim, other.history = time.Time{}, ""
		found, err := other.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, look())
	b.clock.advance(other.claimIdle - time.Second)
	require.Empty(t, look(), "its worker has its message timeout")
	b.clock.advance(2 * time.Second)
	require.Len(t, look(), 1)
}

// A worker whose heartbeat fails does not know the server's time: what others hold by it, ends or waits, it leaves
// as it is. The server's clock is an hour ahead, and the others have been told.
func TestListLeavesWhatOthersHoldWithoutAHeartbeat(t *testing.T) {
	b := newTestbed(t)
	server := b.clockOfServer(t)
	b.push(t, "in work", "waits")
	l, busy := b.list(t), NewList(b.other("busy"))
	require.NoError(t, busy.Recover(t.Context()))
	b.clock.advance(reclaimGrace)
	server.by.Store(int64(time.Hour))
	require.NoError(t, busy.heartbeat(t.Context()))
	fetchOne(t, busy)
	require.NoError(t, busy.Release(t.Context(), []Message{fetchOne(t, busy)}, 5*time.Minute))
	b.diesOld(t, "of an older version", -time.Hour)
	held := func() []redis.Z {
		return append(b.client.ZRangeWithScores(t.Context(), l.taken, 0, -1).Val(), b.client.ZRangeWithScores(t.Context(), l.consumers, 0, -1).Val()...)
	}
	before := held()
	b.lost.lose("time")
	require.ErrorIs(t, l.maintain(t.Context()), errLost)
	require.Equal(t, before, held())
}

// The server's clock goes back by an hour, and a worker extends its lease by it. Another that has not been told since
// does not take that for ended.
func TestListAsksTheClockBeforeItTakesOver(t *testing.T) {
	b := newTestbed(t)
	server := b.clockOfServer(t)
	server.by.Store(int64(time.Hour))
	b.push(t, "m")
	busy, other := b.list(t), NewList(b.other("other"))
	require.NoError(t, other.Recover(t.Context()))
	m := fetchOne(t, busy)
	b.clock.advance(reclaimGrace)
	server.by.Store(0)
	require.NoError(t, busy.heartbeat(t.Context()))
	other.nextLook = time.Time{}
	none, err := other.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none, "it is in work")
	require.NoError(t, busy.Ack(t.Context(), m))
}

// An answer that took its time is no jump of the clock, whenever the server looked.
func TestASlowAnswerIsNoJump(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	second := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	for name, tc := range map[string]struct {
		told, asked, here int
		want              time.Duration
	}{
		"at once":                           {10, 10, 10, 0},
		"slow, told at its beginning":       {10, 10, 19, 0},
		"slow, told at its end":             {19, 10, 19, 0},
		"the one before was told early":     {18, 10, 10, 0},
		"ahead":                             {3618, 10, 10, time.Hour},
		"back":                              {-3590, 10, 10, -time.Hour},
		"ahead by more than it can be slow": {30, 10, 14, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			clock := serverClock{}
			require.Zero(t, clock.learn(second(0), second(-8), second(0)), "the first, which took 8 s")
			require.Equal(t, tc.want, clock.learn(second(tc.told), second(tc.asked), second(tc.here)))
			require.Equal(t, second(tc.told+5), clock.now(second(tc.here+5)))
		})
	}
}

// A jump of the clock is told once, and by which way it went.
func TestAJumpOfTheClockIsTold(t *testing.T) {
	for name, looks := range map[string]func(b *testbed) func(context.Context) error{
		"list":   func(b *testbed) func(context.Context) error { return b.list(t).maintain },
		"stream": func(b *testbed) func(context.Context) error { return b.stream(t).maintain },
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestbed(t)
			server := b.clockOfServer(t)
			log := &bytes.Buffer{}
			b.Log = slog.New(slog.NewTextHandler(log, nil))
			maintain := looks(b)
			turns := func() {
				for range 3 {
					require.NoError(t, maintain(t.Context()))
				}
			}
			turns()
			require.NotContains(t, log.String(), "jumped")
			server.by.Store(int64(time.Hour))
			turns()
			require.Regexp(t, `direction=ahead by=(1h0m0s|59m5\ds)\n$`, log.String())
			server.by.Store(int64(-time.Hour))
			turns()
			require.Regexp(t, `direction=back by=(2h0m0s|1h59m5\ds)\n$`, log.String())
			require.Equal(t, 2, strings.Count(log.String(), "jumped"))
		})
	}
}

// Who removes a group has everything delivered again, and is told so.
func TestStreamTellsThatItsGroupWasRemoved(t *testing.T) {
	b := newTestbed(t)
	log := &bytes.Buffer{}
	b.Log = slog.New(slog.NewTextHandler(log, nil))
	b.add(t, "m")
	s := b.stream(t)
	require.NoError(t, s.Ack(t.Context(), fetchOne(t, s)))
	require.NotContains(t, log.String(), "was removed")
	require.NoError(t, b.client.XGroupDestroy(t.Context(), b.Key, b.Group).Err())
	_, err := s.Fetch(t.Context(), 1, false)
	require.ErrorContains(t, err, "NOGROUP")
	require.NoError(t, s.Recover(t.Context()))
	require.Contains(t, log.String(), "was removed")
	require.Equal(t, "m", fetchOne(t, s).Payload)
}

package source

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// setWall has the wall clock here set to that much later, or earlier, as by an administrator or NTP: what goes
// by the monotonic clock does not change.
func (c *clock) setWall(by time.Duration) { c.wall.Store(int64(by)) }

// withWall is a time as it would be with the wall clock set to another. A Time with a monotonic reading has, in its first
// word, 30 bits of nanoseconds, and above them the seconds since 1885 (package time, type Time).
func withWall(at time.Time, by time.Duration) time.Time {
	word := (*uint64)(unsafe.Pointer(&at)) // no function sets the one without the other
	*word += uint64(by/time.Second) << 30
	return at
}

func TestWallClockOfTests(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		set := withWall(now, by)
		require.Equal(t, by, set.Round(0).Sub(now.Round(0)), "the wall clock's")
		require.Zero(t, set.Sub(now), "the monotonic")
	}
}

// The wall clock is set between two heartbeats: what is given to the server is by the server's clock all the same.
func TestTimesOfAListDoNotGoByTheWallClock(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			b := newTestbed(t)
			b.push(t, "waits", "in work")
			l := b.list(t)
			waits := fetchOne(t, l)
			b.clock.setWall(by)
			require.NoError(t, l.Retry(t.Context(), waits, time.Second))
			fetchOne(t, l)
			now, err := b.client.Time(t.Context()).Result()
			require.NoError(t, err)
			for _, z := range b.client.ZRangeWithScores(t.Context(), l.taken, 0, -1).Val() {
				want := waitingUntil(now.Add(time.Second))
				if z.Score > queue.InWork {
					want = inWork(now.Add(lease))
				}
				require.InDelta(t, want, z.Score, 60_000, z.Member)
			}
		})
	}
}

func TestTimesOfAStreamDoNotGoByTheWallClock(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = time.Hour
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	b.clock.setWall(-2 * time.Hour)
	require.NoError(t, s.Retry(t.Context(), m, 30*time.Minute))
	require.InDelta(t, (s.claimIdle - 30*time.Minute).Seconds(), b.pendingEntries(t)[0].Idle.Seconds(), 60)
}

// A subscription that is heard is kept, whatever becomes of the wall clock: what is published while there is none is lost.
func TestASubscriptionOutlivesTheWallClock(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			b := newTestbed(t)
			s := b.pubsub(t)
			idle := func() {
				t.Helper()
				none, err := s.Fetch(t.Context(), 1, false)
				require.NoError(t, err)
				require.Empty(t, none)
			}
			b.clock.advance(pingInterval + time.Second)
			idle() // asks
			b.clock.setWall(by)
			require.Eventually(t, func() bool { return s.current.heard.Load() > int64(s.current.pinged) }, time.Minute, time.Millisecond, "PONG")
			b.clock.advance(pongTimeout)
			idle()
			require.NotNil(t, s.current)
		})
	}
}

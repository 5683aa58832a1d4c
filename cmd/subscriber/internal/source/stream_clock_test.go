package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc64"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// pendingFor has an entry look as if its consumer had had it for so long.
func (b *testbed) pendingFor(t *testing.T, consumer, id string, idle time.Duration) {
	t.Helper()
	require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, consumer, 0, id, "IDLE", idle.Milliseconds(), "JUSTID").Err())
}

// crc is the checksum of Redis' DUMP: Jones' polynomial, without the inversions of hash/crc64.
func crc(data []byte) uint64 {
	return ^crc64.Update(math.MaxUint64, crc64.MakeTable(0x95ac9329ac4bc9b5), data)
}

// deliverAhead has all pending entries delivered so much later than now, as where the server's clock went back by
// that. No command does that, but a dump has the times as they are: little-endian, in ms.
func (b *testbed) deliverAhead(t *testing.T, by time.Duration) {
	t.Helper()
	const checksum = 8
	now, err := b.client.Time(t.Context()).Result()
	require.NoError(t, err)
	all, err := b.client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: b.Key, Group: b.Group, Start: "-", End: "+", Count: 100_000}).Result()
	require.NoError(t, err)
	_, err = b.client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for _, p := range all {
			pipe.Do(t.Context(), "XCLAIM", b.Key, b.Group, p.Consumer, 0, p.ID, "TIME", now.UnixMilli(), "JUSTID")
		}
		return nil
	})
	require.NoError(t, err)
	dump := []byte(b.client.Dump(t.Context(), b.Key).Val())
	content := dump[:len(dump)-checksum]
	require.Equal(t, crc(content), binary.LittleEndian.Uint64(dump[len(content):]), "the checksum is another's")
	is, becomes := binary.LittleEndian.AppendUint64(nil, uint64(now.UnixMilli())), binary.LittleEndian.AppendUint64(nil, uint64(now.Add(by).UnixMilli()))
	content = bytes.ReplaceAll(content, is, becomes)
	dump = binary.LittleEndian.AppendUint64(content, crc(content))
	require.NoError(t, b.client.RestoreReplace(t.Context(), b.Key, 0, string(dump)).Err())
}

func (b *testbed) claimable(t *testing.T, idle time.Duration) (ids []string) {
	t.Helper()
	page, err := b.client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: b.Key, Group: b.Group, Idle: idle, Start: "-", End: "+", Count: 100}).Result()
	require.NoError(t, err)
	for _, p := range page {
		ids = append(ids, p.ID)
	}
	return ids
}

// A worker starts after the server's clock went ahead, of which it knows nothing: all that others are at work on looks as
// if it had been given up. They have the time to say when it came, and then it is theirs as before; what waits for
// another delivery does not wait for that, and what was given up is claimed afterwards.
func TestAStreamsWorkerThatStartsAfterTheClockWentAhead(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 2 * time.Minute
	b.add(t, "waits", "in work", "of one that is gone")
	server := b.clockOfServer(t)
	busy := b.stream(t)
	waits, m := fetchOne(t, busy), fetchOne(t, busy)
	require.NoError(t, busy.Retry(t.Context(), waits, time.Minute))
	gone := NewStream(b.other("gone"))
	require.NoError(t, gone.Recover(t.Context()))
	left := fetchOne(t, gone)
	server.by.Store(int64(time.Hour))
	b.pendingFor(t, queue.WaitingConsumer, waits.ID, time.Hour)
	b.pendingFor(t, b.Consumer, m.ID, time.Hour)
	b.pendingFor(t, "gone", left.ID, time.Hour)

	fresh := NewStream(b.other("fresh"))
	require.NoError(t, fresh.Recover(t.Context()))
	look := func() []Message {
		t.Helper()
		fresh.nextClaim, fresh.newFirst = time.Time{}, false
		found, err := fresh.Fetch(t.Context(), 10, false)
		require.NoError(t, err)
		return found
	}
	due := look()
	require.Len(t, due, 1)
	require.Equal(t, "waits", due[0].Payload)
	require.EqualValues(t, 2, due[0].Deliveries)
	require.NoError(t, fresh.Ack(t.Context(), due[0]))
	require.Empty(t, look(), "the others are not to be claimed yet")
	require.NoError(t, busy.maintain(t.Context()))
	b.clock.advance(reclaimGrace)
	due = look()
	require.Len(t, due, 1)
	require.Equal(t, "of one that is gone", due[0].Payload)
	require.NoError(t, busy.Ack(t.Context(), m))
	require.Len(t, b.pendingEntries(t), 1)
}

// Nor does a worker that was there claim what others are at work on, before its next look at the clock would be due.
func TestAStreamsWorkerAsksTheClockBeforeItClaims(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 2 * time.Minute
	b.add(t, "m")
	server := b.clockOfServer(t)
	m := fetchOne(t, b.stream(t))
	other := NewStream(b.other("other"))
	require.NoError(t, other.Recover(t.Context()))
	b.clock.advance(reclaimGrace)
	server.by.Store(int64(time.Hour))
	b.pendingFor(t, b.Consumer, m.ID, time.Hour)
	none, err := other.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
}

// After a jump, what is pending has its time once more, whatever outage follows: workers of an older version don't date
// anew what they are at work on.
func TestAnOutageAfterAJumpDoesNotShortenTheWait(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 2 * time.Minute
	b.add(t, "m")
	server := b.clockOfServer(t)
	m := fetchOne(t, b.stream(t))
	other := NewStream(b.other("other"))
	require.NoError(t, other.Recover(t.Context()))
	server.by.Store(int64(time.Hour))
	b.pendingFor(t, b.Consumer, m.ID, time.Hour)
	require.NoError(t, other.lookAtClock(t.Context()))
	b.clock.advance(4 * heartbeatInterval)
	require.NoError(t, other.lookAtClock(t.Context()))
	b.clock.advance(reclaimGrace)
	look := func() []Message {
		t.Helper()
		other.nextClaim, other.newFirst = time.Time{}, false
		found, err := other.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, look())
	b.clock.advance(other.claimIdle)
	require.NoError(t, other.lookAtClock(t.Context()))
	b.clock.advance(reclaimGrace)
	require.Len(t, look(), 1)
}

// jumping has the clock jump as the server is asked for what is pending, and the worker notice it.
type jumping struct {
	once   sync.Once
	jump   func()
	before string
}

func (j *jumping) DialHook(next redis.DialHook) redis.DialHook { return next }

func (j *jumping) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (j *jumping) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == j.before {
			j.once.Do(j.jump)
		}
		return next(ctx, cmd)
	}
}

// The clock jumps a second time while what is in work is dated by the first: it is dated once more.
func TestTheClockJumpsWhileEntriesAreRedated(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 2 * time.Minute
	b.add(t, "m")
	server := b.clockOfServer(t)
	s := b.stream(t)
	m := fetchOne(t, s)
	server.by.Store(int64(time.Hour))
	require.NoError(t, s.lookAtClock(t.Context()))
	b.Client.AddHook(&jumping{before: "xpending", jump: func() {
		server.by.Store(0)
		assert.NoError(t, s.lookAtClock(t.Context()))
	}})
	require.NoError(t, s.redate(t.Context()))
	b.pendingFor(t, b.Consumer, m.ID, time.Hour)
	require.NoError(t, s.maintain(t.Context()))
	require.Less(t, b.pendingEntries(t)[0].Idle, time.Minute)
}

// The clock jumps while the search for entries ahead of it is under way: those that it has passed may be so now.
func TestTheSearchForEntriesAheadBeginsAnewAfterAJump(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = 2 * time.Minute
	b.add(t, "1", "2")
	server := b.clockOfServer(t)
	s := b.stream(t)
	gone := NewStream(b.other("gone"))
	require.NoError(t, gone.Recover(t.Context()))
	first, second := fetchOne(t, gone), fetchOne(t, gone)
	b.deliverAhead(t, time.Hour)
	b.clock.advance(reclaimGrace)
	require.NoError(t, s.maintain(t.Context()))
	require.NotEmpty(t, s.mending.seen)
	s.mending.from, s.mending.seen = first.ID, nil // as where there are thousands
	server.by.Store(int64(-time.Hour))
	require.NoError(t, s.maintain(t.Context()))
	b.clock.advance(reclaimGrace)
	for range 2 {
		require.NoError(t, s.maintain(t.Context()))
	}
	for _, p := range b.pendingEntries(t) {
		require.Equal(t, queue.WaitingConsumer, p.Consumer, "%s of %s, %s", p.ID, first.ID, second.ID)
	}
	require.True(t, s.doubted.IsZero())
}

// What another has claimed meanwhile is not taken back by who dates what it had.
func TestWhatAnotherHasClaimedIsNotRedated(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = time.Minute
	server := b.clockOfServer(t)
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	b.pendingFor(t, b.Consumer, m.ID, time.Hour)
	stale := b.pendingEntries(t)[0]
	b.pendingFor(t, "other", m.ID, time.Second)
	require.NoError(t, s.pipeline(t.Context(), []redis.Cmder{s.dated(t.Context(), stale, b.Consumer, time.Now())}))
	require.Equal(t, "other", b.pendingEntries(t)[0].Consumer)
	server.by.Store(int64(time.Hour))
	require.NoError(t, s.maintain(t.Context()))
	require.Equal(t, "other", b.pendingEntries(t)[0].Consumer)
}

// The server's clock goes back by hours. Nothing that is pending could be claimed until it has caught up: neither what
// waits for another delivery, nor what is of workers that are gone. Workers that were there mend that, and so do
// those that start later.
func TestAStreamWhoseClockWentBack(t *testing.T) {
	const back = 3 * time.Hour
	for name, startsLater := range map[string]bool{"with a worker that was there": false, "with a worker that starts later": true} {
		t.Run(name, func(t *testing.T) {
			b := newTestbed(t)
			b.MessageTimeout = 20 * time.Minute
			server := b.clockOfServer(t)
			if !startsLater {
				server.by.Store(int64(back))
			}
			b.add(t, "waits", "in work", "of one that is gone")
			busy := b.stream(t)
			waits, m := fetchOne(t, busy), fetchOne(t, busy)
			require.NoError(t, busy.Retry(t.Context(), waits, time.Minute))
			gone := NewStream(b.other("gone"))
			require.NoError(t, gone.Recover(t.Context()))
			left := fetchOne(t, gone)
			b.deliverAhead(t, back)
			server.by.Store(0)
			if startsLater {
				busy = NewStream(b.other("fresh"))
				require.NoError(t, busy.Recover(t.Context()))
			}
			require.NoError(t, busy.maintain(t.Context()))
			b.clock.advance(reclaimGrace)
			require.Empty(t, b.claimable(t, time.Minute))
			for range 2 {
				require.NoError(t, busy.maintain(t.Context()))
			}
			require.Equal(t, []string{waits.ID}, b.claimable(t, busy.claimIdle-time.Minute), "due in a moment")
			consumers := map[string]string{}
			for _, p := range b.pendingEntries(t) {
				consumers[p.ID] = p.Consumer
			}
			want := map[string]string{waits.ID: queue.WaitingConsumer, m.ID: b.Consumer, left.ID: queue.WaitingConsumer}
			if startsLater {
				want[m.ID] = queue.WaitingConsumer // that worker is gone, too
			}
			require.Equal(t, want, consumers)
			// Each has its time from now on.
			require.Eventually(t, func() bool { return len(b.claimable(t, time.Millisecond)) == 3 }, time.Minute, time.Millisecond)
			require.True(t, busy.doubted.IsZero(), "and there is no more to look for")
		})
	}
}

// A look for what the clock has yet to reach is bounded, and goes on where it ended.
func TestTheSearchForEntriesAheadIsBounded(t *testing.T) {
	b := newTestbed(t)
	b.clockOfServer(t)
	const entries = mendPage*mendPages + 500
	s := b.stream(t)
	pipe := b.client.Pipeline()
	for range entries {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: b.Key, Values: []any{PayloadField, "m"}})
	}
	pipe.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: b.Group, Consumer: "gone", Streams: []string{b.Key, ">"}, Count: entries, Block: noBlock})
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	last, err := b.client.XRevRangeN(t.Context(), b.Key, "+", "-", 1).Result()
	require.NoError(t, err)
	b.deliverAhead(t, time.Hour)
	require.Empty(t, b.claimable(t, time.Millisecond))
	b.clock.advance(reclaimGrace)
	turns := 0
	for ; !s.doubted.IsZero(); turns++ {
		require.Less(t, turns, 10)
		require.NoError(t, s.maintain(t.Context()))
	}
	require.Greater(t, turns, 2)
	require.Eventually(t, func() bool {
		found, err := b.client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
			Stream: b.Key, Group: b.Group, Idle: time.Millisecond, Start: last[0].ID, End: "+", Count: 1,
		}).Result()
		return err == nil && len(found) == 1
	}, time.Minute, time.Millisecond, "the last one, too")
}

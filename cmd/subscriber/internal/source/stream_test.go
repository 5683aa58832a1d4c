package source

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
)

func (b *testbed) stream(t *testing.T) *Stream {
	t.Helper()
	s := NewStream(b.Options)
	require.NoError(t, s.Recover(t.Context()))
	return s
}

func (b *testbed) add(t *testing.T, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		require.NoError(t, b.client.XAdd(t.Context(), &redis.XAddArgs{Stream: b.Key, Values: []any{PayloadField, payload}}).Err())
	}
}

func (b *testbed) pendingEntries(t *testing.T) []redis.XPendingExt {
	t.Helper()
	entries, err := b.client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
		Stream: b.Key, Group: b.Group, Start: "-", End: "+", Count: 100,
	}).Result()
	require.NoError(t, err)
	return entries
}

func TestStreamBatch(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "1", "2", "3")
	s := b.stream(t)
	batch, err := s.Fetch(t.Context(), 2, true)
	require.NoError(t, err)
	require.Len(t, batch, 2)
	require.Equal(t, "1", batch[0].Payload)
	require.EqualValues(t, 1, batch[0].Deliveries)
	require.Equal(t, "3", fetchOne(t, s).Payload)
}

func TestStreamLostReplies(t *testing.T) {
	t.Run("XREADGROUP: the entry is delivered at once", func(t *testing.T) {
		b := newTestbed(t)
		b.add(t, "m")
		s := b.stream(t)
		_, err := s.Fetch(t.Context(), 1, true) // looks at the history, of which there is none
		require.NoError(t, err)
		b.add(t, "n")
		b.lost.lose("xreadgroup")
		_, err = s.Fetch(t.Context(), 1, true)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, s.Recover(t.Context()))
		require.Equal(t, "n", fetchOne(t, s).Payload, "m is in work here")
	})
	t.Run("XREADGROUP, then a clean end: the consumer stays", func(t *testing.T) {
		b := newTestbed(t)
		s := b.stream(t)
		b.add(t, "m")
		require.NoError(t, s.Ack(t.Context(), fetchOne(t, s)))
		b.lost.lose("xreadgroup")
		_, err := s.Fetch(t.Context(), 1, true)
		require.Error(t, err)
		b.clock.advance(longAfter)
		require.NoError(t, s.Close(t.Context()))
		require.Len(t, b.client.XInfoConsumers(t.Context(), b.Key, b.Group).Val(), 1)
	})
	for name, dead := range map[string]bool{"XACK": false, "EXEC": true} {
		t.Run(name+": the entry is not delivered again", func(t *testing.T) {
			b := newTestbed(t)
			b.add(t, "m")
			s := b.stream(t)
			m := fetchOne(t, s)
			var err error
			if dead {
				b.lost.lose("multi")
				err = s.Bury(t.Context(), m)
			} else {
				b.lost.lose("xack")
				err = s.Ack(t.Context(), m)
			}
			require.ErrorIs(t, err, errLost)
			require.NoError(t, s.Recover(t.Context()))
			none, err := s.Fetch(t.Context(), 1, true)
			require.NoError(t, err)
			require.Empty(t, none)
			if dead {
				require.Len(t, b.dead(t, "g"), 1, "once")
			}
		})
	}
}

func TestStreamRetryWaitsForItsTime(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	began := time.Now()
	require.NoError(t, s.Retry(t.Context(), m, 4*time.Second))
	pending := b.pendingEntries(t)
	idle := s.claimIdle - 4*time.Second
	require.GreaterOrEqual(t, pending[0].Idle, idle)
	require.LessOrEqual(t, pending[0].Idle, idle+time.Since(began)+s.clock.took+time.Millisecond)
	require.EqualValues(t, 1, pending[0].RetryCount)
	// A second try that is due at once comes, counted.
	require.NoError(t, s.Retry(t.Context(), m, 0))
	b.clock.advance(claimInterval)
	again := fetchOne(t, s)
	require.Equal(t, m.ID, again.ID)
	require.EqualValues(t, 2, again.Deliveries)
}

// A reconnect is no delivery, and does not cut a wait short.
func TestStreamReconnectsDontCount(t *testing.T) {
	b := newTestbed(t)
	b.MessageTimeout = time.Hour
	b.add(t, "waits", "in work")
	s := b.stream(t)
	m := fetchOne(t, s)
	work := fetchOne(t, s)
	require.NoError(t, s.Retry(t.Context(), m, 30*time.Minute))
	for range 5 {
		require.NoError(t, s.Recover(t.Context()))
		none, err := s.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		require.Empty(t, none, "it waits for its time")
	}
	for _, entry := range b.pendingEntries(t) {
		require.EqualValues(t, 1, entry.RetryCount)
	}
	require.NoError(t, s.Retry(t.Context(), work, 0))
	b.clock.advance(claimInterval)
	require.EqualValues(t, 2, fetchOne(t, s).Deliveries)
}

// A lost reply, however often, is no delivery either.
func TestStreamLostRepliesDontCount(t *testing.T) {
	b := newTestbed(t)
	s := b.stream(t)
	b.add(t, "m")
	for _, command := range []string{"xreadgroup", "xclaim", "xclaim", "xclaim"} {
		b.lost.lose(command)
		_, err := s.Fetch(t.Context(), 1, false)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, s.Recover(t.Context()))
	}
	require.EqualValues(t, 1, fetchOne(t, s).Deliveries)
}

// What an earlier process of that name held was delivered.
func TestStreamFindsWhatAnEarlierProcessHeld(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	fetchOne(t, b.stream(t))
	require.EqualValues(t, 2, fetchOne(t, b.stream(t)).Deliveries)
}

// What waits for another delivery is ready, and what is in work in flight.
func TestStreamInFlightIsWhatIsInWork(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "1", "2", "3")
	s := b.stream(t)
	failed := fetchOne(t, s)
	fetchOne(t, s)
	require.NoError(t, s.Retry(t.Context(), failed, 5*time.Second))
	depth := b.depth(t)
	require.EqualValues(t, 1, depth.InFlight)
	require.EqualValues(t, 2, depth.Ready)
	require.NoError(t, s.Retry(t.Context(), failed, 0))
}

// However many wait and are due, they are all delivered as fast as they can be, and new ones with
// them in turn.
func TestStreamRetriesAndNewEntriesTakeTurns(t *testing.T) {
	const waiting = 300
	b := newTestbed(t)
	s := b.stream(t)
	for range waiting {
		b.add(t, "bad")
	}
	for taken := 0; taken < waiting; {
		batch, err := s.Fetch(t.Context(), 100, false)
		require.NoError(t, err)
		for _, m := range batch {
			require.NoError(t, s.Retry(t.Context(), m, 0))
		}
		taken += len(batch)
	}
	for range waiting {
		b.add(t, "good")
	}
	b.clock.advance(claimInterval)
	counts := map[string]int{}
	for range 20 {
		batch, err := s.Fetch(t.Context(), 10, true)
		require.NoError(t, err)
		for _, m := range batch {
			counts[m.Payload]++
			require.NoError(t, s.Ack(t.Context(), m))
		}
	}
	require.InDelta(t, 100, counts["bad"], 20, counts)
	require.InDelta(t, 100, counts["good"], 20, counts)
}

// Of a server that is full, an entry can be taken, ended, and given up.
func TestStreamIsDrainedWhenTheServerIsFull(t *testing.T) {
	b := newTestbed(t)
	b.MaxDeliveries = 1
	b.add(t, "good", "bad")
	require.NoError(t, b.client.XGroupCreate(t.Context(), b.Key, b.Group, "0").Err())
	require.NoError(t, b.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	s := b.stream(t)
	require.NoError(t, s.Ack(t.Context(), fetchOne(t, s)))
	bad := fetchOne(t, s)
	began := time.Now()
	require.NoError(t, s.Bury(t.Context(), bad), "it waits until there is room")
	require.LessOrEqual(t, b.pendingEntries(t)[0].Idle, time.Since(began)+s.clock.took+time.Millisecond, "it is left alone for a while")
	require.NoError(t, s.Release(t.Context(), []Message{bad}, 0))
	b.clock.advance(claimInterval)
	again := fetchOne(t, s)
	require.EqualValues(t, 1, again.Deliveries)
	b.makeRoom(t)
	require.NoError(t, s.Bury(t.Context(), again))
	require.Len(t, b.dead(t, "g"), 1)
	require.Zero(t, b.depth(t).Total())
}

// After an outage all entries have been pending for long, and those who have them must be able to
// say that they are done.
func TestStreamWaitsAfterAnOutage(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	busy, idle := b.stream(t), NewStream(b.other("idle"))
	require.NoError(t, idle.Recover(t.Context()))
	m := fetchOne(t, busy)
	require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, b.Consumer, 0, m.ID, "IDLE", 600_000, "JUSTID").Err())
	b.clock.advance(longAfter) // without a server
	require.NoError(t, idle.Recover(t.Context()))
	none, err := idle.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, busy.Ack(t.Context(), m))
	b.clock.advance(reclaimGrace)
	none, err = idle.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
}

// DragonFly tells of what all have pending if it is asked about a consumer that it does not know, as that of a worker that
// has just started, and that of what waits where nothing has failed yet. What others are at work on stays theirs.
func TestAWorkerThatStartsOnDragonflyTakesNothingOfOthers(t *testing.T) {
	b := newTestbed(t)
	front := dragonflytest.Start(t, dragonflytest.All(0)...)
	b.client = front.Redis.Client()
	b.Client = connection.Settings{Mode: connection.Standalone, Addresses: []string{front.Addr}}.New(connection.Options{PoolSize: 6})
	t.Cleanup(func() { _ = b.Client.Close() })
	b.add(t, "m")
	busy := b.stream(t)
	m := fetchOne(t, busy)
	fresh := NewStream(b.other("fresh"))
	require.NoError(t, fresh.Recover(t.Context()))
	for range 2 {
		none, err := fresh.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, b.Consumer, b.pendingEntries(t)[0].Consumer)
		b.pendingFor(t, b.Consumer, m.ID, time.Hour) // as after a jump of the clock
		b.clock.advance(claimInterval)
	}
	require.NoError(t, NewStream(b.other("never read")).Close(t.Context()))
	require.NoError(t, busy.Ack(t.Context(), m))
}

// As DragonFly has it.
func TestStreamOnDragonfly(t *testing.T) {
	b := newTestbed(t)
	front := dragonflytest.Start(t, dragonflytest.All(0)...)
	b.client = front.Redis.Client()
	client := connection.Settings{Mode: connection.Standalone, Addresses: []string{front.Addr}}.New(connection.Options{PoolSize: 6})
	t.Cleanup(func() { _ = client.Close() })
	b.Client = client
	b.add(t, "m", "deleted")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, s.Retry(t.Context(), m, 4*time.Second))
	b.clock.advance(claimInterval)
	deleted := fetchOne(t, s)
	require.Equal(t, "deleted", deleted.Payload, "the other waits for its time")
	require.NoError(t, b.client.XDel(t.Context(), b.Key, deleted.ID).Err())
	again := b.stream(t)
	none, err := again.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	empty, err := again.take(t.Context(), []redis.XMessage{{ID: deleted.ID, Values: map[string]any{}}}, func(int) int64 { return 1 })
	require.NoError(t, err)
	require.Empty(t, empty)
	require.Len(t, b.pendingEntries(t), 1)
}

func TestStreamReleaseIsNotCountedAndComesAtOnce(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	require.NoError(t, s.Release(t.Context(), []Message{fetchOne(t, s)}, 0))
	other := b.Options
	other.Consumer = "other"
	o := NewStream(other)
	m := fetchOne(t, o)
	require.Equal(t, "m", m.Payload)
	require.EqualValues(t, 1, m.Deliveries)
}

// After its time an entry may be another's: it must not be taken back.
func TestStreamGivesUpNothingThatOthersMayHave(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, b.client.XClaim(t.Context(), &redis.XClaimArgs{
		Stream: b.Key, Group: b.Group, Consumer: "other", Messages: []string{m.ID},
	}).Err())
	b.clock.advance(s.claimIdle)
	require.NoError(t, s.Retry(t.Context(), m, 0))
	require.Equal(t, "other", b.pendingEntries(t)[0].Consumer)
}

func TestStreamHistoryLeavesOutWhatIsInWork(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "1", "2", "3")
	s := b.stream(t)
	batch, err := s.Fetch(t.Context(), 3, true)
	require.NoError(t, err)
	s.drop(batch[2:]) // as after an error between the read and its end
	require.NoError(t, s.Recover(t.Context()))
	require.Equal(t, "3", fetchOne(t, s).Payload)
	none, err := s.Fetch(t.Context(), 3, true)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestStreamDeletedEntryIsAcknowledged(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, b.client.XDel(t.Context(), b.Key, m.ID).Err())
	s.drop([]Message{m})
	require.NoError(t, s.Recover(t.Context()))
	none, err := s.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Empty(t, b.pendingEntries(t))
}

func TestStreamCloseKeepsAConsumerWithPendingEntries(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, s.Retry(t.Context(), m, time.Second))
	require.NoError(t, s.Close(t.Context()))
	require.Len(t, b.pendingEntries(t), 1, "deleting its consumer would lose the entry")
}

func TestPayload(t *testing.T) {
	cases := map[string]struct {
		fields map[string]any
		want   string
	}{
		"field payload": {map[string]any{"payload": "m", "x": "y"}, "m"},
		"only field":    {map[string]any{"body": "m"}, "m"},
		"many fields":   {map[string]any{"b": "2", "a": "1"}, `{"a":"1","b":"2"}`},
		"deleted":       {nil, "null"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, payloadOf(tc.fields))
		})
	}
}

// However many slots are free, one look at what is pending is bounded: many workers look each second.
func TestStreamLooksAreBounded(t *testing.T) {
	b := newTestbed(t)
	const messages = 3 * maxClaim
	for i := range messages {
		b.add(t, strconv.Itoa(i))
	}
	gone := NewStream(b.other("gone"))
	require.NoError(t, gone.Recover(t.Context()))
	held, err := gone.Fetch(t.Context(), messages, false)
	require.NoError(t, err)
	require.Len(t, held, messages)
	s := b.stream(t)
	for _, m := range held {
		require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, "gone", 0, m.ID, "IDLE", time.Hour.Milliseconds(), "JUSTID").Err())
	}
	b.clock.advance(reclaimGrace)
	got := map[string]bool{}
	for looks := 0; len(got) < messages; looks++ {
		require.Less(t, looks, 10, "each look goes on where the last one ended, at once")
		found, err := s.Fetch(t.Context(), messages, false)
		require.NoError(t, err)
		require.LessOrEqual(t, len(found), maxClaim)
		for _, m := range found {
			got[m.Payload] = true
		}
	}
}

package source

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// fill has the server refuse to write from now on, with those messages in the queue.
func (b *testbed) fill(t *testing.T, payloads ...any) {
	t.Helper()
	if len(payloads) > 0 {
		b.push(t, payloads...)
	}
	require.NoError(t, b.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	require.True(t, redis.IsOOMError(b.client.LPush(t.Context(), b.Key, "x").Err()))
}

func (b *testbed) makeRoom(t *testing.T) {
	t.Helper()
	require.NoError(t, b.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
}

// A list can be drained where the server refuses all commands that may need memory, which is when
// it has to be: by workers that were there, and by one that comes.
func TestListIsDrainedWhenTheServerIsFull(t *testing.T) {
	const messages = 100
	b := newTestbed(t)
	old := b.list(t)
	b.push(t, "taken before")
	before := fetchOne(t, old)
	var payloads []any
	for i := range messages {
		payloads = append(payloads, strconv.Itoa(i))
	}
	b.fill(t, payloads...)
	require.NoError(t, old.Ack(t.Context(), before))
	fresh := NewList(b.other("fresh"))
	require.NoError(t, fresh.Recover(t.Context()))
	got := map[string]int{}
	for _, l := range []*List{old, fresh} {
		for range messages / 2 {
			m := fetchOne(t, l)
			got[m.Payload]++
			require.NoError(t, l.Ack(t.Context(), m))
		}
	}
	require.Len(t, got, messages)
	require.Zero(t, b.depth(t).Total())
	b.makeRoom(t)
	require.NoError(t, old.Close(t.Context()))
	require.NoError(t, fresh.Close(t.Context()))
	require.EqualValues(t, messages+1, b.finished(t), "counted when there is room")
	require.Empty(t, b.client.Keys(t.Context(), queue.UncountedKey(b.Key, "*")).Val())
}

// A worker that is killed while the server is full, and never sees room again, takes no count with it:
// neither of what it ended in place, nor of what it had taken before.
func TestListCountsWhatAKilledWorkerEndedOnAFullServer(t *testing.T) {
	b := newTestbed(t)
	killed := b.list(t)
	killed.countSpares(t.Context()) // as Maintain does when it begins
	b.push(t, "taken before")
	before := fetchOne(t, killed)
	b.fill(t, "1", "2", "3")
	require.NoError(t, killed.Ack(t.Context(), before))
	for range 3 {
		require.NoError(t, killed.Ack(t.Context(), fetchOne(t, killed)))
	}
	b.makeRoom(t)
	survivor := NewList(b.other("survivor"))
	require.NoError(t, survivor.Recover(t.Context()))
	for range 2 {
		survivor.countInPlace(t.Context())
		require.EqualValues(t, 4, b.finished(t), "and once only")
	}
	require.Empty(t, b.client.Keys(t.Context(), queue.UncountedKey(b.Key, "*")).Val())
}

// The scaler sees what is finished while the server is full: what has arrived stays what it was all the time, and does not
// fall and rise again by all that was finished. It knows that InFlight is not all that is in work.
func TestTheScalerSeesWhatEndsOnAFullServer(t *testing.T) {
	const messages, finished = 100, 80
	b := newTestbed(t)
	l := b.list(t)
	l.countSpares(t.Context())
	var payloads []any
	for i := range messages {
		payloads = append(payloads, i)
	}
	b.fill(t, payloads...)
	require.False(t, b.depth(t).WorkAtLeast())
	for range finished {
		require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
		depth := b.depth(t)
		require.EqualValues(t, messages, depth.Added)
		require.True(t, depth.WorkAtLeast())
	}
	b.makeRoom(t)
	l.countInPlace(t.Context())
	require.EqualValues(t, finished, b.finished(t))
	require.EqualValues(t, messages, b.depth(t).Added)
	require.False(t, b.depth(t).WorkAtLeast())
}

// What ends when all spare elements are used up is counted by the worker itself.
func TestListCountsBeyondItsSpares(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	l.countSpares(t.Context())
	require.EqualValues(t, spares+1, b.client.LLen(t.Context(), l.spare).Val())
	b.fill(t)
	l.countWithoutRoom(t.Context(), spares-1)
	for range 3 {
		l.countWithoutRoom(t.Context(), 1)
	}
	require.EqualValues(t, 1, b.client.LLen(t.Context(), l.spare).Val(), "the first stays")
	b.makeRoom(t)
	l.countInPlace(t.Context())
	require.EqualValues(t, spares+2, b.finished(t))
	require.EqualValues(t, spares+1, b.client.LLen(t.Context(), l.spare).Val())
}

// Two workers that see what is missing at the same time count it once.
func TestListCountsMissingSparesOnce(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	l.countSpares(t.Context())
	l.countWithoutRoom(t.Context(), 5)
	both := make(chan struct{})
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			<-both
			l.countSpares(t.Context())
		})
	}
	close(both)
	working.Wait()
	require.EqualValues(t, 5, b.finished(t))
	require.EqualValues(t, spares+1, b.client.LLen(t.Context(), l.spare).Val())
}

// What can't be given back is kept until it can.
func TestListKeepsWhatFailsWhileTheServerIsFull(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	b.push(t, "m")
	m := fetchOne(t, l)
	b.fill(t, "in place")
	require.NoError(t, l.Retry(t.Context(), m, 0))
	placed := fetchOne(t, l)
	require.Equal(t, "in place", placed.Payload)
	require.NoError(t, l.Retry(t.Context(), placed, 0))
	none, err := l.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none, "it is left alone for a while")
	b.clock.advance(leftAlone)
	require.Equal(t, "in place", fetchOne(t, l).Payload)
	b.makeRoom(t)
	require.NoError(t, l.Recover(t.Context()))
	require.EqualValues(t, 2, b.depth(t).Total())
	b.clock.advance(lookInterval + time.Second)
	require.EqualValues(t, 2, fetchOne(t, l).Deliveries)
}

// A full server refuses that a message waits; it is told again, and the reply is lost; and told a third time, when
// there is nothing left to do. The message must not lose its name by that: nobody would find it. (One of a million
// was left behind so.)
func TestListKeepsTheNameOfWhatWasGivenBackAfterARefusal(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	b.push(t, "m")
	m := fetchOne(t, l)
	b.fill(t)
	require.NoError(t, l.Retry(t.Context(), m, 0))
	b.makeRoom(t)
	b.lost.lose("multi")
	require.ErrorIs(t, l.Recover(t.Context()), errLost)
	require.NoError(t, l.Recover(t.Context()))
	require.EqualValues(t, 1, b.depth(t).Ready)
	b.clock.advance(lookInterval + time.Second)
	again := fetchOne(t, l)
	require.Equal(t, m.ID, again.ID)
	require.NoError(t, l.Ack(t.Context(), again))
	require.Empty(t, b.client.Keys(t.Context(), l.taken+"*").Val())
}

// A worker of a stream that could not tell of a dead letter before the server was full is not held up by it.
func TestStreamIsDrainedWhileADeadLetterHasNoRoom(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "bad", "good")
	o, late := b.behind(t)
	s := NewStream(o)
	require.NoError(t, s.Recover(t.Context()))
	burial := late.Hold("multi")
	require.Error(t, s.Bury(t.Context(), fetchOne(t, s)))
	burial.Await()
	require.NoError(t, b.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	require.NoError(t, s.Recover(t.Context()))
	good := fetchOne(t, s)
	require.Equal(t, "good", good.Payload)
	require.NoError(t, s.Ack(t.Context(), good))
	require.EqualValues(t, 1, b.depth(t).Total(), "the other waits for room")
}

// A dead letter is counted when it is one, however often the server had no room for it.
func TestADeadLetterOfAStreamIsToldOnce(t *testing.T) {
	b := newTestbed(t)
	var buried int
	b.Event = func(event Event, n int) {
		if event == DeadLettered {
			buried += n
		}
	}
	log := &bytes.Buffer{}
	b.Log = slog.New(slog.NewTextHandler(log, nil))
	b.add(t, "bad")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, b.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	require.NoError(t, s.Bury(t.Context(), m))
	for range 2 {
		b.clock.advance(leftAlone + claimInterval)
		require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, queue.WaitingConsumer, 0, m.ID, "IDLE", time.Hour.Milliseconds(), "JUSTID").Err())
		require.NoError(t, s.Bury(t.Context(), fetchOne(t, s)))
	}
	require.Zero(t, buried)
	require.Equal(t, 1, strings.Count(log.String(), "refuses a dead letter"), log.String())
	b.makeRoom(t)
	b.clock.advance(leftAlone + claimInterval)
	require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, queue.WaitingConsumer, 0, m.ID, "IDLE", time.Hour.Milliseconds(), "JUSTID").Err())
	require.NoError(t, s.Bury(t.Context(), fetchOne(t, s)))
	require.Equal(t, 1, buried)
	require.Equal(t, 1, strings.Count(log.String(), "goes to the dead letters"))
}

// received is how many bytes the server has been sent.
func (b *testbed) received(t *testing.T) (bytes int) {
	t.Helper()
	for line := range strings.Lines(b.client.Info(t.Context(), "stats").Val()) {
		if number, ok := strings.CutPrefix(strings.TrimSpace(line), "total_net_input_bytes:"); ok {
			var err error
			bytes, err = strconv.Atoi(number)
			require.NoError(t, err)
			return bytes
		}
	}
	t.Fatal("the server does not tell")
	return 0
}

// A server that is full, or that refuses the permission, is not sent all spare elements with each heartbeat of each worker, to
// refuse them: a thousand workers would be 14 MB/s. Once there is room what is missing is counted at once.
func TestSparesAreNotTriedAgainAndAgain(t *testing.T) {
	const turns, few = 20, 1000 // bytes in a turn, of all that Maintain sends
	turn := func(b *testbed, l *List) {
		b.clock.advance(heartbeatInterval)
		_ = l.maintain(t.Context()) // a full server refuses the heartbeat
	}
	t.Run("while the server is full", func(t *testing.T) {
		b := newTestbed(t)
		l := b.list(t)
		l.countSpares(t.Context())
		b.fill(t)
		l.countWithoutRoom(t.Context(), 9000)
		before := b.received(t)
		for range turns {
			turn(b, l)
		}
		require.Less(t, b.received(t)-before, turns*few)
		require.Zero(t, b.finished(t))
		b.makeRoom(t)
		turn(b, l)
		require.EqualValues(t, 9000, b.finished(t))
	})
	t.Run("without the permission", func(t *testing.T) {
		b := newTestbed(t)
		l := b.list(t)
		require.NoError(t, b.client.Do(t.Context(), "ACL", "SETUSER", "default", "-rpush").Err())
		turn(b, l) // one attempt
		require.Zero(t, b.client.Exists(t.Context(), l.spare).Val())
		before := b.received(t)
		for range turns {
			turn(b, l)
		}
		require.Less(t, b.received(t)-before, turns*few)
		require.NoError(t, b.client.Do(t.Context(), "ACL", "SETUSER", "default", "+rpush").Err())
		b.clock.advance(refillPauseForbidden)
		turn(b, l)
		require.EqualValues(t, spares+1, b.client.LLen(t.Context(), l.spare).Val())
	})
}

package source

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// depth is what the scaler reads.
func (b *testbed) depth(t *testing.T) queue.Depth {
	t.Helper()
	reader := queue.NewReader(queue.Queue{Key: b.Key, Kind: queue.Auto, Group: b.groupOf(t)})
	batch := queue.NewBatch([]*queue.Reader{&reader})
	for range 2 { // arrivals are told once the consumers are known
		batch.Begin(time.Now())
		for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
			pipe := b.client.Pipeline()
			_ = pipe.BatchProcess(t.Context(), commands...)
			_, err := pipe.Exec(t.Context())
			batch.Answer(err)
		}
	}
	depth, err := reader.Result()
	require.NoError(t, err)
	return depth
}

// groupOf is the group where the key is a stream.
func (b *testbed) groupOf(t *testing.T) string {
	t.Helper()
	if b.client.Type(t.Context(), b.Key).Val() == "stream" {
		return b.Group
	}
	return ""
}

// other are the options of another worker.
func (b *testbed) other(name string) Options {
	o := b.Options
	o.Consumer = name
	return o
}

// behind has a worker reach the server through a network that may be late.
func (b *testbed) behind(t *testing.T) (Options, *redistest.Late) {
	t.Helper()
	late := redistest.StartLate(t, b.client.Options().Addr)
	client := connection.Settings{Mode: connection.Standalone, Addresses: []string{late.Addr}}.New(connection.Options{PoolSize: 6})
	t.Cleanup(func() { _ = client.Close() })
	o := b.other("late")
	o.Client = client
	return o, late
}

// takesLate is a worker that has looked in vain for what it asked for: the server gets that, of the message n, when take is delivered.
func (b *testbed) takesLate(t *testing.T, with func(*Options)) (l *List, take *redistest.Held) {
	t.Helper()
	o, late := b.behind(t)
	with(&o)
	l = NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	b.push(t, "m", "n")
	require.NoError(t, l.Ack(t.Context(), fetchOne(t, l))) // it knows of another
	take = late.Hold("multi")
	_, err := l.Fetch(t.Context(), 1, true)
	require.Error(t, err)
	require.NoError(t, l.Recover(t.Context()))
	return l, take
}

// longAfter is when no command that was sent was expected any more.
const longAfter = time.Minute

// A worker's wait for a message ends with its connection, the worker ends in order, and the
// server gets the wait's command after that.
func TestLateWaitAfterACleanEnd(t *testing.T) {
	b := newTestbed(t)
	o, late := b.behind(t)
	l := NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	wait := late.Hold("blmove")
	_, err := l.Fetch(t.Context(), 1, true)
	require.Error(t, err)
	b.clock.advance(longAfter)
	require.NoError(t, l.Recover(t.Context()))
	require.NoError(t, l.Close(t.Context()))
	b.push(t, "m")
	wait.Deliver()
	require.EqualValues(t, 1, b.depth(t).Total(), "the scaler sees it")

	survivor := NewList(b.other("survivor"))
	require.NoError(t, survivor.Recover(t.Context()))
	m := fetchOne(t, survivor)
	require.Equal(t, "m", m.Payload)
	require.NoError(t, survivor.Ack(t.Context(), m))
	require.Zero(t, b.depth(t).Total())
}

// Workers that have been there all the time find it, too.
func TestLateWaitIsFoundByThoseWhoAreThere(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	none, err := l.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	b.push(t, "m")
	require.NoError(t, b.client.LMove(t.Context(), b.Key, l.next, "RIGHT", "LEFT").Err())
	require.Eventually(t, func() bool {
		b.clock.advance(lookInterval)
		found, err := l.Fetch(t.Context(), 1, false)
		return err == nil && len(found) == 1 && l.Ack(t.Context(), found[0]) == nil
	}, time.Minute, time.Millisecond)
	require.Zero(t, b.depth(t).Total())
}

// The server gets the end of a message late, when it has been told once more. An equal message
// is in work by then.
func TestLateEndOfAMessage(t *testing.T) {
	b := newTestbed(t)
	o, late := b.behind(t)
	l := NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	b.push(t, "tick", "tick")
	first, second := fetchOne(t, l), fetchOne(t, l)
	end := late.Hold("multi")
	require.Error(t, l.Ack(t.Context(), first))
	b.clock.advance(longAfter)
	require.NoError(t, l.Recover(t.Context()))
	require.EqualValues(t, 1, b.depth(t).InFlight)
	end.Deliver()
	require.EqualValues(t, 1, b.depth(t).InFlight, "the second is in work")
	require.EqualValues(t, 2, b.depth(t).Added, "two messages ever came")
	require.NoError(t, l.Ack(t.Context(), second))
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 2, b.depth(t).Added)
	require.NoError(t, l.Close(t.Context()))
}

// A burial, too.
func TestLateBurial(t *testing.T) {
	b := newTestbed(t)
	o, late := b.behind(t)
	l := NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	b.push(t, "bad", "bad")
	first, second := fetchOne(t, l), fetchOne(t, l)
	end := late.Hold("multi")
	require.Error(t, l.Bury(t.Context(), first))
	require.NoError(t, l.Recover(t.Context()))
	end.Deliver()
	require.Len(t, b.dead(t, ""), 1)
	require.NoError(t, l.Ack(t.Context(), second))
	require.Zero(t, b.depth(t).Total())
}

// A message that the server gave to a worker that has ended since is found, with its lease.
func TestLateTakeAfterACleanEnd(t *testing.T) {
	b := newTestbed(t)
	l, take := b.takesLate(t, func(*Options) {})
	require.NoError(t, l.Close(t.Context()))
	take.Deliver()
	require.EqualValues(t, 1, b.depth(t).Total())
	b.endLeases(t)
	survivor := b.survivor(t)
	m := fetchOne(t, survivor)
	require.Equal(t, "n", m.Payload)
	require.NoError(t, survivor.Ack(t.Context(), m))
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 2, b.finished(t))
}

// A message that the server gave to a worker so late that it had looked for it before has not been delivered, and is not counted
// as if its worker was gone.
func TestLateTakeOfAWorkerThatLives(t *testing.T) {
	b := newTestbed(t)
	l, take := b.takesLate(t, func(o *Options) { o.MaxDeliveries = 1 })
	take.Deliver()
	require.EqualValues(t, 1, b.depth(t).InFlight)
	require.NoError(t, l.maintain(t.Context()))
	require.Zero(t, b.depth(t).InFlight)
	b.clock.advance(lookInterval)
	m := fetchOne(t, l)
	require.Equal(t, "n", m.Payload)
	require.EqualValues(t, 1, m.Deliveries)
	require.NoError(t, l.Ack(t.Context(), m))
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 2, b.finished(t))
}

// A take that found nothing, and whose worker did not hear of it, leaves nothing: neither its name, nor
// its token. The worker comes late, or its process has ended and another one has its name.
func TestLateTakeOfNothing(t *testing.T) {
	for name, find := range map[string]func(t *testing.T, b *testbed) *List{
		"a survivor finds it": func(t *testing.T, b *testbed) *List { return b.survivor(t) },
		"the next process of that name finds it": func(t *testing.T, b *testbed) *List {
			next := NewList(b.other("late"))
			require.NoError(t, next.Recover(t.Context()))
			return next
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestbed(t)
			o, late := b.behind(t)
			l := NewList(o)
			require.NoError(t, l.Recover(t.Context()))
			b.push(t, "m", "n")
			require.NoError(t, l.Ack(t.Context(), fetchOne(t, l))) // it knows of another
			take := late.Hold("multi")
			_, err := l.Fetch(t.Context(), 1, true)
			require.Error(t, err)
			other := b.list(t)
			require.NoError(t, other.Ack(t.Context(), fetchOne(t, other)))
			take.Deliver()
			require.NotEmpty(t, b.client.Keys(t.Context(), queue.UncountedKey(b.Key, "*")).Val())
			finder := find(t, b)
			b.endLeases(t)
			require.Eventually(t, func() bool {
				b.clock.advance(lookInterval)
				found, err := finder.Fetch(t.Context(), 1, false)
				return err == nil && len(found) == 0 && b.client.Exists(t.Context(), queue.TakenKey(b.Key)).Val() == 0
			}, time.Minute, time.Millisecond)
			require.Empty(t, b.client.Keys(t.Context(), queue.UncountedKey(b.Key, "*")).Val())
			require.EqualValues(t, 2, b.finished(t))
		})
	}
}

// A worker takes back a message for another delivery, and the server gets that after it was told
// again, and after somebody else has taken the message.
func TestLateRetry(t *testing.T) {
	b := newTestbed(t)
	o, late := b.behind(t)
	l := NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	b.push(t, "m")
	m := fetchOne(t, l)
	retry := late.Hold("multi")
	require.Error(t, l.Retry(t.Context(), m, 0))
	require.NoError(t, l.Recover(t.Context()))
	survivor := b.survivor(t)
	again := fetchOne(t, survivor)
	require.Equal(t, m.ID, again.ID)
	retry.Deliver()
	require.NoError(t, survivor.Ack(t.Context(), again))
	none, err := survivor.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	b.clock.advance(lookInterval)
	none, err = survivor.Fetch(t.Context(), 1, false) // it finds that there is none of that name
	require.NoError(t, err)
	require.Empty(t, none)
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 1, b.finished(t))
}

// survivor is a worker that has seen the server for long enough to take over from others.
func (b *testbed) survivor(t *testing.T) *List {
	t.Helper()
	l := NewList(b.other("survivor"))
	require.NoError(t, l.Recover(t.Context()))
	b.clock.advance(reclaimGrace)
	return l
}

// endLeases has all messages in work look as if their workers had been silent for the time of a
// lease.
func (b *testbed) endLeases(t *testing.T) {
	t.Helper()
	now, err := b.client.Time(t.Context()).Result()
	require.NoError(t, err)
	members, err := b.client.ZRangeArgs(t.Context(), redis.ZRangeArgs{Key: queue.TakenKey(b.Key), Start: score(queue.InWork), Stop: "+inf", ByScore: true}).Result()
	require.NoError(t, err)
	for _, member := range members {
		require.NoError(t, b.client.ZAdd(t.Context(), queue.TakenKey(b.Key), redis.Z{Score: inWork(now.Add(-time.Second)), Member: member}).Err())
	}
}

// finished is what the scaler sees of the messages that are done.
func (b *testbed) finished(t *testing.T) int64 {
	t.Helper()
	old, err := b.client.Get(t.Context(), queue.FinishedKey(b.Key)).Int64()
	if !errors.Is(err, redis.Nil) {
		require.NoError(t, err)
	}
	done, err := b.client.ZScore(t.Context(), queue.DoneKey(b.Key), queue.DoneMember).Result()
	if !errors.Is(err, redis.Nil) {
		require.NoError(t, err)
	}
	return old + int64(done)
}

// A claim got no answer, and the server may get it after the worker's end: its name stays, or what the claim gives it
// would go with the name.
func TestStreamKeepsItsNameAfterAClaimThatMayComeLate(t *testing.T) {
	for _, command := range []string{"xautoclaim", "xclaim"} {
		t.Run(command, func(t *testing.T) {
			b := newTestbed(t)
			b.add(t, "m")
			gone := NewStream(b.other("gone"))
			require.NoError(t, gone.Recover(t.Context()))
			m := fetchOne(t, gone)
			if command == "xclaim" {
				require.NoError(t, gone.Retry(t.Context(), m, 0))
			}
			o, late := b.behind(t)
			s := NewStream(o)
			require.NoError(t, s.Recover(t.Context()))
			if command == "xautoclaim" {
				require.NoError(t, b.client.Do(t.Context(), "XCLAIM", b.Key, b.Group, "gone", 0, m.ID, "IDLE", time.Hour.Milliseconds(), "JUSTID").Err())
				b.clock.advance(reclaimGrace)
			}
			require.NoError(t, b.client.XGroupCreateConsumer(t.Context(), b.Key, b.Group, o.Consumer).Err())
			claim := late.Hold(command)
			_, err := s.Fetch(t.Context(), 1, false)
			require.Error(t, err)
			claim.Await()
			require.NoError(t, s.Close(t.Context()))
			claim.Deliver()
			pending := b.pendingEntries(t)
			require.Len(t, pending, 1)
			require.Equal(t, o.Consumer, pending[0].Consumer)
			var names []string
			for _, consumer := range b.client.XInfoConsumers(t.Context(), b.Key, b.Group).Val() {
				names = append(names, consumer.Name)
			}
			require.Contains(t, names, o.Consumer)
			require.True(t, s.doubtful)
		})
	}
}

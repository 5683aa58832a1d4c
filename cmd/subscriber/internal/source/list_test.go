package source

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// clock is a time that tests move.
type clock struct{ offset, wall atomic.Int64 }

func (c *clock) now() time.Time {
	return withWall(time.Now().Add(time.Duration(c.offset.Load())), time.Duration(c.wall.Load()))
}
func (c *clock) advance(by time.Duration) { c.offset.Add(int64(by)) }

// losing makes the server's reply to the next command of that name get lost: the command
// is executed, and the client sees its connection break.
type losing struct{ name atomic.Value }

var errLost = errors.New("connection reset by peer")

func (l *losing) lose(name string) { l.name.Store(name) }

func (l *losing) hit(name string) bool {
	return strings.EqualFold(name, l.name.Load().(string)) && l.name.CompareAndSwap(l.name.Load(), "")
}

func (l *losing) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (l *losing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if l.hit(cmd.Name()) {
			cmd.SetErr(errLost)
			return errLost
		}
		return err
	}
}

func (l *losing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if l.hit(cmds[0].Name()) {
			return errLost
		}
		return err
	}
}

// testbed is a server and a consumer's options.
type testbed struct {
	Options
	client *redis.Client // for the test itself
	lost   *losing
	clock  *clock
}

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	server := redistest.Start(t)
	b := &testbed{client: server.Client(), lost: &losing{}, clock: &clock{}}
	b.lost.lose("")
	client := connection.Settings{Mode: connection.Standalone, Addresses: []string{server.Addr}}.New(connection.Options{PoolSize: 6})
	client.AddHook(b.lost)
	t.Cleanup(func() { _ = client.Close() })
	b.Options = Options{
		Client: client, Key: "q", Consumer: "me", Group: "g", MessageTimeout: time.Second,
		Log: slog.New(slog.DiscardHandler), Now: b.clock.now,
	}
	return b
}

func (b *testbed) list(t *testing.T) *List {
	t.Helper()
	l := NewList(b.Options)
	require.NoError(t, l.Recover(t.Context()))
	return l
}

func (b *testbed) push(t *testing.T, payloads ...any) {
	t.Helper()
	require.NoError(t, b.client.LPush(t.Context(), b.Key, payloads...).Err())
}

func (b *testbed) items(t *testing.T, key string) []string {
	t.Helper()
	items, err := b.client.LRange(t.Context(), key, 0, -1).Result()
	require.NoError(t, err)
	return items
}

func fetchOne(t *testing.T, from interface {
	Fetch(context.Context, int, bool) ([]Message, error)
}) Message {
	t.Helper()
	messages, err := from.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	return messages[0]
}

func TestListIsFirstInFirstOut(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "1", "2", "3")
	l := b.list(t)
	for _, want := range []string{"1", "2", "3"} {
		m := fetchOne(t, l)
		require.Equal(t, want, m.Payload)
		require.NoError(t, l.Ack(t.Context(), m))
	}
	none, err := l.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Zero(t, b.depth(t).Total())
}

func TestListTakesSeveralAtOnce(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "1", "2", "3", "4")
	l := b.list(t)
	require.Equal(t, "1", fetchOne(t, l).Payload)
	batch, err := l.Fetch(t.Context(), 2, true)
	require.NoError(t, err)
	require.Len(t, batch, 2)
	require.Equal(t, "2", batch[0].Payload)
	batch, err = l.Fetch(t.Context(), 10, true)
	require.NoError(t, err)
	require.Len(t, batch, 1, "the last")
	require.EqualValues(t, 4, b.depth(t).InFlight)
	require.Zero(t, b.depth(t).Ready)
}

// Equal payloads are different messages, each with an ID that it keeps.
func TestListEqualPayloadsAreDifferentMessages(t *testing.T) {
	b := newTestbed(t)
	b.MaxDeliveries = 3
	b.push(t, "tick", "tick", "tick")
	l := b.list(t)
	ids := map[string]bool{}
	var all []Message
	for range 3 {
		m := fetchOne(t, l)
		require.EqualValues(t, 1, m.Deliveries)
		ids[m.ID] = true
		all = append(all, m)
	}
	require.Len(t, ids, 3)
	require.NoError(t, l.Ack(t.Context(), all[0]))
	require.NoError(t, l.Retry(t.Context(), all[1], 0))
	b.clock.advance(lookInterval)
	again := fetchOne(t, l)
	require.Equal(t, all[1].ID, again.ID)
	require.EqualValues(t, 2, again.Deliveries)
	require.NoError(t, l.Ack(t.Context(), all[2]))
	require.NoError(t, l.Ack(t.Context(), again))
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 3, b.finished(t))
}

func TestListLostReplies(t *testing.T) {
	t.Run("the wait: the message is delivered", func(t *testing.T) {
		b := newTestbed(t)
		l := b.list(t)
		_, err := l.Fetch(t.Context(), 1, false) // it looks at what there is
		require.NoError(t, err)
		b.push(t, "m")
		b.lost.lose("blmove")
		_, err = l.Fetch(t.Context(), 1, true)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, l.Recover(t.Context()))
		m := fetchOne(t, l)
		require.Equal(t, "m", m.Payload)
		require.EqualValues(t, 1, m.Deliveries)
	})
	t.Run("the take: the messages are delivered, and the delivery is their first", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "1", "2", "3")
		l := b.list(t)
		fetchOne(t, l)
		b.lost.lose("multi")
		_, err := l.Fetch(t.Context(), 2, true)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, l.Recover(t.Context()))
		batch, err := l.Fetch(t.Context(), 2, true)
		require.NoError(t, err)
		require.Len(t, batch, 2)
		require.EqualValues(t, 1, batch[0].Deliveries)
		require.EqualValues(t, 3, b.depth(t).InFlight)
	})
	t.Run("taking it again: it is delivered, and counted once", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		l := b.list(t)
		require.NoError(t, l.Retry(t.Context(), fetchOne(t, l), 0))
		b.clock.advance(lookInterval)
		b.lost.lose("multi")
		_, err := l.Fetch(t.Context(), 1, true)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, l.Recover(t.Context()))
		require.EqualValues(t, 2, fetchOne(t, l).Deliveries)
	})
	for name, dead := range map[string]bool{"an acknowledgement": false, "a burial": true} {
		t.Run(name+": the message is not delivered again", func(t *testing.T) {
			b := newTestbed(t)
			b.push(t, "m")
			l := b.list(t)
			m := fetchOne(t, l)
			var err error
			b.lost.lose("multi")
			if dead {
				err = l.Bury(t.Context(), m)
			} else {
				err = l.Ack(t.Context(), m)
			}
			require.ErrorIs(t, err, errLost)
			require.NoError(t, l.Recover(t.Context()))
			require.EqualValues(t, 1, b.finished(t), "counted once")
			none, err := l.Fetch(t.Context(), 1, true)
			require.NoError(t, err)
			require.Empty(t, none)
			require.Zero(t, b.depth(t).Total())
			if dead {
				require.Equal(t, []string{"m"}, b.dead(t, ""), "once")
			}
		})
	}
	t.Run("a retry: it waits for its time", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		l := b.list(t)
		m := fetchOne(t, l)
		b.lost.lose("multi")
		require.ErrorIs(t, l.Retry(t.Context(), m, time.Hour), errLost)
		require.NoError(t, l.Recover(t.Context()))
		none, err := l.Fetch(t.Context(), 1, true)
		require.NoError(t, err)
		require.Empty(t, none)
		depth := b.depth(t)
		require.EqualValues(t, 1, depth.Ready)
		require.Zero(t, depth.InFlight)
	})
}

// A failover can undo an end without any error here.
func TestListFindsWhatAFailoverBroughtBack(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "m")
	l := b.list(t)
	m := fetchOne(t, l)
	require.NoError(t, l.Ack(t.Context(), m))
	require.NoError(t, b.client.LPush(t.Context(), l.home(m.holding), "m").Err())
	require.NoError(t, b.client.ZAdd(t.Context(), l.taken, redis.Z{Score: l.leaseEnd(), Member: m.holding.String()}).Err())
	none, err := l.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	b.endLeases(t)
	b.clock.advance(reclaimGrace)
	require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
	require.Zero(t, b.depth(t).Total())
}

// An end that the server did not take is told again while the worker lives, which extends the lease until then: so nobody
// else would ever come by the message.
func TestListTellsAgainWhatTheServerDidNotTake(t *testing.T) {
	for name, end := range map[string]func(context.Context, *List, Message) error{
		"given back": func(ctx context.Context, l *List, m Message) error { return l.Release(ctx, []Message{m}, 0) },
		"to retry":   func(ctx context.Context, l *List, m Message) error { return l.Retry(ctx, m, 0) },
		"done":       func(ctx context.Context, l *List, m Message) error { return l.Ack(ctx, m) },
		"dead":       func(ctx context.Context, l *List, m Message) error { return l.Bury(ctx, m) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestbed(t)
			b.push(t, "m")
			l := b.list(t)
			m := fetchOne(t, l)
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			require.Error(t, end(gone, l, m))
			require.EqualValues(t, 1, b.depth(t).InFlight)
			require.NoError(t, l.maintain(t.Context()))
			require.Zero(t, b.depth(t).InFlight)
		})
	}
}

// A server that is away takes no ends either. A heartbeat that waited for each of them would come too late, when the
// server is back: others wait reclaimGrace for it.
func TestListTellsNothingAgainWithoutAHeartbeat(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "m")
	l := b.list(t)
	m := fetchOne(t, l)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, l.Ack(gone, m))
	b.lost.lose("time")
	require.ErrorIs(t, l.maintain(t.Context()), errLost)
	require.EqualValues(t, 1, b.depth(t).InFlight)
	require.NoError(t, l.maintain(t.Context()))
	require.Zero(t, b.depth(t).InFlight)
}

func TestListCloseLeavesWhatIsGivenBackToOthers(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "1", "2", "3")
	l := b.list(t)
	require.NoError(t, l.Release(t.Context(), []Message{fetchOne(t, l)}, 0))
	require.NoError(t, l.Retry(t.Context(), fetchOne(t, l), 0))
	require.NoError(t, l.Close(t.Context()))
	require.Zero(t, b.client.Exists(t.Context(), l.consumers).Val())
	require.EqualValues(t, 3, b.depth(t).Ready)
	next := NewList(b.other("next"))
	require.NoError(t, next.Recover(t.Context()))
	got := map[string]int64{}
	for range 3 {
		m := fetchOne(t, next)
		got[m.Payload] = m.Deliveries
		b.clock.advance(lookInterval)
	}
	require.Equal(t, map[string]int64{"1": 1, "2": 2, "3": 1}, got)
}

// However many fail, new ones are delivered, and those that fail are, too.
func TestListRetriesAndNewMessagesTakeTurns(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	for range 300 {
		b.push(t, "bad")
		require.NoError(t, l.Retry(t.Context(), fetchNew(t, l), 0))
	}
	for range 300 {
		b.push(t, "good")
	}
	b.clock.advance(lookInterval)
	counts := map[string]int{}
	for range 100 {
		m := fetchOne(t, l)
		counts[m.Payload]++
		require.NoError(t, l.Ack(t.Context(), m))
	}
	require.InDelta(t, 50, counts["bad"], 2)
	require.InDelta(t, 50, counts["good"], 2)
}

// fetchNew passes over messages that are due again.
func fetchNew(t *testing.T, l *List) Message {
	t.Helper()
	l.nextLook = l.Now().Add(time.Hour)
	m := fetchOne(t, l)
	l.nextLook = time.Time{}
	return m
}

// dies leaves messages in work of a worker whose lease ended that long ago.
func (b *testbed) dies(t *testing.T, name string, ago time.Duration, payloads ...string) {
	t.Helper()
	now, err := b.client.Time(t.Context()).Result()
	require.NoError(t, err)
	gone := NewList(b.other(name))
	for _, payload := range payloads {
		h := gone.holding("", 0)
		require.NoError(t, b.client.LPush(t.Context(), gone.home(h), payload).Err())
		require.NoError(t, b.client.ZAdd(t.Context(), gone.taken, redis.Z{Score: inWork(now.Add(-ago)), Member: h.String()}).Err())
		require.NoError(t, b.client.ZAdd(t.Context(), queue.UncountedKey(b.Key, h.id), redis.Z{Score: 1, Member: queue.DoneMember}).Err())
	}
}

func TestListTakesOverFromTheDead(t *testing.T) {
	b := newTestbed(t)
	b.dies(t, "gone", time.Second, "1", "2")
	b.dies(t, "slow", -25*time.Second, "x")
	reclaimed := 0
	b.Event = func(event Event, messages int) {
		require.Equal(t, Reclaimed, event)
		reclaimed += messages
	}
	l := b.survivor(t)
	batch, err := l.Fetch(t.Context(), 10, true)
	require.NoError(t, err)
	require.Len(t, batch, 2)
	require.Equal(t, []string{"1", "2"}, []string{batch[0].Payload, batch[1].Payload})
	require.EqualValues(t, 2, batch[0].Deliveries, "it may be what ended its worker")
	require.Equal(t, 2, reclaimed)
	b.clock.advance(lookInterval)
	none, err := l.Fetch(t.Context(), 10, true)
	require.NoError(t, err)
	require.Empty(t, none, "within its lease")
}

// After an outage all leases have ended, and those who are alive have to say so first.
func TestListWaitsAfterAnOutage(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "m")
	busy, idle := b.list(t), NewList(b.other("idle"))
	require.NoError(t, idle.Recover(t.Context()))
	m := fetchOne(t, busy)
	b.clock.advance(longAfter) // without a server
	b.endLeases(t)
	require.NoError(t, idle.Recover(t.Context()))
	none, err := idle.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, busy.heartbeat(t.Context()))
	b.clock.advance(reclaimGrace)
	none, err = idle.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, busy.Ack(t.Context(), m))
	require.EqualValues(t, 1, b.finished(t))
}

func TestListTakeoverByManyAtOnce(t *testing.T) {
	b := newTestbed(t)
	var payloads []string
	for i := range 200 {
		payloads = append(payloads, time.Duration(i).String())
	}
	b.dies(t, "gone", time.Second, payloads...)
	var group sync.WaitGroup
	var mu sync.Mutex
	var got []string
	var workers []*List
	for _, name := range []string{"a", "b", "c"} {
		l := NewList(b.other(name))
		require.NoError(t, l.Recover(t.Context()))
		workers = append(workers, l)
	}
	b.clock.advance(reclaimGrace)
	for _, l := range workers {
		group.Go(func() {
			for empty := 0; empty < 3; {
				l.nextLook = time.Time{}
				batch, err := l.Fetch(t.Context(), 10, false)
				if err != nil {
					t.Error(err)
					return
				}
				if len(batch) == 0 {
					empty++
				}
				for _, m := range batch {
					if err := l.Ack(t.Context(), m); err != nil {
						t.Error(err)
					}
					mu.Lock()
					got = append(got, m.Payload)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	require.ElementsMatch(t, payloads, got, "each once")
	require.Zero(t, b.depth(t).Total())
	require.EqualValues(t, 200, b.finished(t))
}

// A lease that ends later than any does is cut to what one is: the server's clock was ahead.
func TestListMendsLeasesFromTheFuture(t *testing.T) {
	b := newTestbed(t)
	b.dies(t, "ahead", -time.Hour, "m")
	b.diesOld(t, "old", -time.Hour, "n")
	l := b.survivor(t)
	require.NoError(t, l.mendLeases(t.Context()))
	require.NoError(t, l.reclaim(t.Context()))
	now, err := b.client.Time(t.Context()).Result()
	require.NoError(t, err)
	end := b.client.ZRangeWithScores(t.Context(), l.taken, 0, -1).Val()[0].Score - queue.InWork
	require.InDelta(t, float64(now.Add(lease).UnixMilli()), end, 10_000)
	require.InDelta(t, float64(now.Unix()), b.client.ZScore(t.Context(), l.consumers, "old").Val(), 10)
}

// A process that starts again under its name has what it held before at once.
func TestListFindsWhatAnEarlierProcessHeld(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "1", "2")
	fetchOne(t, b.list(t))
	again := b.list(t)
	m := fetchOne(t, again)
	require.Equal(t, "1", m.Payload)
	require.EqualValues(t, 2, m.Deliveries)
}

// diesOld leaves messages in the list of an older version's worker whose heartbeat is that old.
func (b *testbed) diesOld(t *testing.T, name string, ago time.Duration, oldestFirst ...any) {
	t.Helper()
	ctx := t.Context()
	now, err := b.client.Time(ctx).Result()
	require.NoError(t, err)
	score := float64(now.Add(-ago).Unix())
	require.NoError(t, b.client.ZAdd(ctx, queue.ConsumersKey(b.Key), redis.Z{Score: score, Member: name}).Err())
	if len(oldestFirst) > 0 {
		require.NoError(t, b.client.LPush(ctx, queue.ProcessingKey(b.Key, name), oldestFirst...).Err())
	}
}

func TestListReclaimsFromOlderVersions(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "3", "4")
	b.diesOld(t, "gone", lease+20*time.Second, "1", "2")
	b.diesOld(t, "slow", lease-20*time.Second, "x")
	b.diesOld(t, "long gone", forgetAfter+time.Minute)
	b.diesOld(t, "long gone with work", forgetAfter+time.Minute, "0")
	var reclaimed int
	b.Event = func(event Event, messages int) {
		require.Equal(t, Reclaimed, event)
		reclaimed += messages
	}
	l := b.survivor(t)
	require.NoError(t, l.reclaim(t.Context()))
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, b.items(t, b.Key), "the longest gone comes last, so its work comes first")
	require.Equal(t, 3, reclaimed)
	require.Equal(t, []string{"x"}, b.items(t, queue.ProcessingKey(b.Key, "slow")), "within its lease")
	known := func() []string { return b.client.ZRange(t.Context(), l.consumers, 0, -1).Val() }
	require.ElementsMatch(t, []string{"gone", "slow", "long gone with work", "survivor"}, known())
	require.NoError(t, l.reclaim(t.Context()))
	require.ElementsMatch(t, []string{"gone", "slow", "survivor"}, known(), "empty and old enough now")
}

// A consumer that was frozen and finds its messages gone must be known before it moves
// another.
func TestListBeatsBeforeItMovesAfterAFreeze(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	require.NoError(t, b.client.ZRem(t.Context(), l.consumers, "me").Err())
	b.push(t, "m")
	b.clock.advance(lease)
	fetchOne(t, l)
	require.Equal(t, []string{"me"}, b.client.ZRange(t.Context(), l.consumers, 0, -1).Val())
}

func TestListForgetIsCalledOffWhenSomethingChanges(t *testing.T) {
	b := newTestbed(t)
	b.diesOld(t, "gone", time.Hour)
	l := b.list(t)
	err := l.forget(t.Context(), "gone", func(float64) bool {
		require.NoError(t, b.client.LPush(t.Context(), queue.ProcessingKey(b.Key, "gone"), "late").Err())
		return true
	})
	require.NoError(t, err, "its list is seen not to be empty")
	require.NoError(t, b.client.ZScore(t.Context(), l.consumers, "gone").Err())
}

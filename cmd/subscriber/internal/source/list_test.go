package source

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
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
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
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

// finished is what the scaler sees of the messages that are done.
func (b *testbed) finished(t *testing.T) int64 {
	t.Helper()
	finished, err := b.client.Get(t.Context(), queue.FinishedKey(b.Key)).Int64()
	if !errors.Is(err, redis.Nil) {
		require.NoError(t, err)
	}
	return finished
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
	require.Empty(t, b.items(t, l.processing))
}

func TestReconcile(t *testing.T) {
	type removals = []removal
	cases := map[string]struct {
		present  []string // newest first
		held     map[string]int
		finished []removal
		moved    bool
		adopt    []string
		remove   []removal
	}{
		"nothing": {},
		"what an earlier process held is adopted, oldest first": {
			present: []string{"b", "a"}, adopt: []string{"a", "b"},
		},
		"what is held is left alone": {
			present: []string{"b", "a"}, held: map[string]int{"a": 1, "b": 1},
		},
		"a lost reply's message is adopted": {
			present: []string{"b", "a"}, held: map[string]int{"a": 1}, moved: true, adopt: []string{"b"},
		},
		"a removal that happened is not repeated": {
			present: []string{"a"}, held: map[string]int{"a": 1}, finished: removals{{payload: "b"}},
		},
		"a removal that did not happen is repeated": {
			present: []string{"b", "a"}, held: map[string]int{"b": 1}, finished: removals{{payload: "a", dead: true}},
			remove: removals{{payload: "a", dead: true}},
		},
		"equal payloads: one in work, one finished and removed": {
			present: []string{"a"}, held: map[string]int{"a": 1}, finished: removals{{payload: "a"}},
		},
		"equal payloads: one in work, one finished and not removed": {
			present: []string{"a", "a"}, held: map[string]int{"a": 1}, finished: removals{{payload: "a"}},
			remove: removals{{payload: "a"}},
		},
		"equal payloads: finished or lost reply, it is delivered again": {
			present: []string{"a"}, finished: removals{{payload: "a"}}, moved: true, adopt: []string{"a"},
		},
		"only the newest can be of a lost reply": {
			present: []string{"b", "a"}, finished: removals{{payload: "a"}, {payload: "b"}}, moved: true,
			adopt: []string{"b"}, remove: removals{{payload: "a"}},
		},
		"what others took over is not there": {
			held: map[string]int{"a": 1}, finished: removals{{payload: "b"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			adopt, remove := reconcile(tc.present, tc.held, tc.finished, tc.moved)
			require.Equal(t, tc.adopt, adopt)
			require.Equal(t, tc.remove, remove)
		})
	}
}

func TestListLostReplies(t *testing.T) {
	t.Run("BLMOVE: the message is delivered", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		l := b.list(t)
		b.lost.lose("blmove")
		_, err := l.Fetch(t.Context(), 1, true)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, l.Recover(t.Context()))
		require.Equal(t, "m", fetchOne(t, l).Payload)
	})
	t.Run("BLMOVE executed after Recover: the message is delivered", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		l := b.list(t)
		l.doubt()
		require.NoError(t, l.Recover(t.Context()))
		require.NoError(t, b.client.LMove(t.Context(), b.Key, l.processing, "RIGHT", "LEFT").Err())
		b.clock.advance(doubtTime + time.Second)
		require.Equal(t, "m", fetchOne(t, l).Payload)
	})
	t.Run("BLMOVE, then a clean end: the others know where to look", func(t *testing.T) {
		b := newTestbed(t)
		b.push(t, "m")
		l := b.list(t)
		b.lost.lose("blmove")
		_, err := l.Fetch(t.Context(), 1, true)
		require.Error(t, err)
		require.NoError(t, l.Close(t.Context()))
		require.Equal(t, []string{"m"}, b.items(t, b.Key))
		require.Equal(t, []string{"me"}, b.client.ZRange(t.Context(), l.consumers, 0, -1).Val())
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
			require.Empty(t, b.items(t, l.processing))
			if dead {
				require.Equal(t, []string{"m"}, b.items(t, "q:dead"), "once")
			}
		})
	}
}

// A failover can undo a removal without any error here.
func TestListFindsWhatAFailoverBroughtBack(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "m")
	l := b.list(t)
	require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
	require.NoError(t, b.client.LPush(t.Context(), l.processing, "m").Err())
	none, err := l.Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	b.clock.advance(recheckInterval + time.Second)
	require.NoError(t, l.Ack(t.Context(), fetchOne(t, l)))
	require.Empty(t, b.items(t, l.processing))
}

func TestListCloseGivesBackInOrder(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "1", "2", "3")
	l := b.list(t)
	fetchOne(t, l)
	require.NoError(t, l.Retry(t.Context(), fetchOne(t, l), time.Hour))
	require.NoError(t, l.Close(t.Context()))
	require.Equal(t, []string{"3", "2", "1"}, b.items(t, b.Key))
	require.Zero(t, b.client.Exists(t.Context(), l.consumers, l.processing).Val())
}

func TestListHoldsBackWhenTooManyWait(t *testing.T) {
	b := newTestbed(t)
	l := b.list(t)
	for range maxWaiting {
		require.NoError(t, l.Retry(t.Context(), Message{Payload: "bad"}, time.Hour))
	}
	b.push(t, "next")
	none, err := l.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Equal(t, []string{"next"}, b.items(t, b.Key))
	b.clock.advance(2 * time.Hour)
	require.Equal(t, "bad", fetchOne(t, l).Payload)
}

// dies leaves messages in the list of a consumer whose heartbeat is that old.
func (b *testbed) dies(t *testing.T, name string, ago time.Duration, oldestFirst ...any) {
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

func TestListReclaim(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "3", "4")
	b.dies(t, "gone", lease+2*time.Second, "1", "2")
	b.dies(t, "slow", lease-5*time.Second, "x")
	b.dies(t, "long gone", forgetAfter+time.Minute)
	b.dies(t, "long gone with work", forgetAfter+time.Minute, "0")
	var reclaimed int
	b.Event = func(event Event, messages int) {
		require.Equal(t, Reclaimed, event)
		reclaimed += messages
	}
	l := b.list(t)
	require.NoError(t, l.reclaim(t.Context()))
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, b.items(t, b.Key), "the longest gone comes last, so its work comes first")
	require.Equal(t, 3, reclaimed)
	require.Equal(t, []string{"x"}, b.items(t, queue.ProcessingKey(b.Key, "slow")), "within its lease")
	known := func() []string { return b.client.ZRange(t.Context(), l.consumers, 0, -1).Val() }
	require.ElementsMatch(t, []string{"gone", "slow", "long gone with work", "me"}, known())
	require.NoError(t, l.reclaim(t.Context()))
	require.ElementsMatch(t, []string{"gone", "slow", "me"}, known(), "empty and old enough now")
}

func TestListReclaimByManyAtOnce(t *testing.T) {
	b := newTestbed(t)
	var payloads []any
	for i := range 200 {
		payloads = append(payloads, time.Duration(i).String())
	}
	b.dies(t, "gone", time.Hour, payloads...)
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		options := b.Options
		options.Consumer = name
		group.Go(func() {
			if err := NewList(options).reclaim(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := b.items(t, b.Key)
	slices.Reverse(got)
	want := make([]string, len(payloads))
	for i, p := range payloads {
		want[i] = p.(string)
	}
	require.Equal(t, want, got, "each once, in order")
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
	b.dies(t, "gone", time.Hour)
	l := b.list(t)
	err := l.forget(t.Context(), "gone", func(float64) bool {
		require.NoError(t, b.client.LPush(t.Context(), queue.ProcessingKey(b.Key, "gone"), "late").Err())
		return true
	})
	require.NoError(t, err, "its list is seen not to be empty")
	require.NoError(t, b.client.ZScore(t.Context(), l.consumers, "gone").Err())
}

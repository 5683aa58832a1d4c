package source

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// letters are those of the testbed's queue, the newest first.
func (b *testbed) letters(t *testing.T, group string) []deadletter.Letter {
	t.Helper()
	box := deadletter.Box{Key: b.Key, Group: group}
	ids, err := box.IDs(t.Context(), b.client, 0)
	require.NoError(t, err)
	letters, err := box.Read(t.Context(), b.client, ids)
	require.NoError(t, err)
	require.Len(t, letters, len(ids), "no ID without its letter")
	return letters
}

// dead are the payloads of the dead letters.
func (b *testbed) dead(t *testing.T, group string) []string {
	t.Helper()
	var payloads []string
	for _, letter := range b.letters(t, group) {
		payloads = append(payloads, letter.Payload+letter.Fields[PayloadField])
	}
	return payloads
}

// eitherKind runs a test of what holds for lists and for streams.
func eitherKind(t *testing.T, test func(t *testing.T, b *testbed, box deadletter.Box, open func() source, publish func(payloads ...string))) {
	t.Run("list", func(t *testing.T) {
		b := newTestbed(t)
		test(t, b, deadletter.Box{Key: b.Key}, func() source { return b.list(t) }, func(payloads ...string) {
			for _, payload := range payloads {
				b.push(t, payload)
			}
		})
	})
	t.Run("stream", func(t *testing.T) {
		b := newTestbed(t)
		test(t, b, deadletter.Box{Key: b.Key, Group: b.Group}, func() source { return b.stream(t) }, func(payloads ...string) { b.add(t, payloads...) })
	})
}

// A dead letter has all that is known of the message, byte for byte.
func TestADeadLetterKeepsWhatIsKnown(t *testing.T) {
	const payload = "\x00\xff{\"order\": 1}\r\n"
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, open func() source, publish func(...string)) {
		publish(payload)
		s := open()
		m := fetchOne(t, s)
		m.Reason, m.Deliveries = "http://h answered 422: \"no such order\"", 3
		before := time.Now()
		require.NoError(t, s.Bury(t.Context(), m))
		letter := b.letters(t, box.Group)[0]
		require.WithinRange(t, letter.Time, before.Add(-5*time.Second), time.Now().Add(5*time.Second))
		letter.Time = time.Time{}
		want := deadletter.Letter{ID: m.ID, Reason: m.Reason, Deliveries: 3, Worker: "me"}
		if box.Group == "" {
			want.Payload = payload
		} else {
			want.Fields = map[string]string{PayloadField: payload}
		}
		require.Equal(t, want, letter)
	})
}

// A message that a worker did not survive has a reason, too.
func TestADeadLetterOfAWorkerThatDied(t *testing.T) {
	b := newTestbed(t)
	b.MaxDeliveries = 1
	b.dies(t, "gone", time.Second, "killer")
	none, err := b.survivor(t).Fetch(t.Context(), 1, false)
	require.NoError(t, err)
	require.Empty(t, none)
	letter := b.letters(t, "")[0]
	require.EqualValues(t, 1, letter.Deliveries)
	require.Contains(t, letter.Reason, "delivered 1 time, which is MAX_DELIVERIES")
}

// A letter goes back once, whoever asks, and is the same message, as one never delivered.
func TestADeadLetterIsRequeuedOnce(t *testing.T) {
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, open func() source, publish func(...string)) {
		publish("a", "b")
		s := open()
		first, second := fetchOne(t, s), fetchOne(t, s)
		first.Deliveries = 7
		require.NoError(t, s.Bury(t.Context(), first))
		require.NoError(t, s.Bury(t.Context(), second))
		if box.Group != "" {
			require.NoError(t, b.client.XGroupCreate(t.Context(), b.Key, "other", "$").Err())
		}
		var done atomic.Int64
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				err := box.Requeue(t.Context(), b.client, first.ID)
				if err == nil {
					done.Add(1)
				} else if !errors.Is(err, deadletter.ErrGone) {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		require.EqualValues(t, 1, done.Load())
		require.Equal(t, []string{"b"}, b.dead(t, box.Group))
		b.clock.advance(idleLookInterval)
		again := fetchOne(t, s)
		require.Equal(t, first.ID, again.ID)
		require.Equal(t, "a", again.Payload)
		require.EqualValues(t, 1, again.Deliveries)
		none, err := s.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		require.Empty(t, none)
		if box.Group == "" {
			require.EqualValues(t, 1, b.depth(t).Total())
			require.EqualValues(t, 3, b.depth(t).Added, "it came once more")
		} else {
			groups := b.client.XInfoGroups(t.Context(), b.Key).Val()
			require.Equal(t, "other", groups[1].Name)
			require.Zero(t, groups[1].Lag, "other groups get nothing")
		}
		require.NoError(t, s.Ack(t.Context(), again))
		if box.Group == "" {
			require.Zero(t, b.depth(t).Total())
			require.EqualValues(t, 3, b.depth(t).Added)
		}
	})
}

// An entry that the stream has no more comes back with its fields.
func TestADeadLetterWhoseEntryWasTrimmed(t *testing.T) {
	b := newTestbed(t)
	s := b.stream(t)
	require.NoError(t, b.client.XAdd(t.Context(), &redis.XAddArgs{Stream: b.Key, Values: []any{"payload", "p", "tenant", "t"}}).Err())
	require.NoError(t, s.Bury(t.Context(), fetchOne(t, s)))
	require.NoError(t, b.client.XTrimMaxLen(t.Context(), b.Key, 0).Err())
	box := deadletter.Box{Key: b.Key, Group: b.Group}
	require.NoError(t, box.Requeue(t.Context(), b.client, b.letters(t, b.Group)[0].ID))
	again := fetchOne(t, s)
	require.Equal(t, map[string]any{"payload": "p", "tenant": "t"}, again.Fields())
	require.Empty(t, b.letters(t, b.Group))
}

// Without its group a letter stays.
func TestADeadLetterWhoseGroupIsGone(t *testing.T) {
	b := newTestbed(t)
	b.add(t, "m")
	s := b.stream(t)
	require.NoError(t, s.Bury(t.Context(), fetchOne(t, s)))
	require.NoError(t, b.client.XGroupDestroy(t.Context(), b.Key, b.Group).Err())
	box := deadletter.Box{Key: b.Key, Group: b.Group}
	require.ErrorContains(t, box.Requeue(t.Context(), b.client, b.letters(t, b.Group)[0].ID), "NOGROUP")
	require.Equal(t, []string{"m"}, b.dead(t, b.Group))
}

// Of too many letters the oldest go, however many workers bury at the same time.
func TestDeadLettersAreBounded(t *testing.T) {
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, _ func() source, publish func(...string)) {
		const most, all = 5, 40
		b.MaxDead = most
		var discarded atomic.Int64
		b.Event = func(event Event, n int) {
			if event == Discarded {
				discarded.Add(int64(n))
			}
		}
		for i := range all {
			publish(strconv.Itoa(i))
		}
		s := b.source(t, box)
		batch, err := s.Fetch(t.Context(), all, true)
		require.NoError(t, err)
		require.Len(t, batch, all)
		var burying sync.WaitGroup
		for _, m := range batch[:all-1] {
			burying.Go(func() {
				if err := s.Bury(t.Context(), m); err != nil {
					t.Error(err)
				}
			})
		}
		burying.Wait()
		b.clock.advance(time.Millisecond)
		require.NoError(t, s.Bury(t.Context(), batch[all-1]))
		letters := b.letters(t, box.Group)
		require.Len(t, letters, most)
		require.Equal(t, batch[all-1].ID, letters[0].ID, "the newest stays")
		require.EqualValues(t, all-most, discarded.Load())
		require.Len(t, b.client.Keys(t.Context(), box.LetterKey("*")).Val(), most, "no letter without its ID")
	})
}

// A server that gets a burial late, after it was told again, has one letter; after the letter was
// requeued, a list has none.
func TestLateBurialsLeaveOneLetter(t *testing.T) {
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, _ func() source, publish func(...string)) {
		o, late := b.behind(t)
		publish("bad")
		behind := *b
		behind.Options = o
		s := behind.source(t, box)
		m := fetchOne(t, s)
		burial := late.Hold("multi")
		require.Error(t, s.Bury(t.Context(), m))
		require.NoError(t, s.Recover(t.Context()))
		require.Len(t, b.letters(t, box.Group), 1)
		burial.Deliver()
		require.Len(t, b.letters(t, box.Group), 1)
		require.NoError(t, box.Requeue(t.Context(), b.client, m.ID))
		require.Empty(t, b.letters(t, box.Group))
	})
}

func TestALateBurialAfterARequeue(t *testing.T) {
	b := newTestbed(t)
	o, late := b.behind(t)
	b.push(t, "bad")
	l := NewList(o)
	require.NoError(t, l.Recover(t.Context()))
	m := fetchOne(t, l)
	burial := late.Hold("multi")
	require.Error(t, l.Bury(t.Context(), m))
	require.NoError(t, l.Recover(t.Context()))
	require.NoError(t, deadletter.Box{Key: b.Key}.Requeue(t.Context(), b.client, m.ID))
	burial.Deliver()
	require.Empty(t, b.letters(t, ""))
	require.EqualValues(t, 1, b.depth(t).Ready)
}

func TestPurge(t *testing.T) {
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, open func() source, publish func(...string)) {
		publish("a", "b")
		s := open()
		first, second := fetchOne(t, s), fetchOne(t, s)
		require.NoError(t, s.Bury(t.Context(), first))
		require.NoError(t, s.Bury(t.Context(), second))
		removed, err := box.Purge(t.Context(), b.client, []string{first.ID, "none"})
		require.NoError(t, err)
		require.Equal(t, 1, removed)
		require.Equal(t, []string{"b"}, b.dead(t, box.Group))
		require.ErrorIs(t, box.Requeue(t.Context(), b.client, first.ID), deadletter.ErrGone)
	})
}

// A look-up of names that others share.
func TestNamesOfDeadLetters(t *testing.T) {
	require.Equal(t, "{q}:dead-letters", queue.DeadLettersKey("q", ""))
	require.Equal(t, "a{q}:dead-letters:g", queue.DeadLettersKey("a{q}", "g"))
}

// source is what both kinds can do.
type source interface {
	Recover(ctx context.Context) error
	Fetch(ctx context.Context, limit int, wait bool) ([]Message, error)
	Ack(ctx context.Context, m Message) error
	Bury(ctx context.Context, m Message) error
}

// source is a new one of the box's kind, with the testbed's options.
func (b *testbed) source(t *testing.T, box deadletter.Box) source {
	t.Helper()
	var s source = NewList(b.Options)
	if box.Group != "" {
		s = NewStream(b.Options)
	}
	require.NoError(t, s.Recover(t.Context()))
	return s
}

// A right that is missing within a transaction, as with a rule from before a command, ends the worker with the
// remedy: EXECABORT alone has none.
func TestARightThatBurialsLack(t *testing.T) {
	eitherKind(t, func(t *testing.T, b *testbed, box deadletter.Box, _ func() source, publish func(...string)) {
		require.NoError(t, b.client.ACLSetUser(t.Context(), "older", "on", ">pw", "~*", "+@all", "-hset").Err())
		options := *b.client.Options()
		options.Username, options.Password = "older", "pw"
		client := redis.NewClient(&options)
		t.Cleanup(func() { _ = client.Close() })
		publish("bad")
		limited := *b
		limited.Client = client
		s := limited.source(t, box)
		err := s.Bury(t.Context(), fetchOne(t, s))
		require.ErrorIs(t, err, ErrPermanent)
		require.ErrorContains(t, err, "grant the command")
		require.ErrorContains(t, err, "hset")
	})
}

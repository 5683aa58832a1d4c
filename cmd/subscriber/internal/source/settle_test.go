package source

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// meddler acts before commands are sent, by their names; after an error they are not.
type meddler struct {
	act atomic.Pointer[func(name string) error]
}

func (b *testbed) meddler() *meddler {
	m := &meddler{}
	m.set(nothing)
	b.Client.AddHook(m)
	return m
}

func nothing(string) error { return nil }

func (m *meddler) set(act func(name string) error) { m.act.Store(&act) }

// cut has no command of those names arrive.
func (m *meddler) cut(names ...string) {
	m.set(func(name string) error {
		for _, cut := range names {
			if name == cut {
				return errLost
			}
		}
		return nil
	})
}

func (m *meddler) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meddler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := (*m.act.Load())(cmd.Name()); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (m *meddler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if err := (*m.act.Load())(cmd.Name()); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

// ends is what the tests of ends use of a source.
type ends interface {
	Recover(ctx context.Context) error
	Fetch(ctx context.Context, limit int, wait bool) ([]Message, error)
	Ack(ctx context.Context, m Message) error
	Bury(ctx context.Context, m Message) error
}

// A message whose end is in trouble holds up the end of no other: not if the server refuses it, not if it never gets there,
// and not if there is no room for it. On a full server the others are what makes room.
func TestTheTroubleOfOneEndHoldsUpNoOther(t *testing.T) {
	troubles := map[string]struct {
		begins func(t *testing.T, b *testbed, m *meddler)
		rounds int // of Recover
	}{
		"it is refused": {func(t *testing.T, b *testbed, _ *meddler) {
			require.NoError(t, b.client.Do(t.Context(), "ACL", "SETUSER", "default", "-hset").Err())
		}, 1},
		"it never gets there": {func(_ *testing.T, _ *testbed, m *meddler) { m.cut("hset") }, 2},
		"there is no room":    {func(t *testing.T, b *testbed, _ *meddler) { b.fill(t) }, 1},
	}
	kinds := map[string]func(t *testing.T, b *testbed) ends{
		"List": func(t *testing.T, b *testbed) ends {
			b.push(t, "bad", "good")
			return b.list(t)
		},
		"Stream": func(t *testing.T, b *testbed) ends {
			b.add(t, "bad", "good")
			return b.stream(t)
		},
	}
	for kind, open := range kinds {
		for name, trouble := range troubles {
			t.Run(kind+": "+name, func(t *testing.T) {
				b := newTestbed(t)
				network := b.meddler()
				s := open(t, b)
				bad, good := fetchOne(t, s), fetchOne(t, s)
				require.Equal(t, "good", good.Payload)
				network.cut("zunionstore", "xack")
				require.ErrorIs(t, s.Bury(t.Context(), bad), errLost)
				require.ErrorIs(t, s.Ack(t.Context(), good), errLost)
				require.EqualValues(t, 2, b.depth(t).Total())
				network.set(nothing)
				trouble.begins(t, b, network)
				for range trouble.rounds {
					_ = s.Recover(t.Context()) // it may tell of the trouble
				}
				require.EqualValues(t, 1, b.depth(t).Total())
			})
		}
	}
}

// A retry that has no room waits for it, and what is finished behind it is ended meanwhile, with its name.
func TestARetryWithoutRoomHoldsUpNoAcknowledgement(t *testing.T) {
	b := newTestbed(t)
	b.push(t, "fails", "done")
	l := b.list(t)
	fails, done := fetchOne(t, l), fetchOne(t, l)
	b.fill(t)
	require.NoError(t, l.Retry(t.Context(), fails, 0))
	b.lost.lose("del")
	require.ErrorIs(t, l.Ack(t.Context(), done), errLost)
	_ = l.maintain(t.Context()) // the server refuses the heartbeat
	require.Equal(t, []string{fails.holding.String()}, b.client.ZRange(t.Context(), l.taken, 0, -1).Val())
	b.makeRoom(t)
	require.NoError(t, l.maintain(t.Context()))
	require.EqualValues(t, 1, b.depth(t).Ready)
	require.EqualValues(t, 1, b.finished(t))
}

// While a message is buried its holding changes: nothing is told of trouble, and if it was taken over, no letter is made.
func TestABurialLooksAgainIfTheHoldingChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(ctx context.Context, client *redis.Client, home string) error
		dead   []string
	}{
		"the message is still there": {func(ctx context.Context, client *redis.Client, home string) error {
			return errors.Join(client.RPush(ctx, home, "x").Err(), client.RPop(ctx, home).Err())
		}, []string{"m"}},
		"another has it": {func(ctx context.Context, client *redis.Client, home string) error {
			return client.LMove(ctx, home, "another's", "RIGHT", "LEFT").Err()
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestbed(t)
			server := b.meddler()
			b.push(t, "m")
			l := b.list(t)
			m := fetchOne(t, l)
			changes := 0
			server.set(func(name string) error {
				if name != "hset" || changes > 0 {
					return nil
				}
				changes++
				return test.change(t.Context(), b.client, l.home(m.holding))
			})
			require.NoError(t, l.Bury(t.Context(), m))
			require.Equal(t, 1, changes)
			require.Equal(t, test.dead, b.dead(t, ""))
			require.Zero(t, b.client.ZCard(t.Context(), l.taken).Val())
		})
	}
}

package source

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

func (b *testbed) pubsub(t *testing.T) *PubSub {
	t.Helper()
	client := connection.Settings{Addresses: []string{b.client.Options().Addr}}.New(connection.Options{PoolSize: 2, Name: queue.ClientName(b.Key)})
	t.Cleanup(func() { _ = client.Close() })
	b.Client = client
	s := NewPubSub(b.Options)
	require.NoError(t, s.Recover(t.Context()))
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	return s
}

func (b *testbed) say(t *testing.T, payload string) {
	t.Helper()
	require.NoError(t, b.client.Publish(t.Context(), b.Key, payload).Err())
}

// receive fetches without waiting until a message is there.
func receive(t *testing.T, s *PubSub) Message {
	t.Helper()
	var batch []Message
	require.Eventually(t, func() bool {
		var err error
		batch, err = s.Fetch(t.Context(), 1, false)
		require.NoError(t, err)
		return len(batch) == 1
	}, time.Minute, time.Millisecond)
	return batch[0]
}

func TestPubSub(t *testing.T) {
	b := newTestbed(t)
	b.say(t, "nobody hears this")
	s := b.pubsub(t)
	for _, want := range []string{"1", "2", "3"} {
		b.say(t, want)
	}
	m := fetchOne(t, s)
	require.Equal(t, Message{Key: "q", ID: payloadID("1"), Payload: "1", Deliveries: 1, fetched: m.fetched}, m)
	require.Equal(t, "2", receive(t, s).Payload)
	require.Equal(t, "3", fetchOne(t, s).Payload)
	none, err := s.Fetch(t.Context(), 1, true)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, s.Recover(t.Context()), "the subscription stands")
	require.EqualValues(t, 1, b.client.PubSubNumSub(t.Context(), b.Key).Val()[b.Key])
	require.Regexp(t, `name=pubsub:q [^\n]*sub=1 `, b.client.ClientList(t.Context()).Val())
	require.NoError(t, s.Close(t.Context()))
	require.Eventually(t, func() bool { return b.client.PubSubNumSub(t.Context(), b.Key).Val()[b.Key] == 0 }, time.Minute, time.Millisecond)
}

func TestPubSubSubscribesAgain(t *testing.T) {
	b := newTestbed(t)
	s := b.pubsub(t)
	killed, err := b.client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, killed)
	require.Eventually(t, func() bool {
		_, err = s.Fetch(t.Context(), 1, true)
		return err != nil
	}, time.Minute, time.Millisecond)
	require.NotErrorIs(t, err, ErrPermanent)
	require.NoError(t, s.Recover(t.Context()))
	b.say(t, "m")
	require.Equal(t, "m", fetchOne(t, s).Payload)
	require.Regexp(t, `name=pubsub:q [^\n]*sub=1 `, b.client.ClientList(t.Context()).Val(), "it has its name again")
}

func TestPubSubAsksASilentSubscription(t *testing.T) {
	b := newTestbed(t)
	s := b.pubsub(t)
	idle := func() error {
		_, err := s.Fetch(t.Context(), 1, false)
		return err
	}
	b.clock.advance(pingInterval + time.Second)
	require.NoError(t, idle(), "asks")
	asked := s.current.pinged
	require.Eventually(t, func() bool { return s.current.heard.Load() > int64(asked) }, time.Minute, time.Millisecond, "PONG")
	b.clock.advance(pongTimeout)
	require.NoError(t, idle(), "asks again")
	require.Greater(t, s.current.pinged, asked)

	require.Eventually(t, func() bool { return s.current.heard.Load() > int64(s.current.pinged) }, time.Minute, time.Millisecond)
	s.current.heard.Store(int64(s.current.pinged) - 1) // as where no answer came
	require.NoError(t, idle(), "not yet")
	b.clock.advance(pongTimeout)
	require.ErrorIs(t, idle(), errSilent)
	require.NoError(t, s.Recover(t.Context()))
	b.say(t, "m")
	require.Equal(t, "m", fetchOne(t, s).Payload)
}

// What a slow worker has not taken waits with the server.
func TestPubSubLeavesWithTheServerWhatIsNotTaken(t *testing.T) {
	b := newTestbed(t)
	b.pubsub(t)
	// More than the buffers between take.
	large := strings.Repeat("x", 4<<20)
	for range 5 {
		b.say(t, large)
	}
	require.NotRegexp(t, `name=pubsub:q [^\n]*omem=0 `, b.client.ClientList(t.Context()).Val())
}

func TestPubSubDropsWhatFails(t *testing.T) {
	b := newTestbed(t)
	dropped := 0
	b.Event = func(event Event, messages int) {
		require.Equal(t, Dropped, event)
		dropped += messages
	}
	s := b.pubsub(t)
	require.NoError(t, s.Ack(t.Context(), Message{}))
	require.NoError(t, s.Retry(t.Context(), Message{}, time.Second))
	require.NoError(t, s.Bury(t.Context(), Message{}))
	require.NoError(t, s.Release(t.Context(), []Message{{}, {}}, 0))
	require.Equal(t, 4, dropped)
}

func TestPubSubRefused(t *testing.T) {
	b := newTestbed(t)
	require.NoError(t, b.client.ACLSetUser(t.Context(), "reader", "on", ">pw", "~*", "+@all", "resetchannels").Err())
	b.Client = connection.Settings{Addresses: []string{b.client.Options().Addr}, Username: "reader", Password: "pw"}.New(connection.Options{PoolSize: 1})
	defer b.Client.Close()
	err := NewPubSub(b.Options).Recover(t.Context())
	require.ErrorIs(t, err, ErrPermanent)
	require.ErrorContains(t, err, "for PubSub, the channel")
}

package serve

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/replay"
)

// endless are replays that end only when nobody waits for them any more.
type endless struct {
	running, begun atomic.Int32
	causes         chan error
}

func (e *endless) run(ctx context.Context, _ replay.Past, _ protocol.ReplayRequest) (*protocol.Replay, error) {
	e.running.Add(1)
	defer e.running.Add(-1)
	e.begun.Add(1)
	<-ctx.Done()
	e.causes <- context.Cause(ctx)
	return nil, context.Cause(ctx)
}

// tell sends a request, and does not wait for its answer.
func (p *page) tell(r protocol.Request) (id int) {
	p.Helper()
	p.ids++
	r.ID = p.ids
	data, err := json.Marshal(r)
	require.NoError(p, err)
	require.NoError(p, p.conn.Write(p.Context(), websocket.MessageText, data))
	return r.ID
}

func answers(id int) func(protocol.Envelope) bool {
	return func(m protocol.Envelope) bool { return m.Answer != nil && m.Answer.ID == id }
}

// A replay takes long. Meanwhile the page is told what changes, and gets its other answers; and who asks for another one, or leaves the
// channel, has the first ended.
func TestAReplayHoldsUpNothing(t *testing.T) {
	server, fleet := running(t, Options{})
	e := &endless{causes: make(chan error, 8)}
	server.replay = e.run
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	p.opens("shop/orders")
	first := p.tell(protocol.Request{Kind: protocol.KindReplay, Key: "shop/orders"})
	require.Eventually(t, func() bool { return e.begun.Load() == 1 }, soon, time.Millisecond)
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindPing}).Error)
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders"}).Error)
	fleet.See(channelOf("orders", 77), time.Now())
	p.until(func(m protocol.Envelope) bool {
		return m.Channel != nil && m.Channel.Row != nil && *m.Channel.Row.Depth == 77
	})
	assert.EqualValues(t, 1, e.running.Load(), "no other request ends it")

	second := p.tell(protocol.Request{Kind: protocol.KindReplay, Key: "shop/orders"})
	assert.Equal(t, errNewerReplay.Error(), p.until(answers(first)).Answer.Error)
	require.Eventually(t, func() bool { return e.begun.Load() == 2 && e.running.Load() == 1 }, soon, time.Millisecond)
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindClose}).Error)
	assert.Equal(t, errChannelLeft.Error(), p.until(answers(second)).Answer.Error)
	assert.Zero(t, e.running.Load())
}

// Nobody waits for the replay of a page that is gone.
func TestTheReplayOfAPageThatIsGone(t *testing.T) {
	server, fleet := running(t, Options{})
	e := &endless{causes: make(chan error, 8)}
	server.replay = e.run
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	p.tell(protocol.Request{Kind: protocol.KindReplay, Key: "shop/orders"})
	require.Eventually(t, func() bool { return e.begun.Load() == 1 }, soon, time.Millisecond)
	require.NoError(t, p.conn.CloseNow())
	select {
	case cause := <-e.causes:
		assert.Error(t, cause)
	case <-time.After(soon):
		require.Fail(t, "the replay goes on")
	}
	require.Eventually(t, func() bool { return waiting(t, "(*session)") == 0 }, soon, 10*time.Millisecond)
}

// A Prometheus that does not answer holds up neither the view of the channel nor what is read around it again and again, and the page
// says that the history is awaited.
func TestAHistoryHoldsUpNothing(t *testing.T) {
	h := &prometheus{answers: make(chan error)}
	var looks atomic.Int32
	server, fleet := running(t, Options{History: h.points, Surroundings: func(context.Context, *v1.PubSubChannel, feed.Surroundings) feed.Surroundings {
		looks.Add(1)
		return feed.Surroundings{}
	}})
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	p.opens("shop/orders")
	noted := func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Notes["history"] != "" }
	assert.Contains(t, p.until(noted).Channel.Notes["history"], "being read from the Prometheus")
	require.Eventually(t, func() bool { return looks.Load() >= 2 }, soon, time.Millisecond)
	h.answers <- nil
	arrived := p.until(func(m protocol.Envelope) bool {
		return m.Channel != nil && m.Channel.Full && len(m.Channel.Points) == 2
	}).Channel
	if arrived.Notes == nil { // the points and the note may be told one after the other
		arrived = p.until(func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Notes != nil }).Channel
	}
	for arrived.Notes["history"] != "" {
		arrived = p.until(func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Notes != nil }).Channel
	}
	assert.Empty(t, arrived.Notes)
}

// An API server that does not answer does not hold up the history either.
func TestAHistoryIsNotHeldUp(t *testing.T) {
	h := &prometheus{answers: make(chan error, 1)}
	h.answers <- nil
	server, fleet := running(t, Options{History: h.points, Surroundings: func(ctx context.Context, _ *v1.PubSubChannel, _ feed.Surroundings) feed.Surroundings {
		<-ctx.Done()
		return feed.Surroundings{}
	}})
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	p.opens("shop/orders")
	p.until(func(m protocol.Envelope) bool { return m.Channel != nil && len(m.Channel.Points) == 2 })
}

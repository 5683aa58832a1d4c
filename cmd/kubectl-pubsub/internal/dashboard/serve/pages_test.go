package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

func (p *page) opens(key string) {
	p.Helper()
	require.Empty(p, p.ask(protocol.Request{Kind: protocol.KindOpen, Key: key}).Error)
}

// prometheus is a history that answers when it is told to.
type prometheus struct {
	asked   atomic.Int32
	answers chan error
}

func (h *prometheus) points(ctx context.Context, _, _ string) ([]protocol.Point, error) {
	h.asked.Add(1)
	select {
	case err := <-h.answers:
		depth := int64(7)
		return []protocol.Point{{Time: time.Now().Add(-time.Hour), Depth: &depth}}, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Pages that open a channel at the same time share one question, which the first one may leave; an answer counts for all, a
// failure until somebody opens the channel again.
func TestPagesShareOneHistory(t *testing.T) {
	h := &prometheus{answers: make(chan error)}
	server, fleet := running(t, Options{History: h.points})
	fleet.See(channelOf("orders", 300), time.Now())
	problem := func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Forbidden["history"] != "" }
	first, second := open(t, server), open(t, server)
	first.opens("shop/orders")
	require.Eventually(t, func() bool { return h.asked.Load() == 1 }, soon, time.Millisecond)
	second.opens("shop/orders")
	require.Eventually(t, func() bool { return waiting(t, "(*Server).history(") == 2 }, soon, time.Millisecond)
	h.answers <- errors.New("it is away")
	for _, each := range []*page{first, second} {
		assert.Equal(t, "it is away", each.until(problem).Channel.Forbidden["history"])
	}
	assert.EqualValues(t, 1, h.asked.Load())

	first.opens("shop/orders")
	require.Eventually(t, func() bool { return h.asked.Load() == 2 }, soon, time.Millisecond)
	second.opens("shop/orders")
	require.Eventually(t, func() bool { return waiting(t, "(*Server).history(") == 2 }, soon, time.Millisecond)
	require.NoError(t, first.conn.CloseNow())
	require.Eventually(t, func() bool { return waiting(t, "(*Server).history(") == 1 }, soon, time.Millisecond)
	h.answers <- nil
	older := func(m protocol.Envelope) bool {
		return m.Channel != nil && m.Channel.Full && len(m.Channel.Points) == 2
	}
	assert.EqualValues(t, 7, *second.until(older).Channel.Points[0].Depth)
	third := open(t, server)
	third.opens("shop/orders")
	third.until(older)
	assert.EqualValues(t, 2, h.asked.Load(), "it is known")
}

// A channel that is made anew under its name while a page has it open has no history of the one before, and is asked about itself.
func TestTheHistoryOfAChannelThatIsMadeAnew(t *testing.T) {
	h := &prometheus{answers: make(chan error, 2)}
	h.answers <- nil
	server, fleet := running(t, Options{History: h.points})
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	p.opens("shop/orders")
	p.until(func(m protocol.Envelope) bool { return m.Channel != nil && len(m.Channel.Points) == 2 })
	other := channelOf("orders", 5)
	other.UID, other.CreationTimestamp.Time = types.UID("another"), time.Now().Add(-time.Minute)
	h.answers <- nil
	fleet.See(other, time.Now())
	full := p.until(func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Full }).Channel
	assert.Len(t, full.Points, 1)
	require.Eventually(t, func() bool { return fleet.Prepended(other) }, soon, 10*time.Millisecond)
	assert.EqualValues(t, 2, h.asked.Load())
	past, older, _ := fleet.Past("shop/orders")
	assert.Zero(t, older, "what is older than the channel is another's")
	assert.Len(t, past.Points, 1)
}

// A Prometheus that does not answer holds up neither the end of the command nor its goroutines.
func TestTheEndWhileAHistoryIsAsked(t *testing.T) {
	h := &prometheus{answers: make(chan error)}
	t.Run("running", func(t *testing.T) { // its end is that of the server
		server, fleet := running(t, Options{History: h.points})
		fleet.See(channelOf("orders", 300), time.Now())
		open(t, server).opens("shop/orders")
		require.Eventually(t, func() bool { return h.asked.Load() == 1 }, soon, time.Millisecond)
	})
	assert.Zero(t, waiting(t, "serve.(*"))
}

// waiting is how many goroutines have a function of this package on their stacks.
func waiting(t *testing.T, function string) (count int) {
	t.Helper()
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "dashboard/serve.") && strings.Contains(stack, function) && !strings.Contains(stack, "testing.tRunner") {
			count++
		}
	}
	return count
}

// Pages come and go in every way while 1,000 channels change: those that stay get all, and nothing is left of those that went.
func TestManyPagesLeaveNothingBehind(t *testing.T) {
	const channels, pages = 1000, mostPages
	server, fleet := running(t, Options{Surroundings: func(ctx context.Context, _ *v1.PubSubChannel, _ feed.Surroundings) feed.Surroundings {
		<-ctx.Done() // an API server that does not answer
		return feed.Surroundings{}
	}})
	name := func(i int) string { return fmt.Sprintf("c-%03d", i) }
	see := func(round int64) {
		for i := range channels {
			fleet.See(channelOf(name(i), round), time.Now())
		}
	}
	see(0)
	var all []*page
	for i := range pages {
		p := open(t, server)
		p.opens("shop/" + name(i))
		all = append(all, p)
	}
	require.Equal(t, pages, waiting(t, "(*session).write"))
	require.Equal(t, pages, waiting(t, "(*session).look"))
	see(1)
	var leaving sync.WaitGroup
	for i, p := range all[1:] {
		leaving.Go(func() {
			switch i % 3 {
			case 0: // without a word
				_ = p.conn.CloseNow()
			case 1:
				_ = p.conn.Close(websocket.StatusNormalClosure, "") // what it did not read is in its way
			default: // with what is no request
				_ = p.conn.Write(p.Context(), websocket.MessageText, []byte("{"))
				_ = p.conn.CloseNow()
			}
		})
	}
	see(2)
	newest := map[string]int64{}
	all[0].until(func(m protocol.Envelope) bool {
		if m.Fleet != nil {
			for _, row := range m.Fleet.Rows {
				newest[row.Name] = *row.Depth
			}
		}
		for i := range channels {
			if newest[name(i)] != 2 {
				return false
			}
		}
		return true
	})
	leaving.Wait()
	require.Eventually(t, func() bool { return waiting(t, "(*session).write") == 1 && waiting(t, "(*session).look") == 1 }, soon, 10*time.Millisecond)
	require.NoError(t, all[0].conn.CloseNow())
	require.Eventually(t, func() bool { return waiting(t, "(*session)") == 0 }, soon, 10*time.Millisecond)
	open(t, server).until(func(m protocol.Envelope) bool { return m.Fleet != nil && m.Fleet.Full }) // there is room again
}

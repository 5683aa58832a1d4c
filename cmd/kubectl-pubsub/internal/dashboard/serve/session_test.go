package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// soon is how long anything that is to happen may take on a busy machine.
const soon = 2 * time.Minute

func channelOf(name string, depth int64) *v1.PubSubChannel {
	return &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
		Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 12}},
		Status: v1.PubSubChannelStatus{
			Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, Selector: "app=x",
			Decision: &v1.ScalingDecision{
				ObservedTime: metav1.Unix(1_769_860_800, 0), Action: v1.ScalingHold, Reason: "WithinBand", Message: "it is within the band", QueueType: "list",
				Replicas: 3, DesiredReplicas: 3, QueueDepth: depth, Ready: depth, LowerBound: 150, UpperBound: 450, Active: true,
			},
			Conditions: []metav1.Condition{
				{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable},
				{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead},
			},
		},
	}
}

// running is a server that listens, until the test ends.
func running(t *testing.T, options Options) (*Server, *record.Fleet) {
	t.Helper()
	fleet := record.New(time.Now())
	options.Now = time.Now
	options.Fleet, options.Files = fleet, fstest.MapFS{"index.html": {Data: []byte("the page")}}
	if options.Surroundings == nil {
		options.Surroundings = func(context.Context, *v1.PubSubChannel, feed.Surroundings) feed.Surroundings {
			return feed.Surroundings{}
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := New(options, listener.Addr().(*net.TCPAddr).Port)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			assert.NoError(t, err)
		case <-time.After(soon):
			assert.Fail(t, "the server does not end")
		}
	})
	return server, fleet
}

// page is a browser's end of a WebSocket.
type page struct {
	*testing.T
	conn  *websocket.Conn
	ids   int
	early []protocol.Envelope // that came before an answer, and were not read yet
}

func open(t *testing.T, server *Server) *page {
	t.Helper()
	header := http.Header{"Origin": {fmt.Sprintf("http://127.0.0.1:%d", server.port)}, "Cookie": {server.guard.name + "=" + server.guard.token}}
	conn, response, err := websocket.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/ws", server.port), &websocket.DialOptions{HTTPHeader: header})
	require.NoError(t, err)
	if response.Body != nil {
		_ = response.Body.Close()
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &page{T: t, conn: conn}
}

func (p *page) read() protocol.Envelope {
	p.Helper()
	if len(p.early) > 0 {
		m := p.early[0]
		p.early = p.early[1:]
		return m
	}
	return p.receive()
}

func (p *page) receive() protocol.Envelope {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), soon)
	defer cancel()
	_, data, err := p.conn.Read(ctx)
	require.NoError(p, err)
	message := protocol.Envelope{}
	require.NoError(p, json.Unmarshal(data, &message))
	return message
}

// until reads messages up to one of a kind that is as wanted.
func (p *page) until(wanted func(protocol.Envelope) bool) protocol.Envelope {
	p.Helper()
	for {
		if m := p.read(); wanted(m) {
			return m
		}
	}
}

func (p *page) ask(r protocol.Request) protocol.Answer {
	p.Helper()
	p.ids++
	r.ID = p.ids
	data, err := json.Marshal(r)
	require.NoError(p, err)
	require.NoError(p, p.conn.Write(p.Context(), websocket.MessageText, data))
	for {
		m := p.receive()
		if m.Kind == protocol.KindAnswer && m.Answer.ID == r.ID {
			return *m.Answer
		}
		p.early = append(p.early, m) // the two may come in either order
	}
}

func TestAPageIsToldOfTheFleet(t *testing.T) {
	server, fleet := running(t, Options{Version: "1.2.3", Cluster: "kind"})
	fleet.Permit([]protocol.Namespace{{Name: "shop", Permitted: true}})
	fleet.See(channelOf("orders", 300), time.Now())
	p, other := open(t, server), open(t, server)
	for _, each := range []*page{p, other} {
		hello := each.read()
		require.Equal(t, protocol.KindHello, hello.Kind)
		assert.Equal(t, "1.2.3", hello.Hello.Version)
		assert.Equal(t, "kind", hello.Hello.Cluster)
		assert.False(t, hello.Hello.Prometheus)
		assert.Equal(t, []protocol.Namespace{{Name: "shop", Permitted: true}}, hello.Hello.Namespaces)
		assert.True(t, each.read().Connection.Up)
		assert.True(t, each.read().Fleet.Full)
	}
	fleet.See(channelOf("orders", 310), time.Now())
	for _, each := range []*page{p, other} {
		next := each.read().Fleet
		require.Len(t, next.Rows, 1)
		assert.EqualValues(t, 310, *next.Rows[0].Depth)
	}
	fleet.Connect(false, "the API server is away", time.Now())
	assert.Equal(t, "the API server is away", p.read().Connection.Problem)
}

// The open channel is told in full, then what changes; what is empty now is told as such.
func TestTheOpenChannel(t *testing.T) {
	var looks atomic.Int32
	server, fleet := running(t, Options{
		Surroundings: func(_ context.Context, c *v1.PubSubChannel, _ feed.Surroundings) feed.Surroundings {
			looks.Add(1)
			return feed.Surroundings{Workers: []protocol.Worker{{Name: c.Name + "-1", State: "Ready"}}, Forbidden: map[string]string{"events": "you need the right"}}
		},
		History: func(context.Context, string, string) ([]protocol.Point, error) {
			return nil, fmt.Errorf("the Prometheus does not answer")
		},
	})
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	assert.True(t, p.read().Hello.Prometheus)
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindOpen, Key: "shop/orders"}).Error)
	full := p.until(func(m protocol.Envelope) bool { return m.Channel != nil }).Channel
	assert.True(t, full.Full)
	assert.Equal(t, "shop/orders", full.Row.Key)
	assert.Equal(t, "Hold", full.Decision.Action)
	assert.Equal(t, "WithinBand", full.Decision.Reason)
	assert.InDelta(t, 60, full.Decision.Cooldown, 0)
	assert.Len(t, full.Conditions, 2)
	assert.True(t, full.Conditions[0].Good)
	assert.Contains(t, full.Settings, protocol.Setting{Name: "maxReplicas", Value: "12", From: "spec"})
	assert.Len(t, full.Points, 1)
	seen := full.Forbidden
	for seen["events"] == "" || seen["history"] == "" {
		seen = p.until(func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Forbidden != nil }).Channel.Forbidden
	}
	assert.Equal(t, map[string]string{"events": "you need the right", "history": "the Prometheus does not answer"}, seen)

	fleet.See(channelOf("orders", 500), time.Now())
	next := p.until(func(m protocol.Envelope) bool { return m.Channel != nil && m.Channel.Decision != nil }).Channel
	assert.False(t, next.Full)
	assert.Equal(t, "ScaleUp", next.Decision.Action, "the policy decides, whatever the status said before")
	assert.EqualValues(t, 4, next.Decision.Desired)
	assert.Nil(t, next.Settings, "they have not changed")
	assert.Nil(t, next.Workers)
	require.Len(t, next.Points, 1)

	fleet.Forget("shop/orders")
	assert.True(t, p.until(func(m protocol.Envelope) bool { return m.Channel != nil }).Channel.Gone)
	fleet.See(channelOf("orders", 1), time.Now())
	assert.True(t, p.until(func(m protocol.Envelope) bool { return m.Channel != nil }).Channel.Full, "it was made anew")
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindClose, Key: "shop/orders"}).Error)
	before := looks.Load()
	p.ask(protocol.Request{Kind: protocol.KindClose})
	assert.Equal(t, before, looks.Load(), "nobody looks at what is not open")
}

func TestQuestions(t *testing.T) {
	server, fleet := running(t, Options{})
	fleet.See(channelOf("orders", 300), time.Now())
	off := channelOf("off", 300)
	off.Spec.AutoScaling.Enabled = false
	fleet.See(off, time.Now())
	p := open(t, server)
	depth, replicas, never, just, ages := int64(5000), int32(2), -1.0, 3.0, 1e300
	a := p.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders", WhatIf: &protocol.WhatIfRequest{Depth: &depth, Replicas: &replicas, SinceScale: &never}})
	require.Empty(t, a.Error)
	assert.Equal(t, "ScaleUp", a.Decision.Action)
	assert.EqualValues(t, 12, a.Decision.Desired)
	assert.Nil(t, a.Decision.LastScale)
	assert.Contains(t, a.Decision.Arithmetic, "5000")
	a = p.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders", WhatIf: &protocol.WhatIfRequest{Depth: &depth, SinceScale: &just}})
	assert.Equal(t, "Cooldown", a.Decision.Reason)
	assert.WithinDuration(t, a.Decision.LastScale.Add(time.Minute), *a.Decision.CooledDown, time.Second)
	a = p.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders", WhatIf: &protocol.WhatIfRequest{Changes: protocol.Changes{"targetQueueDepth": 50}}})
	assert.EqualValues(t, 225, a.Decision.UpperBound)
	for name, test := range map[string]struct {
		request protocol.Request
		want    string
	}{
		"a wrong setting":    {protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders", WhatIf: &protocol.WhatIfRequest{Changes: protocol.Changes{"maxReplicas": -1}}}, "spec.autoScaling.maxReplicas is -1"},
		"no such channel":    {protocol.Request{Kind: protocol.KindOpen, Key: "shop/none"}, `there is no PubSubChannel "shop/none" here: it may have been deleted meanwhile, or you may not read it any more`},
		"another kind":       {protocol.Request{Kind: "delete", Key: "shop/orders"}, `the request is of kind "delete"`},
		"a short record":     {protocol.Request{Kind: protocol.KindReplay, Key: "shop/orders"}, "the recorded window is 0s long"},
		"too long ago":       {protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders", WhatIf: &protocol.WhatIfRequest{SinceScale: &ages}}, "the last scaling was 1e+300 s ago: it must be at most"},
		"autoscaling is off": {protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/off"}, "autoscaling of PubSubChannel shop/off is off"},
	} {
		t.Run(name, func(t *testing.T) {
			p.T = t
			assert.Contains(t, p.ask(test.request).Error, test.want)
		})
	}
}

// What is not the protocol's ends the connection.
func TestWrongRequests(t *testing.T) {
	server, _ := running(t, Options{})
	for name, test := range map[string]struct {
		kind websocket.MessageType
		data string
		code websocket.StatusCode
	}{
		"no JSON":  {websocket.MessageText, "{", websocket.StatusUnsupportedData},
		"binary":   {websocket.MessageBinary, "{}", websocket.StatusUnsupportedData},
		"too long": {websocket.MessageText, `{"key":"` + strings.Repeat("x", longestRequest) + `"}`, websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, server)
			require.NoError(t, p.conn.Write(t.Context(), test.kind, []byte(test.data)))
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			for {
				if _, _, err := p.conn.Read(ctx); err != nil {
					assert.Equal(t, test.code, websocket.CloseStatus(err), err)
					return
				}
			}
		})
	}
}

// A page that does not read holds up neither the fleet nor other pages, and then gets the newest
// state of each channel.
func TestASlowPage(t *testing.T) {
	server, fleet := running(t, Options{})
	slow, quick := open(t, server), open(t, server)
	const channels = 500
	words := strings.Repeat("a long message ", 60)
	for round := range 40 { // some 20 MB, which no socket's buffers hold
		for i := range channels {
			c := channelOf(fmt.Sprint("c-", i), int64(round))
			c.Status.Decision.Message = words
			fleet.See(c, time.Now())
		}
	}
	fleet.See(channelOf("last", 1), time.Now())
	last := func(m protocol.Envelope) bool {
		if m.Fleet == nil {
			return false
		}
		for _, row := range m.Fleet.Rows {
			if row.Name == "last" {
				return true
			}
		}
		return false
	}
	quick.until(last)
	newest := map[string]int64{}
	messages := 0
	slow.until(func(m protocol.Envelope) bool {
		messages++
		if m.Fleet != nil {
			for _, row := range m.Fleet.Rows {
				newest[row.Name] = *row.Depth
			}
		}
		return last(m)
	})
	assert.Less(t, messages, 40)
	for i := range channels {
		require.EqualValues(t, 39, newest[fmt.Sprint("c-", i)])
	}
}

func TestTooManyPages(t *testing.T) {
	server, _ := running(t, Options{})
	for range mostPages {
		open(t, server)
	}
	header := http.Header{"Origin": {fmt.Sprintf("http://127.0.0.1:%d", server.port)}, "Cookie": {server.guard.name + "=" + server.guard.token}}
	_, response, err := websocket.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/ws", server.port), &websocket.DialOptions{HTTPHeader: header})
	require.Error(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
}

// A page hears from the server although nothing changes, as often as its hello says; and its probe is answered.
func TestAHeartbeatWithoutNews(t *testing.T) {
	server, _ := running(t, Options{Heartbeat: 20 * time.Millisecond})
	p := open(t, server)
	assert.InDelta(t, 0.02, p.read().Hello.Heartbeat, 1e-9)
	before := time.Time{}
	for range 3 {
		beat := p.until(func(m protocol.Envelope) bool { return m.Kind == protocol.KindHeartbeat }).Heartbeat
		require.NotNil(t, beat)
		assert.False(t, beat.Now.Before(before), "%s is before %s", beat.Now, before)
		before = beat.Now
	}
	assert.Empty(t, p.ask(protocol.Request{Kind: protocol.KindPing}).Error)

	server, _ = running(t, Options{})
	assert.InDelta(t, 15, open(t, server).read().Hello.Heartbeat, 0, "by default")
}

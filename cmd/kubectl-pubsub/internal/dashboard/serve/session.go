package serve

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

const (
	// pace is the shortest time between two messages about the fleet.
	pace = 250 * time.Millisecond
	// writeTimeout is how long a page may take for one message. Until then nothing is kept for it
	// but what it was told last.
	writeTimeout = 20 * time.Second
	// pingEvery finds pages that are gone without a word, as after the machine slept. Pages find the server gone by its
	// heartbeat: a browser answers pings, but tells its scripts nothing of them.
	pingEvery, pingTimeout = 20 * time.Second, 20 * time.Second
	// longestRequest bounds what a page may send, in bytes.
	longestRequest = 64 << 10
	// lookEvery is how often the pods, events and the ScaledObject of the open channel are read.
	lookEvery = 3 * time.Second
	// lookShare is how many times as long as a look took is waited for the next one.
	lookShare = 4
	// deniedLooks is after how many looks what was not permitted is tried again.
	deniedLooks = 20
)

// session is one page.
type session struct {
	server  *Server
	conn    *websocket.Conn
	fleet   *record.Fleet
	cursor  record.Cursor
	answers chan protocol.Answer
	wake    chan struct{} // something but the fleet changed

	replaying *replaying // of the reading goroutine; nil: none was asked for

	mu   sync.Mutex
	open *opened // nil: none is
}

func newSession(s *Server, conn *websocket.Conn) *session {
	conn.SetReadLimit(longestRequest)
	return &session{server: s, conn: conn, fleet: s.options.Fleet, answers: make(chan protocol.Answer, 1), wake: make(chan struct{}, 1)}
}

// run serves the page until it goes, or the context ends.
func (s *session) run(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { defer end(); s.ping(ctx) })
	running.Go(func() { defer end(); s.read(ctx) })
	_ = s.write(ctx) // a page that is gone needs no word
	code, why := websocket.StatusInternalError, "writing failed"
	if ctx.Err() != nil {
		code, why = websocket.StatusGoingAway, "the dashboard ended"
	}
	end()
	_ = s.conn.Close(code, why) // it may be gone
	running.Wait()
	s.close()
}

func (s *session) ping(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			bounded, cancel := context.WithTimeout(ctx, pingTimeout)
			err := s.conn.Ping(bounded)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// read answers the page's requests, one after the other: while one is answered, the next waits in
// the connection. A replay may take long, and is answered beside the others.
func (s *session) read(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer s.endReplay(errPageGone)
	defer end() // first: a replay that is over waits for its answer to be taken, or for this
	for {
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		request := protocol.Request{}
		if kind != websocket.MessageText || json.Unmarshal(data, &request) != nil {
			_ = s.conn.Close(websocket.StatusUnsupportedData, "a request is no JSON of the dashboard's protocol")
			return
		}
		if request.Kind == protocol.KindReplay {
			s.beginReplay(ctx, request)
			continue
		}
		select {
		case s.answers <- s.answer(ctx, request):
		case <-ctx.Done():
			return
		}
	}
}

// write sends what the page has not been told, until that fails or the context ends. A page that is slow takes it when it can: what
// changed meanwhile is one state, and not a queue.
func (s *session) write(ctx context.Context) error {
	options := s.server.options
	beat := time.NewTicker(options.Heartbeat)
	defer beat.Stop()
	hello := &protocol.Hello{
		Version: options.Version, Cluster: options.Cluster, Now: options.Now().UTC().Truncate(time.Millisecond),
		Heartbeat: options.Heartbeat.Seconds(), Prometheus: options.History != nil, Namespaces: s.fleet.Namespaces(),
	}
	if err := s.send(ctx, protocol.Envelope{Kind: protocol.KindHello, Hello: hello}); err != nil {
		return err
	}
	for {
		changed := s.fleet.Changed()
		if err := errors.Join(s.sendNews(ctx), s.sendChannel(ctx, options.Now())); err != nil {
			return err
		}
		if err := s.idle(ctx, changed, beat.C); err != nil {
			return err
		}
	}
}

// idle waits until the pace allows for more, and there is more. Answers and heartbeats go out meanwhile.
func (s *session) idle(ctx context.Context, changed <-chan struct{}, beat <-chan time.Time) error {
	allowed := time.NewTimer(pace)
	defer allowed.Stop()
	var woken, news <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case answer := <-s.answers:
			if err := s.send(ctx, protocol.Envelope{Kind: protocol.KindAnswer, Answer: &answer}); err != nil {
				return err
			}
		case <-beat:
			alive := &protocol.Heartbeat{Now: s.server.options.Now().UTC().Truncate(time.Millisecond)}
			if err := s.send(ctx, protocol.Envelope{Kind: protocol.KindHeartbeat, Heartbeat: alive}); err != nil {
				return err
			}
		case <-allowed.C:
			woken, news = s.wake, changed
		case <-news:
			return nil
		case <-woken:
			return nil
		}
	}
}

func (s *session) sendNews(ctx context.Context) error {
	news, err := s.fleet.Since(&s.cursor, s.server.options.Now())
	if err != nil {
		return err
	}
	if news.Connection != nil {
		if err := s.send(ctx, protocol.Envelope{Kind: protocol.KindConnection, Connection: news.Connection}); err != nil {
			return err
		}
	}
	if news.Fleet == nil {
		return nil
	}
	return s.sendText(ctx, news.Fleet)
}

func (s *session) send(ctx context.Context, message protocol.Envelope) error {
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return s.sendText(ctx, data)
}

func (s *session) sendText(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, data)
}

// answer does what a page asks for.
func (s *session) answer(ctx context.Context, r protocol.Request) protocol.Answer {
	answer, err := s.do(ctx, r)
	answer.ID = r.ID
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

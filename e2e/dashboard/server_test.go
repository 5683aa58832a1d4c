package dashboardtest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/page"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// policy is the Content-Security-Policy that the plugin serves the page with.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"

// server has the server's side of the protocol, and says what a test wants. It keeps the fleet, so that
// a page that comes back gets it in full.
type server struct {
	URL string

	mu       sync.Mutex
	refusing bool
	pages    map[*websocket.Conn]context.CancelFunc
	opened   int // connections so far
	hello    protocol.Hello
	api      protocol.Connection
	rows     []protocol.Row
	channels map[string]protocol.Channel
	requests []protocol.Request
	// answers are how requests are answered beside open and close.
	answers map[string]func(protocol.Request) protocol.Answer
	// beside: replays are answered beside the other requests, as the plugin does. Without it the answers come in the order of the requests.
	beside bool
}

func newServer(t testing.TB, rows ...protocol.Row) *server {
	t.Helper()
	s := &server{
		pages:    map[*websocket.Conn]context.CancelFunc{},
		hello:    protocol.Hello{Version: "test", Cluster: "kind-shop", Now: time.Now(), Heartbeat: 15, Namespaces: []protocol.Namespace{{Permitted: true}}},
		api:      protocol.Connection{Up: true, Since: time.Now()},
		rows:     rows,
		channels: map[string]protocol.Channel{},
		answers:  map[string]func(protocol.Request) protocol.Answer{},
	}
	files := http.FileServerFS(page.Files())
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { s.serve(t, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		files.ServeHTTP(w, r)
	})
	listening := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.cut(true)
		listening.Close()
	})
	s.URL = listening.URL
	return s
}

func (s *server) serve(t testing.TB, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.refusing {
		s.mu.Unlock()
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	hello := s.hello
	hello.Now = time.Now()
	first := []protocol.Envelope{
		{Kind: protocol.KindHello, Hello: &hello},
		{Kind: protocol.KindConnection, Connection: &s.api},
		{Kind: protocol.KindFleet, Fleet: &protocol.Fleet{Full: true, Now: time.Now(), Rows: s.rows}},
	}
	for _, message := range first {
		write(ctx, conn, message)
	}
	s.pages[conn] = cancel
	s.opened++
	s.mu.Unlock()
	go beat(ctx, conn, time.Duration(hello.Heartbeat*float64(time.Second)))
	defer func() {
		s.mu.Lock()
		delete(s.pages, conn)
		s.mu.Unlock()
		_ = conn.CloseNow()
	}()
	for {
		var request protocol.Request
		if err := wsjson.Read(ctx, conn, &request); err != nil {
			return
		}
		s.mu.Lock()
		beside := s.beside && request.Kind == protocol.KindReplay
		s.mu.Unlock()
		if beside {
			go s.answer(ctx, t, conn, request)
			continue
		}
		s.answer(ctx, t, conn, request)
	}
}

func (s *server) answer(ctx context.Context, t testing.TB, conn *websocket.Conn, request protocol.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, request)
	channel, known := s.channels[request.Key]
	answer, scripted := s.answers[request.Kind]
	s.mu.Unlock()
	reply := protocol.Answer{ID: request.ID}
	switch {
	case scripted:
		reply = answer(request)
		reply.ID = request.ID
	case request.Kind == protocol.KindOpen && !known:
		reply.Error = "there is no channel " + request.Key
	case request.Kind == protocol.KindWhatIf, request.Kind == protocol.KindReplay:
		assert.Failf(t, "the page asks what the test doesn't answer", "%+v", request)
	}
	write(ctx, conn, protocol.Envelope{Kind: protocol.KindAnswer, Answer: &reply})
	if request.Kind == protocol.KindOpen && known {
		channel.Full = true
		write(ctx, conn, protocol.Envelope{Kind: protocol.KindChannel, Channel: &channel})
	}
}

// beat sends heartbeats.
func beat(ctx context.Context, conn *websocket.Conn, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			write(ctx, conn, protocol.Envelope{Kind: protocol.KindHeartbeat, Heartbeat: &protocol.Heartbeat{Now: now}})
		}
	}
}

// write sends a message; a page that is gone is found by its reader.
func write(ctx context.Context, conn *websocket.Conn, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // of our own types
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = conn.Write(ctx, websocket.MessageText, text)
}

// push sends a message to all pages.
func (s *server) push(t testing.TB, message protocol.Envelope) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.pages {
		write(t.Context(), conn, message)
	}
}

// change puts rows into the fleet, and tells the pages.
func (s *server) change(t testing.TB, rows ...protocol.Row) {
	t.Helper()
	s.mu.Lock()
	for _, row := range rows {
		i := slices.IndexFunc(s.rows, func(r protocol.Row) bool { return r.Key == row.Key })
		if i < 0 {
			s.rows = append(s.rows, row)
		} else {
			s.rows[i] = row
		}
	}
	s.mu.Unlock()
	s.push(t, protocol.Envelope{Kind: protocol.KindFleet, Fleet: &protocol.Fleet{Now: time.Now(), Rows: rows}})
}

// cut ends all connections; refuse says whether new ones are refused.
func (s *server) cut(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refuse
	for conn, cancel := range s.pages {
		cancel()
		_ = conn.CloseNow()
	}
}

func (s *server) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = false
}

// accepted is how many connections there were.
func (s *server) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// asked are the requests of a kind, the oldest first.
func (s *server) asked(kind string) []protocol.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []protocol.Request
	for _, request := range s.requests {
		if request.Kind == kind {
			found = append(found, request)
		}
	}
	return found
}

// Whatever the page loads is there, with its type, and nothing else is in dist.
func TestFilesOfThePage(t *testing.T) {
	s := newServer(t)
	for name, kind := range map[string]string{"": "text/html", "app.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/"+name, http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode, name)
		assert.True(t, strings.HasPrefix(response.Header.Get("Content-Type"), kind), "%s is %s", name, response.Header.Get("Content-Type"))
	}
}

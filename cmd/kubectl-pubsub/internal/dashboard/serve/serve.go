// Package serve is the dashboard's server: the page, and its WebSocket. It listens on loopback
// alone, and answers only who has its token.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/singleflight"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/replay"
)

// Options are what the server shows.
type Options struct {
	Version string // of the plugin
	Cluster string // the kubeconfig's context
	Files   fs.FS  // the page, with index.html at the top
	Fleet   *record.Fleet
	Now     func() time.Time
	// Heartbeat is how often each page is told that the server is there; 0: every 15 s.
	Heartbeat time.Duration
	// Surroundings reads what else there is of the channel that a page has open.
	Surroundings func(ctx context.Context, channel *v1.PubSubChannel, before feed.Surroundings) feed.Surroundings
	// History reads the points of a channel from before the dashboard began; nil: nobody has any.
	History func(ctx context.Context, namespace, name string) ([]protocol.Point, error)
}

// Server is one run of the dashboard.
type Server struct {
	options Options
	guard   *guard
	handler http.Handler
	port    int

	replay  func(context.Context, replay.Past, protocol.ReplayRequest) (*protocol.Replay, error)
	running context.Context // until Run ends
	end     context.CancelFunc
	asking  singleflight.Group // for histories, by the channel's UID

	pages sync.WaitGroup
	mu    sync.Mutex
	count int
}

const (
	// heartbeat is often enough to find a dead connection before somebody decides by what it shows, and costs nothing.
	heartbeat = 15 * time.Second
	// mostPages is how many pages may be open: each takes memory.
	mostPages = 32
	// headerTimeout bounds how long a client takes to say what it wants.
	headerTimeout = 10 * time.Second
	// historyTimeout bounds how long a Prometheus may take for a channel's history.
	historyTimeout = time.Minute
	// stopTimeout bounds how long the pages are told that it ends.
	stopTimeout = 2 * time.Second
)

var errHistory = fmt.Errorf("the history was not read within %s: choose a shorter --history", historyTimeout)

// New is a server for a port of 127.0.0.1.
func New(options Options, port int) *Server {
	if options.Heartbeat == 0 {
		options.Heartbeat = heartbeat
	}
	s := &Server{options: options, guard: newGuard(port), port: port, replay: replay.Run}
	s.running, s.end = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.page)
	mux.Handle("/", http.FileServerFS(options.Files))
	s.handler = s.guard.wrap(mux)
	return s
}

// URL is what to open. It has the token: who knows it sees what the user sees.
func (s *Server) URL() string {
	return fmt.Sprintf("http://127.0.0.1:%d/?token=%s", s.port, s.guard.token)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves until the context ends.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	pages, end := context.WithCancel(ctx)
	defer end()
	defer s.end()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return pages },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving the dashboard: %w", err)
	case <-ctx.Done():
	}
	end()
	s.end()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(stopping)
	s.pages.Wait() // they end with their context; Shutdown does not know them
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// page serves one page's WebSocket.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if !s.guard.ours(r) {
		http.Error(w, "this WebSocket is for the dashboard's own page", http.StatusForbidden)
		return
	}
	if !s.enter() {
		http.Error(w, fmt.Sprintf("%d pages are open already: close one", mostPages), http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: s.guard.hosts})
	if err != nil {
		return // Accept told the client
	}
	defer func() { _ = conn.CloseNow() }() // it is closed, or of no use
	// The request's own context ends with a hijacked connection's handler only.
	newSession(s, conn).run(r.Context())
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= mostPages {
		return false
	}
	s.count++
	s.pages.Add(1)
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	s.pages.Done()
}

// history has the older points of a channel read, once, and returns why that failed; empty: it did
// not, or nobody has any. Pages that ask at the same time share one question, which goes on if the
// one that asked first leaves, and they get the same answer. After a failure the next page that opens the channel tries again.
func (s *Server) history(ctx context.Context, channel *v1.PubSubChannel) string {
	if s.options.History == nil || s.options.Fleet.Prepended(channel) {
		return ""
	}
	asked := s.asking.DoChan(string(channel.UID), func() (any, error) { //nolint:contextcheck // the question is not that of one page, which may leave
		ctx, cancel := context.WithTimeoutCause(s.running, historyTimeout, errHistory)
		defer cancel()
		points, err := s.options.History(ctx, channel.Namespace, channel.Name)
		if err == nil {
			s.options.Fleet.Prepend(channel, points)
		}
		return nil, err
	})
	answered := make(chan string, 1)
	s.pages.Go(func() { // so that the server does not end before the question does
		answer := <-asked
		if answer.Err != nil {
			answered <- answer.Err.Error()
			return
		}
		answered <- ""
	})
	select {
	case <-ctx.Done():
		return ""
	case problem := <-answered:
		return problem
	}
}

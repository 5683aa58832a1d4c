package chaos

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The longest that the handler takes for a message, and for one of slowEvery.
const (
	maxWork   = 4 * time.Millisecond
	maxSlow   = 500 * time.Millisecond
	slowEvery = 50
)

// handler is where all workers post their messages. Which of them does, the path of its URL says.
type handler struct {
	t      *testing.T
	addr   string
	ledger *ledger

	mu      sync.Mutex
	rng     *rand.Rand
	percent int // of messages that fail
	server  *http.Server
}

func startHandler(t *testing.T, l *ledger, rng *rand.Rand) *handler {
	t.Helper()
	h := &handler{t: t, addr: "127.0.0.1:0", ledger: l, rng: rng}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *handler) url(worker string) string { return "http://" + h.addr + "/" + worker }

// open lets workers in, at the same address each time.
func (h *handler) open() {
	h.t.Helper()
	var listener net.Listener
	require.Eventually(h.t, func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", h.addr)
		return err == nil
	}, patience, often, "the handler's address %s is taken", h.addr)
	h.addr = listener.Addr().String()
	server := &http.Server{Handler: h}
	h.mu.Lock()
	h.server = server
	h.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // it ends by close
}

// close ends the handler, and every request that it is at work on.
func (h *handler) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.server.Close()
}

// fail has so many percent of all messages fail.
func (h *handler) fail(percent int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.percent = percent
}

const noAnswer = -1

// draw is the status of a message that fails, or 0, how long the work on it takes, and whether the handler ends that
// when its worker goes.
func (h *handler) draw() (status int, work time.Duration, ends bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	work, ends = time.Duration(h.rng.Int64N(int64(maxWork))), h.rng.IntN(2) == 0
	if h.rng.IntN(slowEvery) == 0 {
		work = time.Duration(h.rng.Int64N(int64(maxSlow)))
	}
	if h.rng.IntN(100) < h.percent {
		failures := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError, noAnswer}
		status = failures[h.rng.IntN(len(failures))]
	}
	return status, work, ends
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its worker is gone
	}
	payload := string(body)
	status, work, ends := h.draw()
	switch status {
	case 0:
	case noAnswer:
		<-r.Context().Done()
		return
	default:
		w.WriteHeader(status)
		return
	}
	ctx := r.Context()
	if !ends {
		ctx = context.WithoutCancel(ctx)
	}
	if !spend(ctx, work) {
		return // the message is not done
	}
	h.ledger.end(payload, r.Header.Get("X-Message-ID"), delivery{time.Now(), strings.TrimPrefix(r.URL.Path, "/")})
	if h.ledger.refuses(payload) {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
}

// spend waits, and tells whether ctx is still not done.
func spend(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

package chaos

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// The bounds of how long the server gets a request late.
const shortestLate, longestLate = 5 * time.Second, 60 * time.Second

// How the worker sees that.
const (
	cut     = iota // its connection ends
	stalled        // there is no answer
	unheard        // its connection ends, and the server has the request at once
	lateModes
)

// slowPath is a worker's way to the server, which now and then holds what the worker sends: the
// server gets it later than what the worker, or others, send after it.
type slowPath struct {
	*redistest.Proxy
	t    *testing.T
	note func(from, to time.Time)

	mu      sync.Mutex
	rng     *rand.Rand
	armed   int // requests to be held
	waiting sync.WaitGroup
}

// startSlowPath leads to the server at that address. note is told of each request that is late.
func startSlowPath(t *testing.T, target string, rng *rand.Rand, note func(from, to time.Time)) *slowPath {
	t.Helper()
	p := &slowPath{t: t, rng: rng, note: note}
	p.Proxy = redistest.StartProxyWith(t, target, p.pumps)
	return p
}

// hold holds the next n requests.
func (p *slowPath) hold(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = n
}

// draw says whether a request is held, how the worker sees that, and for how long.
func (p *slowPath) draw() (mode int, wait time.Duration, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed == 0 {
		return 0, 0, false
	}
	p.armed--
	mode = p.rng.IntN(lateModes)
	wait = shortestLate + time.Duration(p.rng.Int64N(int64(longestLate-shortestLate)))
	if mode == unheard {
		wait = 0
	}
	p.waiting.Add(1)
	return mode, wait, true
}

// errLate ends the copying from the worker.
var errLate = errors.New("it was late")

func (p *slowPath) pumps() (requests, replies redistest.Pump) {
	drained := make(chan struct{})
	requests = func(to io.Writer, from io.Reader) error {
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				if err := p.pass(to, from, buffer[:n], drained); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
		}
	}
	replies = func(to io.Writer, from io.Reader) error {
		defer close(drained)
		_, err := io.Copy(to, from)
		_, _ = io.Copy(io.Discard, from) // the worker may be gone, and the server not done
		return err
	}
	return requests, replies
}

// pass moves a request, at once or late.
func (p *slowPath) pass(to io.Writer, from io.Reader, request []byte, drained <-chan struct{}) error {
	mode, wait, held := p.draw()
	if !held {
		_, err := to.Write(request)
		return err
	}
	defer p.waiting.Done()
	request = bytes.Clone(request)
	began := time.Now()
	defer func() { p.note(began, time.Now()) }()
	if mode != stalled {
		_ = from.(net.Conn).Close()
	}
	spend(p.t.Context(), wait)
	if _, err := to.Write(request); err != nil {
		return err
	}
	if mode == stalled {
		return nil // what was sent after it follows
	}
	err := to.(*net.TCPConn).CloseWrite()
	select {
	case <-drained:
	case <-p.t.Context().Done():
	}
	return errors.Join(errLate, err)
}

// await waits until no request is held any more; false where ctx ended before.
func (p *slowPath) await(ctx context.Context) bool {
	none := make(chan struct{})
	go func() {
		p.waiting.Wait()
		close(none)
	}()
	select {
	case <-none:
		return true
	case <-ctx.Done():
		return false
	}
}

package redistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Late stands in front of a server, and can hold back what clients send: a client's connection
// ends, and the server gets its command all the same, so much later as the test says. That is
// what a network may do that loses packets and sends them again.
type Late struct {
	*Proxy

	mu    sync.Mutex
	holds []*Held
}

// Held is a request that is held back, once there is one.
type Held struct {
	t         testing.TB
	match     func(request []byte) bool
	held      chan struct{} // closed when there is one
	deliver   chan struct{} // closed to let it go
	delivered chan struct{} // closed when the server has answered it
}

// StartLate leads connections to the server at that address, host:port.
func StartLate(t testing.TB, target string) *Late {
	t.Helper()
	l := &Late{}
	l.Proxy = StartProxyWith(t, target, l.pumps)
	return l
}

// Hold holds back the next request in which the text occurs, such as a command's name as
// the client writes it. What the same client sends after it is lost.
func (l *Late) Hold(text string) *Held {
	h := &Held{
		t: l.t, match: func(request []byte) bool { return bytes.Contains(request, []byte(text)) },
		held: make(chan struct{}), deliver: make(chan struct{}), delivered: make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = append(l.holds, h)
	return h
}

// Await waits until a request is held.
func (h *Held) Await() { h.await(h.held) }

// Deliver lets the server have the request, and waits until it has done what it says. A command
// that blocks it gives up, as it sees the connection end.
func (h *Held) Deliver() {
	h.Await()
	close(h.deliver)
	h.await(h.delivered)
}

func (h *Held) await(closed <-chan struct{}) {
	h.t.Helper()
	select {
	case <-closed:
	case <-h.t.Context().Done():
		h.t.Fatal("the test ended before the request came")
	}
}

// holder is who holds that request back, if anybody.
func (l *Late) holder(request []byte) *Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, h := range l.holds {
		if h.match(request) {
			l.holds = append(l.holds[:i], l.holds[i+1:]...)
			return h
		}
	}
	return nil
}

// errHeld ends the copying from the client.
var errHeld = errors.New("it is held back")

func (l *Late) pumps() (requests, replies Pump) {
	drained := make(chan struct{})
	requests = func(to io.Writer, from io.Reader) error {
		var held *Held
		var late []byte
		err := Tap(func(request []byte) error {
			if held = l.holder(request); held == nil {
				return nil
			}
			late = bytes.Clone(request)
			return errHeld
		})(to, from)
		if held == nil {
			return err
		}
		_ = from.(net.Conn).Close()
		close(held.held)
		select {
		case <-held.deliver:
		case <-l.t.Context().Done():
			return nil
		}
		defer close(held.delivered)
		if _, err := to.Write(late); err != nil {
			return err
		}
		err = to.(*net.TCPConn).CloseWrite()
		<-drained
		return err
	}
	replies = func(to io.Writer, from io.Reader) error {
		defer close(drained)
		err := pass(to, from)
		_, _ = io.Copy(io.Discard, from) // the client may be gone, and the server not done
		return err
	}
	return requests, replies
}

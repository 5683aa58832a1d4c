package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands in front of a server. Its connections end with the test, at the latest.
type Proxy struct {
	Addr string // host:port

	t       testing.TB
	pumps   func() (requests, replies Pump)
	running sync.WaitGroup

	mu          sync.Mutex
	target      string
	connections []net.Conn
	ended       bool
}

// Pump moves what comes from one side to the other. When it returns, the side that it
// wrote to is closed. It must return when reading or writing fails, or the test's context
// is done.
type Pump func(to io.Writer, from io.Reader) error

// Tap is a Pump that moves everything, after see has seen it; what see returns an error for
// is moved no more. see may wait, but not beyond the test's end.
func Tap(see func(bytes []byte) error) Pump {
	return func(to io.Writer, from io.Reader) error {
		_, err := io.Copy(io.MultiWriter(seer(see), to), from)
		return err
	}
}

type seer func(bytes []byte) error

func (s seer) Write(bytes []byte) (int, error) {
	if err := s(bytes); err != nil {
		return 0, err
	}
	return len(bytes), nil
}

func pass(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, from)
	return err
}

// StartProxy leads connections to the server at that address, host:port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	return StartProxyWith(t, target, func() (requests, replies Pump) { return nil, nil })
}

// StartProxyWith is StartProxy with other means to move requests to the server, and replies
// to the client. pumps is called for each connection, once the server has taken it; where a
// Pump is nil everything is moved.
func StartProxyWith(t testing.TB, target string, pumps func() (requests, replies Pump)) *Proxy {
	t.Helper()
	return startProxy(t, "127.0.0.1:0", target, pumps)
}

// StartProxyAt is StartProxy with an address of its own that is known before, such as that of a
// server that is yet to come.
func StartProxyAt(t testing.TB, address, target string) *Proxy {
	t.Helper()
	return startProxy(t, address, target, func() (requests, replies Pump) { return nil, nil })
}

func startProxy(t testing.TB, address, target string, pumps func() (requests, replies Pump)) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), t: t, pumps: pumps, target: target}
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.disconnect()
		p.running.Wait()
	})
	return p
}

// LeadTo has new connections led to another server, and leaves old ones where they are, as
// a Kubernetes Service does when its selector moves on.
func (p *Proxy) LeadTo(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", target)
	if err != nil {
		return // the client sees that nobody answers
	}
	defer server.Close()
	if !p.track(client, server) {
		return
	}
	requests, replies := p.pumps()
	if requests == nil {
		requests = pass
	}
	if replies == nil {
		replies = pass
	}
	var both sync.WaitGroup
	both.Go(func() { _ = requests(server, client); _ = server.Close() })
	both.Go(func() { _ = replies(client, server); _ = client.Close() })
	both.Wait()
}

// track keeps connections, to be closed when the test ends; false where it has ended.
func (p *Proxy) track(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connections = append(p.connections, connections...)
	return !p.ended
}

func (p *Proxy) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, connection := range p.connections {
		_ = connection.Close()
	}
}

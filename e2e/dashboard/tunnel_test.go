package dashboardtest

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// tunnel is a forwarded port, as of ssh. While it hangs, nothing comes through its connections, and none of them ends.
type tunnel struct {
	URL string

	server  string
	running sync.WaitGroup
	mu      sync.Mutex
	ends    []net.Conn
	dead    *atomic.Bool // of the connections that were made since it last hung, or was mended
}

func newTunnel(t *testing.T, url string) *tunnel {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u := &tunnel{URL: "http://" + listener.Addr().String(), server: strings.TrimPrefix(url, "http://"), dead: &atomic.Bool{}}
	u.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			u.forward(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		u.mu.Lock()
		for _, end := range u.ends {
			_ = end.Close()
		}
		u.mu.Unlock()
		u.running.Wait()
	})
	return u
}

func (u *tunnel) forward(page net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	server, err := net.Dial("tcp", u.server)
	if err != nil {
		_ = page.Close()
		return
	}
	u.ends = append(u.ends, page, server)
	dead := u.dead
	u.running.Go(func() { pass(page, server, dead) })
	u.running.Go(func() { pass(server, page, dead) })
}

// pass forwards what comes; of a dead connection it swallows it.
func pass(from, to net.Conn, dead *atomic.Bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if dead.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// hang lets all connections hang for ever, also those to come.
func (u *tunnel) hang() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dead.Store(true)
}

// mend lets the connections pass that are made from now on.
func (u *tunnel) mend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dead = &atomic.Bool{}
}

// A connection that hangs is told after one and a half heartbeats, and given up after three.
func TestAConnectionThatHangs(t *testing.T) {
	s := newServer(t, fleet()...)
	s.hello.Heartbeat = 4 // s
	u := newTunnel(t, s.URL)
	p := open(t, u.URL, 1280, 700)
	p.allow(refused) // said of each try that is given up
	p.untilText("#live", "live")
	p.untilText(".found", "8 channels")
	u.hang()
	p.untilText("#banner", "No news from the dashboard's server since")
	p.untilText("#live", "no news")
	p.until(`/^for \d+s$/.test(document.querySelector("#quiet").textContent)`)
	assert.Equal(t, "status", value[string](p, `document.querySelector("#live").getAttribute("role")`))
	assert.True(t, value[bool](p, `document.querySelector("#quiet").closest("[role=status], [role=alert]") === null`), "the seconds aren't read out one by one")
	assert.Len(t, p.names(), 8, "what was known is shown")
	p.untilText("#live", "reconnecting…")
	p.untilText("#banner", "can't be reached since")
	s.change(t, with(fleet()[0], func(r *protocol.Row) { r.Words = "told while nothing came through" }))
	u.mend()
	p.until(`document.querySelector("#banner").hidden`)
	p.untilText("#live", "live")
	p.until(`[...document.querySelectorAll(".row .words")].some((words) => words.textContent === "told while nothing came through")`)
	p.until(`document.querySelector("#quiet").textContent === ""`)
}

// Whoever comes back to the page, or to the network, need not wait for that: the page asks, and if nothing comes it
// connects anew. A connection that lives is kept.
func TestAWakingPageProbesItsConnection(t *testing.T) {
	for name, wake := range map[string]string{
		"the network is back":  `window.dispatchEvent(new Event("online"))`,
		"the page is in sight": `document.dispatchEvent(new Event("visibilitychange"))`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, fleet()...)
			s.hello.Heartbeat = 3600 // s: no silence tells
			u := newTunnel(t, s.URL)
			p := open(t, u.URL, 1280, 700)
			p.allow(refused)
			p.untilText("#live", "live")
			p.untilText(".found", "8 channels")
			p.do(script(wake))
			require.Eventually(t, func() bool { return len(s.asked(protocol.KindPing)) > 0 }, patience, 20*time.Millisecond)
			const probe = 5500 * time.Millisecond // more than the page waits for an answer
			later := time.Now().Add(probe).UnixMilli()
			p.until(fmt.Sprintf("Date.now() >= %d", later))
			assert.Equal(t, "live", p.text("#live"))
			assert.Equal(t, 1, s.accepted(), "it is the same connection")

			u.hang()
			p.do(script(wake))
			p.untilText("#live", "reconnecting…")
			u.mend()
			p.untilText("#live", "live")
			p.until(`document.querySelector("#banner").hidden`)
		})
	}
}

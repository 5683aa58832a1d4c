package dashboardtest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// The browser itself writes into the console that a WebSocket wasn't opened; no page can keep it from that.
const refused = "WebSocket connection to"

// Without its server the page says so, shows what was known, and comes back where it was.
func TestReconnect(t *testing.T) {
	s := newServer(t, many(1000)...)
	p := open(t, s.URL, 1280, 700)
	p.allow(refused)
	p.allow("Failed to load resource: the server responded with a status of 503")
	p.untilText(".found", "1,000 channels")
	p.do(chromedp.Focus(chromedp.CSS(".table")))
	p.do(script(`document.querySelector(".table").scrollTop = 9000`))
	p.until(`[...document.querySelectorAll(".row:not([hidden])")].some((row) => row.getAttribute("aria-rowindex") === "260")`)
	p.do(script(`document.querySelector('.row[aria-rowindex="258"] .c-phase').click()`)) // opens it
	p.until(`document.querySelector(".channel")`)
	p.press(escape)
	p.until(chosen)
	name, scroll := value[string](p, chosen), value[float64](p, `document.querySelector(".table").scrollTop`)

	s.cut(true)
	p.untilText("#banner", "can't be reached since")
	p.untilText("#banner", "Showing what was known")
	p.untilText("#live", "reconnecting…")
	assert.Contains(t, p.text(".found"), "1,000 channels")

	rows := many(1000)
	s.mu.Lock()
	s.rows = rows[:999]
	s.rows[256].Words = "told after the reconnect"
	s.mu.Unlock()
	s.accept()
	p.until(`document.querySelector("#banner").hidden`)
	p.untilText("#live", "live")
	p.untilText(".found", "999 channels")
	assert.Equal(t, name, value[string](p, chosen))
	assert.InDelta(t, scroll, value[float64](p, `document.querySelector(".table").scrollTop`), 1)
	assert.Greater(t, scroll, 8000.0)
}

// A channel that is open is followed again, and a question that was lost is told.
func TestReconnectInAChannel(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	hang := make(chan struct{})
	s.answers[protocol.KindReplay] = func(protocol.Request) protocol.Answer {
		<-hang
		return protocol.Answer{Error: "too late"}
	}
	defer close(hang)
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.allow(refused)
	p.untilText(".p-decision", "Scale up")
	p.click(".replay .primary")
	p.untilText(".replay .primary", "Replaying…")
	s.cut(false)
	p.untilText(".replayed .problem", "the connection to the dashboard's server was lost")
	require.Eventually(t, func() bool { return len(s.asked(protocol.KindOpen)) == 2 }, patience, 20*time.Millisecond)
	p.until(`document.querySelector("#banner").hidden`)
	assert.Len(t, value[[]string](p, `[...document.querySelectorAll(".p-decisions li")].map((li) => li.textContent)`), 3, "the same again, not twice")
}

// Without the API server what was known is shown, and said to be old.
func TestAPIServerAway(t *testing.T) {
	s := newServer(t, fleet()...)
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "8 channels")
	away := protocol.Connection{Since: time.Now(), Problem: "dial tcp 10.0.0.1:6443: connect: connection refused"}
	s.push(t, protocol.Envelope{Kind: protocol.KindConnection, Connection: &away})
	p.untilText("#banner", "The Kubernetes API server can't be reached since")
	p.untilText("#banner", "showing what was known. (dial tcp 10.0.0.1:6443: connect: connection refused)")
	p.untilText("#live", "no API server")
	assert.Len(t, p.names(), 8)
	s.push(t, protocol.Envelope{Kind: protocol.KindConnection, Connection: &protocol.Connection{Up: true, Since: time.Now()}})
	p.until(`document.querySelector("#banner").hidden`)
}

package dashboardtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// cellsOf are the texts of a channel's row.
func (p *tab) cellsOf(key string) map[string]string {
	p.t.Helper()
	return value[map[string]string](p, fmt.Sprintf(`Object.fromEntries([...[...document.querySelectorAll(".row:not([hidden])")].find((row) => row.querySelector("a").textContent === %q).children].map((cell) => [cell.className.split(" ")[1], cell.textContent]))`, key))
}

// The fleet is told with problems first; what is unknown is never a number.
func TestFleet(t *testing.T) {
	s := newServer(t, fleet()...)
	s.hello.Namespaces = []protocol.Namespace{{Name: "shop", Permitted: true}, {Name: "secret", Why: "you may not list pubsubchannels there: ask for a RoleBinding to pubsubchannel-viewer"}}
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "8 channels")
	assert.Equal(t, []string{"shop/returns", "crm/mail", "crm/audit", "crm/reports", "shop/invoices", "shop/orders", "web/clicks", "web/thumbnails"}, p.names())

	unknown := p.cellsOf("shop/returns")
	for _, cell := range []string{"c-depth", "c-inflight", "c-rate", "c-oldest"} {
		assert.Equal(t, "–", unknown[cell], cell)
	}
	assert.Equal(t, "Failed", unknown["c-phase"])
	assert.Contains(t, unknown["c-reason"], "QueueUnreadableConnected is False")
	assert.Contains(t, p.cellsOf("web/clicks")["c-depth"], "≥ 12,480", "a lower bound says so")
	assert.Equal(t, "3 → 5 / 20", p.cellsOf("shop/orders")["c-replicas"])
	assert.Equal(t, "0", p.cellsOf("crm/reports")["c-inflight"], "a zero that is known")
	assert.Equal(t, "Paused", p.cellsOf("web/thumbnails")["c-phase"])
	assert.Equal(t, []string{
		"depth unknown",
		"512 messages, within the band from 300 to 900",
		"340 messages, above the band from 100 to 300",
		"0 messages, within the band from 0 to 0",
		"210 messages, below the band from 400 to 1,200",
		"640 messages, above the band from 150 to 450",
		"at least 12,480 messages, within the band from 7,000 to 21,000",
		"120 messages, within the band from 50 to 150",
	}, value[[]string](p, `[...document.querySelectorAll(".row:not([hidden]) .band")].map((band) => band.ariaLabel)`))
	assert.Contains(t, p.text(".refused"), "Not permitted: secret")
	assert.Contains(t, p.text(".refused"), "ask for a RoleBinding")
	assert.Equal(t, "(1) kind-shop · pubsub", value[string](p, "document.title"), "the title counts what is wrong")

	// What changes is told; what is deleted goes.
	rows := fleet()
	s.change(t, with(rows[0], func(r *protocol.Row) {
		r.Severity, r.Trouble, r.Phase, r.Depth, r.LowerBound, r.UpperBound = 0, "", "Running", ptr[int64](99), ptr[int64](50), ptr[int64](150)
	}))
	p.until(`document.title === "kind-shop · pubsub"`)
	p.until(`[...document.querySelectorAll(".row:not([hidden])")].some((row) => row.querySelector("a").textContent === "shop/returns" && row.querySelector(".c-depth").textContent === "●99")`)
	s.push(t, protocol.Envelope{Kind: protocol.KindFleet, Fleet: &protocol.Fleet{Now: time.Now(), Gone: []string{"web/clicks"}}})
	p.untilText(".found", "7 channels")
}

func TestFilterAndSort(t *testing.T) {
	s := newServer(t, fleet()...)
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "8 channels")
	p.choose("Namespace", "crm")
	p.untilText(".found", "3 of 8 channels")
	assert.Equal(t, []string{"crm/mail", "crm/audit", "crm/reports"}, p.names())
	p.choose("Namespace", "")
	p.choose("Phase", "Scaling")
	p.untilText(".found", "1 of 8 channels")
	assert.Equal(t, []string{"shop/orders"}, p.names())
	p.choose("Phase", "")
	p.click(".level-1")
	p.untilText(".found", "2 of 8 channels")
	p.click(".level-0")

	p.key("/", "Slash")
	p.press("bound SHOP") // all the words, in whatever field and case
	assert.Equal(t, "bound SHOP", value[string](p, `document.querySelector(".search").value`))
	p.untilText(".found", "2 of 8 channels")
	assert.Equal(t, []string{"shop/invoices", "shop/orders"}, p.names())
	p.press(" nothing-of-that-name")
	p.untilText(".empty", "No channel matches")
	p.press(escape)
	p.untilText(".found", "8 channels")

	p.click(".head .c-depth button")
	p.until(`document.querySelector('.head .c-depth').ariaSort === "descending"`)
	assert.Equal(t, []string{"web/clicks", "shop/orders", "crm/mail", "crm/audit", "shop/invoices", "web/thumbnails", "crm/reports", "shop/returns"}, p.names(), "what is unknown is last")
	p.click(".head .c-depth button")
	p.until(`document.querySelector('.head .c-depth').ariaSort === "ascending"`)
	names := p.names()
	assert.Equal(t, "crm/reports", names[0])
	assert.Equal(t, "shop/returns", names[7], "what is unknown is last")
	p.click(".head .c-name button")
	p.until(`document.querySelector('.head .c-name').ariaSort === "ascending"`)
	assert.Equal(t, "crm/audit", p.names()[0])
}

const chosen = `document.querySelector('.row[aria-selected="true"]')?.querySelector("a").textContent`

// Everything can be done without a mouse.
func TestKeyboard(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["crm/mail"] = protocol.Channel{Key: "crm/mail", NoDecision: "the channel has no decision yet"}
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "8 channels")
	p.press("j")
	p.until(chosen + ` === "shop/returns"`)
	p.press(down)
	p.until(chosen + ` === "crm/mail"`)
	p.press("j")
	p.press("k")
	p.until(chosen + ` === "crm/mail"`)
	assert.Equal(t, value[string](p, `document.querySelector('.row[aria-selected="true"]').id`), value[string](p, `document.querySelector(".table").getAttribute("aria-activedescendant")`))
	p.press(enter)
	p.until(`location.hash === "#/channel/crm/mail"`)
	p.untilText(".p-decision", "the channel has no decision yet")
	p.press(escape)
	p.until(`document.querySelector(".fleet")`)
	p.until(chosen + ` === "crm/mail"`)
	p.press("j")
	p.until(chosen + ` === "crm/audit"`)
	p.press("?")
	p.until(`document.querySelector("dialog").open`)
	assert.Contains(t, p.text("dialog"), "next channel")
	p.press(escape)
	p.until(`!document.querySelector("dialog").open`)

	// With Tab every control has the focus once, and shows it.
	seen := map[string]bool{}
	for range 30 {
		p.press("\t")
		focus := value[[]string](p, `(() => { const e = document.activeElement, s = getComputedStyle(e); return [e.tagName + " " + (e.ariaLabel ?? e.textContent).trim().slice(0, 24), String(s.outlineStyle !== "none" || e.matches(".table[aria-activedescendant]"))]; })()`)
		if focus[0][:4] == "BODY" { // from the last to the first
			continue
		}
		require.Equal(t, "true", focus[1], "%s has the focus, and doesn't show it", focus[0])
		seen[focus[0]] = true
	}
	for _, control := range []string{"INPUT Filter by text", "SELECT Namespace", "SELECT Phase", "BUTTON All 8", "BUTTON Depth in its band", "BUTTON Dark colours", "BUTTON Keys", "A Fleet"} {
		assert.Contains(t, seen, control)
	}
}

// many are so many channels.
func many(n int) []protocol.Row {
	rows := make([]protocol.Row, n)
	now := time.Now()
	for i := range rows {
		rows[i] = with(well(fmt.Sprintf("channel-%04d", i)), func(r *protocol.Row) {
			r.Namespace = fmt.Sprintf("team-%02d", i%20)
			r.Key = r.Namespace + "/" + r.Name
			r.Depth = ptr(int64(i))
		})
		rows[i].Points = past(rows[i], now, i%17)[90:]
	}
	return rows
}

// Of a thousand channels only those in sight are in the document; all can be reached.
func TestThousandChannels(t *testing.T) {
	s := newServer(t, many(1000)...)
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "1,000 channels")
	assert.Less(t, value[float64](p, `document.querySelectorAll(".row").length`), 40.0)
	assert.Equal(t, "1001", value[string](p, `document.querySelector(".table").getAttribute("aria-rowcount")`))
	p.do(chromedp.Focus(chromedp.CSS(".table")))
	p.press(end)
	p.until(chosen + ` === "team-19/channel-0999"`)
	p.until(`(() => { const row = document.querySelector('.row[aria-selected="true"]')?.getBoundingClientRect(); return row && row.bottom <= innerHeight + 1 && row.top > 0; })()`)
	p.press(home)
	p.until(chosen + ` === "team-00/channel-0000"`)
	p.do(script(`document.querySelector(".table").scrollTop = 18000`))
	p.until(`[...document.querySelectorAll(".row:not([hidden])")].some((row) => row.getAttribute("aria-rowindex") === "510")`)
	seen := p.names()

	// What is in sight stays there while all channels change.
	rows := many(1000)
	for i := range rows {
		rows[i].Depth, rows[i].Points = ptr(int64(77)), nil
	}
	s.change(t, rows...)
	p.until(`[...document.querySelectorAll(".row:not([hidden]) .c-depth")].every((cell) => cell.textContent === "●77")`)
	assert.Equal(t, seen, p.names())
}

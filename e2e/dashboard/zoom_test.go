package dashboardtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// over is a point of the chart of depths, at a part of its width.
func (p *tab) over(part float64) (x, y float64) {
	p.t.Helper()
	at := value[[]float64](p, fmt.Sprintf(`(() => { const over = document.querySelector(".plots .u-over").getBoundingClientRect(); return [over.left + 1 + (over.width - 2) * %g, over.top + 60]; })()`, part))
	return at[0], at[1]
}

// mouse moves or presses the mouse over the chart.
func (p *tab) mouse(kind input.DispatchMouseEventType, part float64, held bool, clicks int64) {
	p.t.Helper()
	x, y := p.over(part)
	params := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, ClickCount: clicks}
	if held || clicks > 0 {
		params.Button, params.Buttons = input.MouseButtonLeft, 1
	}
	p.do(command(input.DispatchMouseEvent, params))
}

// timeAt is the time that the chart tells at a part of its width, in seconds of the day.
func (p *tab) timeAt(part float64) int {
	p.t.Helper()
	p.do(chromedp.MouseEvent("mouseMoved", 1, 1))
	p.until(`document.querySelector(".tip").hidden`)
	p.mouse("mouseMoved", part, false, 0)
	p.until(`!document.querySelector(".tip").hidden`)
	told, err := time.Parse(time.TimeOnly, p.text(".tip b"))
	require.NoError(p.t, err)
	return told.Hour()*3600 + told.Minute()*60 + told.Second()
}

// between is how many seconds there are from one time of the day to the next one.
func between(from, to int) float64 { return float64((to - from + 24*3600) % (24 * 3600)) }

// writing keeps how words are written on canvases.
const writing = `
	window.written = [];
	const fill = CanvasRenderingContext2D.prototype.fillText;
	CanvasRenderingContext2D.prototype.fillText = function (words, ...where) {
		written.push({ words, align: this.textAlign });
		fill.call(this, words, ...where);
	};`

// What was zoomed to stays while data arrive, also if they arrive during the selection; a double click, a button
// and a key go back to what is live.
func TestZoomStaysUntilItIsLeft(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash() // a quarter of an hour
	words := command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: writing})
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900, words)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.until(`document.querySelector(".plots canvas")`)
	p.do(script(`document.querySelector(".plots").scrollIntoView({ block: "center" })`))
	depth := int64(1000)
	arrives := func() {
		t.Helper()
		depth++
		for range 3 { // so that several drawings have passed
			s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{Key: "shop/orders", Points: []protocol.Point{
				{Time: time.Now(), Depth: &depth, Replicas: 3, Ready: 3, Desired: 5, LowerBound: ptr[int64](150), UpperBound: ptr[int64](450)},
			}}})
			p.until(fmt.Sprintf(`document.querySelector(".plots").ariaLabel.includes("depth %d,%03d,")`, depth/1000, depth%1000))
			depth++
			p.until(fmt.Sprintf("Date.now() > %d", time.Now().Add(1100*time.Millisecond).UnixMilli())) // ages are drawn each second
		}
	}
	zoomed := `document.querySelector(".plots").ariaLabel.includes("Zoomed in, from ")`
	const busy = 120 // s that may have passed on a busy machine, of 900

	select25to50 := func() {
		t.Helper()
		p.mouse("mousePressed", 0.25, true, 1)
		p.mouse("mouseMoved", 0.4, true, 0)
		arrives()
		p.mouse("mouseMoved", 0.5, true, 0)
		p.mouse("mouseReleased", 0.5, false, 1)
		p.until(zoomed)
	}
	first := p.timeAt(0)
	select25to50()
	from, to := p.timeAt(0), p.timeAt(1)
	assert.InDelta(t, 225, between(first, from), busy, "the left edge, in s after the old one")
	assert.InDelta(t, 225, between(from, to), 30, "a quarter of the quarter of an hour")
	arrives()
	assert.InDelta(t, 0, between(from, p.timeAt(0)+1)-1, 1, "the left edge stays")
	assert.InDelta(t, 0, between(to, p.timeAt(1)+1)-1, 1, "the right edge stays")
	assert.Equal(t, []string{}, value[[]string](p, `[...document.querySelectorAll('.spans [aria-pressed="true"]')].map((b) => b.textContent)`), "no span is what is shown")

	live := func(how string) {
		t.Helper()
		p.until(`!(` + zoomed + `)`)
		p.until(`document.querySelector(".spans .again").hidden`)
		assert.Less(t, between(first, p.timeAt(0)+1), 2.0+busy, "%s: the left edge", how)
		assert.Greater(t, between(p.timeAt(0), p.timeAt(1)), 890.0, "%s: all is shown", how)
	}
	for _, clicks := range []int64{1, 2} {
		p.mouse("mousePressed", 0.5, true, clicks)
		p.mouse("mouseReleased", 0.5, false, clicks)
	}
	live("a double click")
	select25to50()
	p.click(".spans .again")
	live("the button")
	assert.True(t, value[bool](p, `document.activeElement === document.querySelector(".plots")`), "the focus isn't lost with the button")
	select25to50()
	p.press("l")
	live("the key")

	// By keys alone: in, from decision to decision, out, and live before the fleet.
	p.do(chromedp.Focus(chromedp.CSS(".plots")))
	p.key("+", "Equal")
	p.until(zoomed)
	p.key("+", "Equal")
	p.press(left)
	p.untilText(".tip", "2 → 3 replicas")
	p.press(left)
	p.press(left)
	p.untilText(".tip", "the depth came back into the band")
	p.until(`(() => { const tip = document.querySelector(".tip").getBoundingClientRect(), plots = document.querySelector(".plots").getBoundingClientRect(); return tip.left >= plots.left && tip.right <= plots.right; })()`)
	p.press(escape) // the decision
	p.until(`document.querySelector(".tip").hidden`)
	p.until(zoomed)
	p.until(`written.some((w) => w.words === "cooldown")`)
	assert.Equal(t, []string{}, value[[]string](p, `written.filter((w) => w.words === "cooldown" && w.align !== "left").map((w) => w.align)`), "the word is within its span")
	p.press(escape) // the zoom
	live("Escape")
	require.True(t, value[bool](p, `Boolean(document.querySelector(".channel"))`))
	p.key("+", "Equal")
	p.until(zoomed)
	p.key("-", "Minus")
	p.key("-", "Minus")
	live("minus")
}

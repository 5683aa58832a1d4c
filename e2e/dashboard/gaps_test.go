package dashboardtest

import (
	"fmt"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// away is an API server that does not answer: a chart then ends at the newest point, and not now.
var away = protocol.Connection{Since: time.Now(), Problem: "connection refused"}

// told is a point of 3 replicas of which 2 are ready, so many seconds after a time.
func told(start time.Time, second int, depth int64, held bool) protocol.Point {
	return protocol.Point{
		Time: start.Add(time.Duration(second) * time.Second), Depth: &depth, Held: held, Replicas: 3, Ready: 2, Desired: 4,
		LowerBound: ptr[int64](150), UpperBound: ptr[int64](450),
	}
}

// coloured is from which row to which (px, from the top) a chart has a colour at a part of its width: of the depth (0) or of the
// replicas (1). Empty: nowhere.
func (p *tab) coloured(chart int, part float64, colour string) []float64 {
	p.t.Helper()
	return value[[]float64](p, fmt.Sprintf(`(() => {
		const plot = document.querySelectorAll(".plots .plot")[%d], canvas = plot.querySelector("canvas");
		const box = canvas.getBoundingClientRect(), over = plot.querySelector(".u-over").getBoundingClientRect();
		const scale = canvas.width / box.width;
		const probe = document.body.appendChild(document.createElement("i"));
		probe.style.color = "var(--%s)";
		const wanted = getComputedStyle(probe).color.match(/\d+/g).map(Number);
		probe.remove();
		const copy = document.createElement("canvas");
		[copy.width, copy.height] = [canvas.width, canvas.height];
		const context = copy.getContext("2d", { willReadFrequently: true });
		context.drawImage(canvas, 0, 0);
		const [x, top, height] = [over.left - box.left + over.width * %g, over.top - box.top, over.height].map((n) => Math.round(n * scale));
		const { data } = context.getImageData(x, top, 1, height);
		const rows = [];
		for (let row = 0; row < height; row++) {
			if ([0, 1, 2].every((i) => Math.abs(data[4 * row + i] - wanted[i]) < 40)) rows.push(row);
		}
		return rows.length > 0 ? [rows[0], rows.at(-1)] : [];
	})()`, chart, colour, part))
}

func (p *tab) drawn() {
	p.t.Helper()
	p.until(`document.querySelectorAll(".plots canvas").length === 2`)
	p.do(script(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`))
}

// A depth that nobody told anew for long held all the time, and did not rise slowly. Samples that are close together are joined.
func TestADepthHoldsUntilAnotherOneIsTold(t *testing.T) {
	s := newServer(t, fleet()...)
	s.api = away
	start := time.Now().Add(-10 * time.Minute)
	orders := flash()
	orders.Marks, orders.Points = nil, []protocol.Point{told(start, 0, 10, false), told(start, 300, 200, true), told(start, 600, 400, false)}
	for i := range orders.Points {
		orders.Points[i].LowerBound, orders.Points[i].UpperBound = nil, nil
	}
	s.channels["shop/orders"] = orders
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900, prefers("color-scheme", "light"))
	p.untilText(".p-decision", "Scale up")
	p.drawn()
	at := func(part float64) float64 {
		t.Helper()
		rows := p.coloured(0, part, "depth")
		require.Len(t, rows, 2, "the depth is drawn at %g", part)
		return (rows[0] + rows[1]) / 2
	}
	assert.InDelta(t, at(0.05), at(0.25), 2, "it holds")
	assert.InDelta(t, at(0.05), at(0.49), 2, "until the next one")
	assert.Less(t, at(0.51), at(0.49)-30, "at which it steps up")
	assert.InDelta(t, (at(0.55)+at(0.95))/2, at(0.75), 3, "a line joins the samples")
	assert.Less(t, at(0.95), at(0.55)-30)
	assert.Contains(t, p.text(".timeline .how"), "A value holds until another one is told.")
}

// A time in which nothing was heard has no line of anything; what was known holds until it begins. It is shaded, and told in words.
func TestAGapIsNoLine(t *testing.T) {
	s := newServer(t, fleet()...)
	s.api = away
	start := time.Now().Add(-10 * time.Minute)
	begins := protocol.Point{Time: start.Add(200 * time.Second), Gap: true}
	orders := flash()
	orders.Marks, orders.Points = nil, []protocol.Point{told(start, 0, 300, false), begins, told(start, 400, 300, true), told(start, 600, 310, true)}
	s.channels["shop/orders"] = orders
	words := command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: writing})
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900, prefers("color-scheme", "light"), words)
	p.untilText(".p-decision", "Scale up")
	p.drawn()
	for part, known := range map[float64]bool{0.05: true, 0.3: true, 0.37: false, 0.5: false, 0.63: false, 0.7: true, 0.95: true} {
		assert.Equal(t, known, len(p.coloured(0, part, "depth")) > 0, "the depth at %g", part)
		assert.Equal(t, known, len(p.coloured(1, part, "now")) > 0, "the replicas at %g", part)
	}
	assert.True(t, value[bool](p, `written.some((w) => w.words === "nothing heard")`), "it is shaded")
	assert.Contains(t, p.text(".plots .legend"), "Nothing heard")
	p.do(script(`document.querySelector(".plots").scrollIntoView({ block: "center" })`))
	p.mouse("mouseMoved", 0.5, false, 0)
	p.untilText(".tip", "nothing was heard")
	assert.NotContains(t, p.text(".tip"), "replicas")
	p.until(`document.querySelector(".plots .legend b").textContent === "–"`)
	p.mouse("mouseMoved", 0.2, false, 0)
	p.untilText(".tip", "depth 300, band 150 to 450")
	p.click(".numbers summary")
	p.until(`document.querySelectorAll(".numbers tbody tr").length === 4`)
	assert.Contains(t, value[[]string](p, `[...document.querySelectorAll(".numbers tbody tr")].map((row) => [...row.children].slice(1).map((cell) => cell.textContent).join(" "))`), "– – – – – –")
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{Key: "shop/orders", Points: []protocol.Point{{Time: start.Add(700 * time.Second), Gap: true}}}})
	p.until(`document.querySelector(".plots").ariaLabel.includes("nothing heard since ")`)
	assert.NotContains(t, value[string](p, `document.querySelector(".plots").ariaLabel`), "0 replicas", "what is not known is not 0")
}

// sketching keeps the paths of sparklines.
const sketching = `
	window.sparks = [];
	const { beginPath, moveTo, lineTo, stroke } = CanvasRenderingContext2D.prototype;
	Object.assign(CanvasRenderingContext2D.prototype, {
		beginPath() { this.traced = []; beginPath.call(this); },
		moveTo(x, y) { this.traced?.push(["move", x, y]); moveTo.call(this, x, y); },
		lineTo(x, y) { this.traced?.push(["line", x, y]); lineTo.call(this, x, y); },
		stroke(...what) { if (this.canvas.className === "spark" && this.traced) sparks.push(this.traced); stroke.apply(this, what); },
	});`

// The sparklines are as the chart: with steps, and gaps.
func TestSparklinesHaveStepsAndGaps(t *testing.T) {
	start := time.Now().Add(-100 * time.Second)
	row := with(well("orders"), func(r *protocol.Row) {
		r.Points = []protocol.Point{told(start, 0, 10, false), {Time: start.Add(40 * time.Second), Gap: true}, told(start, 60, 10, true), told(start, 90, 100, true), told(start, 95, 50, false)}
	})
	traced := command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: sketching})
	p := open(t, newServer(t, row).URL, 1280, 700, traced)
	p.untilText(".found", "1 channel")
	p.until(`sparks.length > 0`)
	path := value[[][]any](p, `sparks[0]`)
	var kinds []string
	for i, step := range path {
		kind := step[0].(string)
		if kind == "line" {
			across, up := step[1].(float64)-path[i-1][1].(float64), step[2].(float64)-path[i-1][2].(float64)
			switch {
			case up == 0 && across > 0:
				kind = "level"
			case across == 0:
				kind = "step"
			default:
				kind = "slope"
			}
		}
		kinds = append(kinds, kind)
	}
	assert.Equal(t, []string{"move", "level", "move", "level", "step", "slope"}, kinds)
}

// What is awaited from a Prometheus is said, and why it does not come.
func TestAHistoryThatIsAwaited(t *testing.T) {
	s := newServer(t, fleet()...)
	orders := flash()
	orders.Notes = map[string]string{"history": "The older points are being read from the Prometheus…"}
	s.channels["shop/orders"] = orders
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".timeline header", "being read from the Prometheus")
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{
		Key: "shop/orders", Notes: map[string]string{}, Forbidden: map[string]string{"history": "the Prometheus at http://127.0.0.1:9090 can't be asked"},
	}})
	p.untilText(".notice", "the Prometheus at http://127.0.0.1:9090 can't be asked")
	assert.NotContains(t, p.text(".timeline header"), "being read")
}

// What-if says that what it decides from is old.
func TestWhatIfWhileNothingIsHeard(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	s.answers[protocol.KindWhatIf] = func(request protocol.Request) protocol.Answer {
		answer := whatif(request)
		answer.Decision.Unheard = ptr(time.Now().Add(-time.Hour))
		return answer
	}
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-settings", "maxReplicas")
	p.turn("#knob-targetQueueDepth", 300)
	p.untilText(".answer .stale", "Nothing was heard of the channel since ")
	p.untilText(".answer .stale", "what you did not change is as it was then")
	p.untilText(".answer", "Hold at 3 replicas")
}

// A page that comes back asks whether its connection lives, also while a replay is being computed.
func TestAPageProbesItsConnectionDuringAReplay(t *testing.T) {
	s := newServer(t, fleet()...)
	s.beside, s.hello.Heartbeat = true, 3600 // s: no silence tells
	s.channels["shop/orders"] = flash()
	hang := make(chan struct{})
	defer close(hang)
	s.answers[protocol.KindReplay] = func(protocol.Request) protocol.Answer {
		<-hang
		return protocol.Answer{Error: "too late"}
	}
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-decision", "Scale up")
	p.click(".replay .primary")
	p.untilText(".replay .primary", "Replaying…")
	require.Eventually(t, func() bool { return len(s.asked(protocol.KindReplay)) == 1 }, patience, 20*time.Millisecond)
	before := len(s.asked(protocol.KindPing))
	p.do(script(`window.dispatchEvent(new Event("online"))`))
	require.Eventually(t, func() bool { return len(s.asked(protocol.KindPing)) > before }, patience, 20*time.Millisecond)
}

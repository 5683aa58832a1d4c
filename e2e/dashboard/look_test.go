package dashboardtest

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

const background = `getComputedStyle(document.body).backgroundColor`

// The colours are the system's, until the other ones are chosen; that is remembered. Charts follow.
func TestDarkAndLight(t *testing.T) {
	s := newServer(t, fleet()...)
	p := open(t, s.URL, 1200, 600, prefers("color-scheme", "dark"))
	p.untilText(".found", "8 channels")
	dark := value[string](p, background)
	p.do(prefers("color-scheme", "light"))
	p.until(background + ` !== "` + dark + `"`)
	light := value[string](p, background)
	p.press("t")
	p.until(background + ` === "` + dark + `"`)
	assert.Equal(t, "Light colours", value[string](p, `document.querySelector("#theme").ariaLabel`))
	p.do(chromedp.Reload())
	p.untilText(".found", "8 channels")
	assert.Equal(t, dark, value[string](p, background), "what was chosen is remembered")
	p.click("#theme")
	p.until(background + ` === "` + light + `"`)
	assert.False(t, value[bool](p, `"pubsub-dashboard-theme" in localStorage`), "what the system wants needs no memory")
	p.do(prefers("color-scheme", "dark"))
	p.until(background + ` === "` + dark + `"`)
}

// Text has the contrast of WCAG 2.2 AA (4.5) in both, and marks that of graphics (3).
func TestContrast(t *testing.T) {
	s := newServer(t, fleet()...)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			p := open(t, s.URL, 1200, 600, prefers("color-scheme", scheme))
			p.untilText(".found", "8 channels")
			for name, least := range map[string]float64{
				"ink": 4.5, "muted": 4.5, "accent": 4.5, "well": 3, "watch": 4.5, "wrong": 4.5, "within": 3, "above": 3, "below": 3, "depth": 3, "ready": 3, "desired": 3, "changed": 4.5, "bound": 3,
			} {
				for _, on := range []string{"surface", "page", "chosen"} {
					contrast := value[float64](p, `(() => {
						const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
						const light = (name) => {
							const probe = document.body.appendChild(document.createElement("i"));
							probe.style.color = "var(--" + name + ")";
							context.fillStyle = getComputedStyle(probe).color;
							probe.remove();
							context.fillRect(0, 0, 1, 1);
							const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
							return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
						};
						const [a, b] = [light("`+name+`"), light("`+on+`")];
						return Math.max(a, b) / Math.min(a, b);
					})()`)
					assert.GreaterOrEqual(t, contrast, least, "--%s on --%s", name, on)
				}
			}
		})
	}
}

// tooWide are elements that reach beyond the right edge, but for what is cut off or scrolls by itself.
const tooWide = `[...document.querySelectorAll("*")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest(".scroll, .tip, svg, canvas, .u-over, .unseen, .head-group, .cell *")).map((e) => e.className || e.tagName)`

// On a phone of 360 pixels nothing has to be scrolled sideways.
func TestPhone(t *testing.T) {
	rows := fleet()
	rows[0].Name = "a-channel-with-a-name-of-the-greatest-length-that-kubernetes-takes"[:63]
	rows[0].Key = rows[0].Namespace + "/" + rows[0].Name
	s := newServer(t, rows...)
	s.channels["shop/orders"] = flash()
	s.answers[protocol.KindWhatIf], s.answers[protocol.KindReplay] = whatif, replay
	p := open(t, s.URL, 360, 740)
	p.untilText(".found", "8 channels")
	assert.Empty(t, value[[]string](p, tooWide))
	assert.True(t, value[bool](p, `document.querySelector(".row .words").checkVisibility()`), "the reason is in words there too")
	assert.True(t, value[bool](p, `document.querySelector(".caption").checkVisibility()`), "what the numbers are is told, as there is no head")
	snap(p, "phone-fleet")
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".sorting").value = "1"; document.querySelector(".sorting").dispatchEvent(new Event("change"))`))
	p.until(`document.querySelector('.row[aria-rowindex="2"] b').textContent.startsWith("a-channel")`)

	p.do(script(`location.hash = "#/channel/shop/orders"`))
	p.untilText(".p-decision", "Scale up")
	snap(p, "phone-channel-top")
	p.turn("#knob-targetQueueDepth", 50)
	p.untilText(".answer", "Scale up")
	p.click(".replay .primary")
	p.until(`document.querySelector(".replayed canvas")`)
	assert.Empty(t, value[[]string](p, tooWide))
	assert.LessOrEqual(t, value[float64](p, `document.querySelector(".channel").scrollWidth`), 360.0)
	snap(p, "phone-channel")
	p.do(prefers("color-scheme", "dark"), script(`document.querySelector(".timeline").scrollIntoView()`))
	assert.InDelta(t, 0, value[float64](p, `document.querySelector(".bar").getBoundingClientRect().top`), 0.5, "the header stays, whatever is scrolled into sight")
	snap(p, "phone-channel-dark")
	p.do(script(`location.hash = "#/"`))
	p.until(`document.querySelector(".fleet")`)
	snap(p, "phone-fleet-dark")
}

// Who asks for less motion gets none.
func TestReducedMotion(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	const duration = `getComputedStyle(document.querySelector(".figure .band-fill")).transitionDuration`
	p := open(t, s.URL+"/#/channel/shop/orders", 1200, 600, prefers("reduced-motion", "no-preference"))
	p.untilText(".p-decision", "Scale up")
	assert.Equal(t, "0.25s", value[string](p, duration))
	p.do(prefers("reduced-motion", "reduce"))
	p.until(duration + ` === "0s"`)
}

// Where a setting comes from is one word, also beside a value of several.
func TestWordsOfThePolicyAreNotBroken(t *testing.T) {
	s := newServer(t, fleet()...)
	orders := flash()
	orders.Settings = append(orders.Settings, protocol.Setting{Name: "utilizationScaleDown", Value: "100 messages per replica", From: "default"})
	s.channels["shop/orders"] = orders
	for _, width := range []int64{1280, 1100, 360} {
		p := open(t, s.URL+"/#/channel/shop/orders", width, 740)
		p.untilText(".p-settings", "messages per replica")
		assert.Empty(t, value[[]string](p, `[...document.querySelectorAll(".p-settings td:last-child")].filter((cell) => { const range = document.createRange(); range.selectNodeContents(cell); return range.getClientRects().length > 1; }).map((cell) => cell.textContent)`), "%d pixels", width)
		assert.LessOrEqual(t, value[float64](p, `document.querySelector(".p-settings .scroll").scrollWidth - document.querySelector(".p-settings .scroll").clientWidth`), 0.0, "%d pixels", width)
	}
}

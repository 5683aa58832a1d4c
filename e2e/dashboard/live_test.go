//go:build e2e

package dashboardtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	shop, stock = "shop", "stock"
	// burst takes the fleet from 1 over 4 to 6 workers, which need a minute and a half for it.
	burst = 1000
	// scaledUp and scaledDown are the scalings that the page lists, the newest first.
	scaledUp   = `[...document.querySelectorAll(".p-decisions .decision-scaling")].filter((d) => d.querySelector(".up"))`
	scaledDown = `[...document.querySelectorAll(".p-decisions .decision-scaling")].filter((d) => d.querySelector(".down"))`
	replicas   = `parseInt(document.querySelector(".figure-replicas b").textContent)`
)

// scaling is one mark of the page.
type scaling struct {
	from, to int
	words    string
}

// A real scaling, from a burst to the fleet's last step down, is followed in the browser by the plugin's own page: KEDA,
// the HPA, the kubelet and the workers are real. In its middle the API server is killed, and starts again.
func TestALiveScaling(t *testing.T) {
	n := newNode(t)
	cooldown := int((2 * n.hpaSync).Seconds())
	for _, namespace := range []string{shop, stock} {
		n.namespace(namespace)
	}
	n.apply(shop, fmt.Sprintf(redisManifest, n.redisImage))
	for _, name := range []string{"orders", "invoices"} {
		n.apply(shop, fmt.Sprintf(channelManifest, name, name, "dragonfly", n.imageTag, cooldown))
	}
	n.apply(stock, fmt.Sprintf(channelManifest, "counts", "counts", "dragonfly."+shop, "there-is-none", cooldown))

	p := open(t, dashboard(t, n.kubeconfig, n.environment(), "--namespace", shop+","+stock), 1280, 900)
	p.patience = 3 * time.Minute
	n.filtersTheFleet(p)

	p.press("orders")
	p.untilText(".found", "1 of 3 channels")
	p.press(enter)
	p.until(chosen + ` === "shop/orders"`)
	p.press(enter)
	p.until(`document.querySelector(".verdict-Hold")`)
	p.until(`document.querySelector(".figure-depth b").textContent === "0"`)
	p.until(`document.querySelectorAll(".p-workers .good").length === 1`)

	n.publish(shop, "orders", burst)
	p.until(`document.querySelector(".figure-depth .band").dataset.place === "above"`)
	p.until(scaledUp + `.length > 0 && ` + replicas + ` > 1`)
	p.untilText(".p-decision", "queue depth")
	p.until(`document.querySelectorAll(".p-workers .good").length > 1`)
	n.asksWhatIf(p)
	n.replays(p)

	if n.apiServer("stop-apiserver") {
		p.untilText("#banner", "The Kubernetes API server can't be reached since")
		p.untilText("#live", "no API server")
		assert.Contains(t, p.text(".p-settings"), "targetQueueDepth50", "what was known is shown")
		require.True(t, n.apiServer("start-apiserver"))
		p.until(`document.querySelector("#banner").hidden`)
		p.untilText("#live", "live")
	}

	p.until(`document.querySelector(".figure-depth b").textContent === "0"`)
	p.until(scaledDown + `.length > 1`)
	n.agrees(p)
	p.do(script(`document.querySelector(".channel").scrollTop = 0`))
	p.do(chromedp.Focus(chromedp.CSS(".plots")))
	p.press(left)
	p.until(`!document.querySelector(".tip").hidden`)
	picture(p, "live")
}

// filtersTheFleet finds the channels by namespace, phase and text.
func (n *node) filtersTheFleet(p *tab) {
	n.t.Helper()
	p.untilText(".found", "3 channels")
	running := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".row:not([hidden])")].some((row) => row.querySelector("a").textContent === "shop/%s" && row.querySelector(".c-phase").textContent === "Running")`, name)
	}
	p.until(running("orders"))
	p.until(running("invoices"))
	p.choose("Namespace", stock)
	p.untilText(".found", "1 of 3 channels")
	assert.Equal(n.t, []string{"stock/counts"}, p.names())
	p.choose("Namespace", "")
	p.choose("Phase", "Running")
	p.untilText(".found", "2 of 3 channels")
	assert.ElementsMatch(n.t, []string{"shop/invoices", "shop/orders"}, p.names()) // the fuller one comes first
	p.choose("Phase", "")
	p.key("/", "Slash")
	p.press("WorkersNotStarting") // the image that there is not
	p.untilText(".found", "1 of 3 channels")
	assert.Equal(n.t, []string{"stock/counts"}, p.names())
	p.press(escape)
	p.untilText(".found", "3 channels")
}

// asksWhatIf asks about more messages and workers while the fleet grows.
func (n *node) asksWhatIf(p *tab) {
	n.t.Helper()
	p.turn("#knob-sinceScale", -1)
	p.turn("#knob-maxReplicas", 20)
	p.turn("#knob-replicas", 2)
	p.turn("#knob-depth", 5000)
	p.untilText(".answer", "Scale up, 2 → 5 replicas") // maxScaleUpStep is 3
	p.untilText(".answer", "queue depth 5000 is above 150")
	p.click(".whatif header button")
	p.untilText(".answer", "Move a slider")
}

// replays replays what is recorded, as soon as that is enough, and compares it with what happened.
func (n *node) replays(p *tab) {
	n.t.Helper()
	p.turn("#knob-maxReplicas", 2)
	deadline := time.Now().Add(p.patience)
	for !value[bool](p, `Boolean(document.querySelector(".replayed .figures"))`) {
		require.True(n.t, time.Now().Before(deadline), p.text(".replayed"))
		next := time.Now().Add(2 * time.Second)
		p.until(fmt.Sprintf("Date.now() >= %d", next.UnixMilli()))
		p.click(".replay .primary")
		p.until(`!document.querySelector(".replay .primary").disabled`)
	}
	most := func(curve string) int {
		found, err := strconv.Atoi(p.text(".replayed .curve-" + curve + " td:last-child"))
		require.NoError(n.t, err)
		return found
	}
	recorded, up := most("recorded"), 0
	for _, s := range n.scalings(p, scaledUp) {
		up = max(up, s.to)
	}
	assert.Greater(n.t, recorded, 1, "what happened")
	assert.LessOrEqual(n.t, recorded, up, "what happened, and the marks")
	assert.LessOrEqual(n.t, most("changed"), 2, "with another maxReplicas")
	assert.Greater(n.t, most("now"), 2, "as it is set")
	assert.Equal(n.t, 2, value[int](p, `document.querySelectorAll(".replayed canvas").length`))
	p.do(script(`document.querySelector(".whatif").scrollIntoView()`))
	snap(p, "live-replay")
	p.click(".whatif header button")
}

// scalings are the marks of the page, the oldest first.
func (n *node) scalings(p *tab, of string) []scaling {
	n.t.Helper()
	var found []scaling
	for _, line := range value[[]string](p, of+`.reverse().map((d) => d.querySelector(".number").textContent + "|" + d.lastElementChild.textContent)`) {
		numbers, words, _ := strings.Cut(line, "|")
		s := scaling{words: words}
		_, err := fmt.Sscanf(numbers, "%d → %d", &s.from, &s.to)
		require.NoError(n.t, err, line)
		found = append(found, s)
	}
	return found
}

// agrees holds the page against itself, and against the cluster.
func (n *node) agrees(p *tab) {
	n.t.Helper()
	all := n.scalings(p, `[...document.querySelectorAll(".p-decisions .decision-scaling")]`)
	n.t.Logf("the page's scalings: %+v", all)
	at := 1
	for _, s := range all {
		assert.Equal(n.t, at, s.from, "each scaling begins where the one before it ended: %+v", all)
		at = s.to
		if s.to < s.from {
			assert.Contains(n.t, s.words, "is below", "%+v", all)
		}
	}
	others := value[[]string](p, `[...document.querySelectorAll(".p-decisions .decision-decision")].map((d) => d.lastElementChild.textContent)`)
	n.t.Logf("the page's other decisions: %q", others)
	for _, words := range others {
		assert.Contains(n.t, words, "queue depth", "each decision has its words")
	}
	assert.Contains(n.t, strings.Join(others, "; "), "is above", "and why the fleet grew")
	assert.Equal(n.t, 4, all[0].to, "up by no more than maxScaleUpStep")
	// It goes on down to 1, where both must come to the same.
	p.until(replicas + ` === 1 && document.querySelectorAll(".p-workers .good").length === 1`)
	assert.Equal(n.t, "1 1", n.kubectl("--namespace", shop, "get", "psc", "orders", "--output", "jsonpath={.status.replicas} {.status.desiredReplicas}"))
}

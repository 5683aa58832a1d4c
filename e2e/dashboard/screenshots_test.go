package dashboardtest

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

var update = flag.Bool("update", false, "write the pictures of docs/dashboard")

// largest is how many bytes a picture of the documents may have.
const largest = 150_000

// The documents have pictures of three states, made here. Their pixels change with the clock and the fonts,
// so without -update it is only tested that they can be made, and that those of the documents are there.
func TestPictures(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	s.answers[protocol.KindWhatIf], s.answers[protocol.KindReplay] = whatif, replay
	dark := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}})

	p := open(t, s.URL, 1280, 560)
	p.untilText(".found", "8 channels")
	p.press("jj")
	p.until(`document.querySelector('.row[aria-selected="true"]')`)
	picture(p, "fleet")

	p = open(t, s.URL+"/#/channel/shop/orders", 1280, 860, dark)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.until(`document.querySelector(".plots canvas")`)
	p.do(chromedp.Focus(".plots", chromedp.ByQuery))
	p.press(left)
	p.untilText(".tip", "2 → 3 replicas")
	picture(p, "channel")

	p = open(t, s.URL+"/#/channel/shop/orders", 1280, 1010)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.turn("#knob-targetQueueDepth", 50)
	p.untilText(".answer", "Scale up")
	p.click(".replay .primary")
	p.until(`document.querySelector(".replayed canvas")`)
	p.do(chromedp.Evaluate(`document.querySelector(".whatif").scrollIntoView()`, nil))
	picture(p, "what-if")
}

func picture(p *tab, name string) {
	p.t.Helper()
	var content []byte
	// Fonts and charts are drawn in the frame after the next.
	p.do(chromedp.Evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300))))`, nil, chromedp.EvalAsValue, awaited), chromedp.CaptureScreenshot(&content))
	_, err := png.Decode(bytes.NewReader(content))
	require.NoError(p.t, err)
	assert.Less(p.t, len(content), largest, name)
	path := filepath.Join("../../docs/dashboard", name+".png")
	if *update {
		require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755)) //nolint:gosec // it is committed
		require.NoError(p.t, os.WriteFile(path, content, 0o644))     //nolint:gosec // it is committed
	}
	assert.FileExists(p.t, path)
}

package dashboardtest

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
	dark := prefers("color-scheme", "dark")

	p := open(t, s.URL, 1280, 560)
	p.untilText(".found", "8 channels")
	p.press("jj")
	p.until(`document.querySelector('.row[aria-selected="true"]')`)
	picture(p, "fleet")

	p = open(t, s.URL+"/#/channel/shop/orders", 1200, 860, dark)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.until(`document.querySelector(".plots canvas")`)
	p.do(chromedp.Focus(chromedp.CSS(".plots")))
	p.press(left)
	p.untilText(".tip", "2 → 3 replicas")
	picture(p, "channel")

	p = open(t, s.URL+"/#/channel/shop/orders", 1200, 900)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.turn("#knob-targetQueueDepth", 50)
	p.untilText(".answer", "Scale up")
	p.click(".replay .primary")
	p.until(`document.querySelector(".replayed canvas")`)
	p.do(script(`document.querySelector(".whatif").scrollIntoView()`))
	picture(p, "what-if")
}

func picture(p *tab, name string) {
	p.t.Helper()
	// Fonts and charts are drawn in the frame after the next.
	p.do(script(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300))))`))
	content := of(p, chromedp.CaptureScreenshot())
	decoded, err := png.Decode(bytes.NewReader(content))
	require.NoError(p.t, err)
	var small bytes.Buffer
	require.NoError(p.t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, fewColours(decoded)))
	assert.Less(p.t, small.Len(), largest, name)
	path := filepath.Join("../../docs/dashboard", name+".png")
	if *update {
		require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(p.t, os.WriteFile(path, small.Bytes(), 0o644))
	}
	assert.FileExists(p.t, path)
}

// fewColours is the picture with its 256 most frequent colours, which is half as large.
func fewColours(of image.Image) image.Image {
	bounds := of.Bounds()
	counts := map[color.Color]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[of.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return cmp.Compare(counts[b], counts[a]) })
	palette := color.Palette(colours[:min(256, len(colours))])
	nearest := map[color.Color]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	few := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			few.SetColorIndex(x, y, nearest[of.At(x, y)])
		}
	}
	return few
}

// snaps is where pictures for a look go.
var snaps = flag.String("snaps", "", "a folder for pictures of what is on a phone, and of other states")

func snap(p *tab, name string) {
	p.t.Helper()
	if *snaps != "" {
		require.NoError(p.t, os.WriteFile(filepath.Join(*snaps, name+".png"), of(p, chromedp.CaptureScreenshot()), 0o644))
	}
}

package dashboardtest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// markup would be run if any text were taken for markup; the console would tell of it even so, because the
// Content-Security-Policy refuses it.
const markup = `<img src=x onerror="document.title='taken over'"><script>alert(1)</script>"'&lt;`

// poison writes the markup into every text of a message, however deep.
func poison(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i))
		}
	case reflect.String:
		v.SetString(v.String() + markup)
	default: // numbers
	}
}

// Whatever the cluster's texts hold, they are shown as text.
func TestHostileTexts(t *testing.T) {
	row, channel := fleet()[0], flash()
	poison(reflect.ValueOf(&row))
	row.Key = "shop<img src=x onerror=alert(1)>/returns<img src=x onerror=alert(1)>"
	poison(reflect.ValueOf(&channel))
	channel.Key, channel.Row = row.Key, &row
	channel.Forbidden = map[string]string{"scaledObject": markup, "history": markup}
	s := newServer(t, row)
	s.hello.Cluster = markup
	s.hello.Namespaces = []protocol.Namespace{{Name: markup, Why: markup}}
	s.api = protocol.Connection{Since: time.Now(), Problem: markup}
	s.answers[protocol.KindOpen] = func(protocol.Request) protocol.Answer { return protocol.Answer{} }
	s.answers[protocol.KindWhatIf] = func(r protocol.Request) protocol.Answer {
		answer := whatif(r)
		poison(reflect.ValueOf(answer.Decision))
		return answer
	}
	s.answers[protocol.KindReplay] = func(r protocol.Request) protocol.Answer {
		answer := replay(r)
		poison(reflect.ValueOf(answer.Replay))
		return answer
	}
	p := open(t, s.URL, 1280, 700)
	p.untilText(".found", "1 channel")
	for _, part := range []string{".row", "#banner", ".refused", "#cluster"} {
		p.untilText(part, markup)
	}

	p.press("j")
	p.press(enter)
	p.until(`document.querySelector(".channel")`)
	channel.Full = true
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &channel})
	for _, part := range []string{".title", ".p-decision", ".p-conditions", ".p-workers", ".p-events", ".p-settings", ".p-decisions", ".notice"} {
		p.untilText(part, map[bool]string{true: "returns<img src=x onerror=alert(1)>", false: markup}[part == ".title"])
	}
	p.do(chromedp.Focus(chromedp.CSS(".plots")))
	p.press(left)
	p.untilText(".tip", markup)
	p.turn("#knob-depth", 77)
	p.untilText(".answer", markup)
	p.click(".replay .primary")
	p.untilText(".replayed", markup)
	assert.Empty(t, value[[]string](p, `[...document.querySelectorAll("img, script")].map((e) => e.getAttribute("src")).filter((src) => src !== "icon.svg" && src !== "app.js")`))
	assert.NotEqual(t, "taken over", value[string](p, "document.title"))
}

// Whatever can be used has a name for those who can't see it.
func TestNames(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	for view, ready := range map[string][2]string{"": {".found", "8 channels"}, "#/channel/shop/orders": {".p-decision", "Scale up"}} {
		p := open(t, s.URL+"/"+view, 1280, 900)
		p.untilText(ready[0], ready[1])
		tree := of(p, func(ctx context.Context, _ *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
			return chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		})
		used := 0
		for _, node := range tree.Nodes {
			if node.Ignored || node.Role == nil {
				continue
			}
			switch role := string(node.Role.Value); role {
			case `"button"`, `"link"`, `"slider"`, `"spinbutton"`, `"combobox"`, `"searchbox"`, `"grid"`, `"img"`, `"image"`, `"columnheader"`:
				used++
				if assert.NotNil(t, node.Name, "%s %s has no name", view, role) {
					assert.NotContains(t, []string{`""`, ""}, string(node.Name.Value), "%s %s has no name", view, role)
				}
			}
		}
		assert.Greater(t, used, 20, view)
	}
}

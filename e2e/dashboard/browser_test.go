package dashboardtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must come: generous, because the machine may be busy.
const patience = 60 * time.Second

// browser is one Chromium for all tests; each test has a profile of its own in it.
var browser context.Context

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	profile, err := os.MkdirTemp("", "dashboard-profile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(profile) }()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("font-render-hinting", "none"),
	)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	started, stop := chromedp.NewContext(allocator)
	defer stop()
	if err := chromedp.Do(started); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium doesn't start (make dashboard-test installs it):", err)
		return 1
	}
	browser = started
	return m.Run()
}

// tab is a page in the browser. What the console says ends the test as failed.
type tab struct {
	t       testing.TB
	ctx     context.Context
	mu      sync.Mutex
	said    []string
	allowed []string
	// patience is how long until waits.
	patience time.Duration
}

// open opens an address in a profile of its own, in a window of that size.
func open(t testing.TB, address string, width, height int64, before ...step) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx, patience: patience}
	t.Cleanup(func() {
		p.quiet()
		end()
	})
	require.NoError(t, chromedp.Listen(ctx, p.listen))
	p.do(command(cdplog.Enable, cdp.Empty{}), chromedp.EmulateViewport(width, height))
	p.do(before...)
	p.do(chromedp.Navigate(address))
	return p
}

func (p *tab) listen(event any) {
	var words string
	switch event := event.(type) {
	case *runtime.EventConsoleAPICalled:
		words = fmt.Sprintf("console.%s: ", event.Type)
		for _, argument := range event.Args {
			words += string(argument.Value) + argument.Description + " "
		}
	case *runtime.EventExceptionThrown:
		words = "exception: " + event.ExceptionDetails.Text
		if event.ExceptionDetails.Exception != nil {
			words += " " + event.ExceptionDetails.Exception.Description
		}
	case *cdplog.EventEntryAdded:
		words = fmt.Sprintf("%s: %s %s", event.Entry.Level, event.Entry.Text, event.Entry.URL)
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, words)
}

// allow says what the console may say in this test.
func (p *tab) allow(words string) { p.allowed = append(p.allowed, words) }

// quiet fails the test if the console said anything.
func (p *tab) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, words := range p.said {
		expected := false
		for _, allowed := range p.allowed {
			expected = expected || strings.Contains(words, allowed)
		}
		assert.True(p.t, expected, "the console: %s", words)
	}
}

// step is an action without a value.
type step = chromedp.Action[chromedp.Void]

func (p *tab) do(steps ...step) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...))
}

// of is the value of an action.
func of[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	found, err := chromedp.Run(ctx, action)
	require.NoError(p.t, err)
	return found
}

// command is a step of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, c, params)
		return err
	})
}

// script runs JavaScript, and waits for its promise if it is one.
func script(expression string) step {
	return chromedp.Evaluate[chromedp.Void](expression, chromedp.EvalAwaitPromise)
}

// value is that of an expression of JavaScript.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	return of(p, chromedp.Evaluate[T](expression))
}

// key presses one key as a keyboard does: what the page does with it keeps it from being typed.
func (p *tab) key(key, code string) {
	p.t.Helper()
	p.do(
		command(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: key, Code: code}),
		command(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: key, Code: code}),
	)
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(p.patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !value[bool](p, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			p.quiet()
			require.Failf(p.t, "it never came true", "%s\nthe page: %.3000s", expression, value[string](p, "document.body.innerText"))
		}
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			require.NoError(p.t, p.ctx.Err())
		}
	}
}

// untilText waits for an element to have the words.
func (p *tab) untilText(selector, words string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selector, words))
}

// text is the text of the first such element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf("document.querySelector(%q)?.textContent ?? 'no %s'", selector, strings.ReplaceAll(selector, "'", `"`)))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// press types keys into whatever has the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// names are those of the channels in sight, from the top, as the next frame has them.
func (p *tab) names() []string {
	p.t.Helper()
	p.do(script(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`))
	return value[[]string](p, `[...document.querySelectorAll(".row:not([hidden])")].sort((a, b) => a.getAttribute("aria-rowindex") - b.getAttribute("aria-rowindex")).map((row) => row.querySelector(".c-name a").textContent)`)
}

// choose chooses an option of a select by its name for screen readers.
func (p *tab) choose(name, chosen string) {
	p.t.Helper()
	p.do(script(fmt.Sprintf(`{ const select = document.querySelector('select[aria-label=%q]'); select.value = %q; select.dispatchEvent(new Event("change")); }`, name, chosen)))
}

const (
	enter, escape, down, left, home, end = kb.Enter, kb.Escape, kb.ArrowDown, kb.ArrowLeft, kb.Home, kb.End
)

// turn moves a slider to a value.
func (p *tab) turn(selector string, to int) {
	p.t.Helper()
	p.do(script(fmt.Sprintf(`{ const slider = document.querySelector(%q); slider.max = Math.max(slider.max, %d); slider.value = %d; slider.dispatchEvent(new Event("input", { bubbles: true })); }`, selector, to, to)))
}

// prefers emulates what the system's settings prefer.
func prefers(feature, is string) step {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-" + feature, Value: is}}})
}

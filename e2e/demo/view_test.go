package demo

import (
	"strings"
	"testing"
	"time"
)

// grown is a story in the middle of its way up.
func grown() *story {
	s := burst()
	s.observe(done(at(7, 1200, 1, 1)))
	now := done(at(8, 600, 4, 2))
	now.phase, now.reason = "Scaling", "AboveUpperBound"
	now.words = "queue depth 600 is above 300 = 50 × 4 × 150 %: 4 → 7 replicas"
	now.scalings = []scaling{{8 * time.Second, "Scaled from 1 to 4 replicas (queue depth: 1190)"}}
	s.observe(now)
	return s
}

func TestPanel(t *testing.T) {
	want := strings.TrimPrefix(`
── pubsub-demo/orders ── Scaling ── 8 s ──────────────────────────────────────

 queue        600  ████████████████████                      of 1200 messages
           ▁▁▁▁▁▁▁█▄
 replicas     2/4  ████████▒▒▒▒▒▒▒▒░░░░░░░░░░░░░░░░░░░░░░░░  ready/wanted
           ▂▂▂▂▂▂▂▂▂

 now       scaling up: workers are starting
 scaler    AboveUpperBound: queue depth 600 is above 300 = 50 × 4 × 150 %: 4 →
           7 replicas

 events       8 s  Scaled from 1 to 4 replicas (queue depth: 1190)



──────────────────────────────────────────────────────────────────────────────
`, "\n")
	got := strings.Join(panel(grown(), "pubsub-demo/orders", false), "\n") + "\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, line := range strings.Split(got, "\n") {
		if width := len([]rune(line)); width > panelWidth {
			t.Errorf("%d characters: %s", width, line)
		}
	}
}

func TestPanelKeepsItsHeight(t *testing.T) {
	s := newStory()
	s.observe(sample{notReady: "the controller has not taken up the channel yet"})
	empty := panel(s, "pubsub-demo/orders", false)
	if full := panel(grown(), "pubsub-demo/orders", false); len(full) != len(empty) {
		t.Errorf("%d lines, then %d", len(empty), len(full))
	}
	if text := strings.Join(empty, "\n"); !strings.Contains(text, "Unknown") || !strings.Contains(text, "not taken up") {
		t.Errorf("got:\n%s", text)
	}
}

func TestPanelColours(t *testing.T) {
	text := strings.Join(panel(grown(), "pubsub-demo/orders", true), "\n")
	if strings.Count(text, "\x1b[0m") == 0 || strings.Count(text, "\x1b[0m")*2 != strings.Count(text, "\x1b[") {
		t.Errorf("colours are not switched off again: %q", text)
	}
}

func TestPanelViewRedrawsInPlace(t *testing.T) {
	var out strings.Builder
	v := &panelView{out: &out, title: "pubsub-demo/orders"}
	for range 2 {
		if err := v.show(grown()); err != nil {
			t.Fatal(err)
		}
	}
	height := len(panel(grown(), "", false))
	if v.height != height || strings.Count(out.String(), "\n") != 2*height || strings.Count(out.String(), "\r\x1b[16A") != 1 {
		t.Errorf("height %d of %d: %q", v.height, height, out.String())
	}
	if strings.Count(out.String(), "\x1b[?7l") != strings.Count(out.String(), "\x1b[?7h") {
		t.Error("the terminal is left without wrapping")
	}
}

func TestLineView(t *testing.T) {
	var out strings.Builder
	v := &lineView{out: &out}
	s := newStory()
	show := func(now sample) {
		s.observe(now)
		if err := v.show(s); err != nil {
			t.Fatal(err)
		}
	}
	first := at(0, 0, 0, 0)
	first.reason, first.words, first.notReady = "", "", "Progressing: 0 of 1 workers are ready"
	show(first)
	for second := 1; second <= 6; second++ { // one after 5 s, none before
		next := at(second, 7, 0, 0)
		next.notReady = first.notReady
		show(next)
	}
	show(at(7, 8, 4, 1)) // the replicas changed
	blind := at(12, 8, 4, 1)
	blind.depthUnknown = errNotFound
	show(blind)
	want := `[  0 s] depth 0  replicas 0/0  Progressing: 0 of 1 workers are ready
[  5 s] depth 7  replicas 0/0  WithinBand: holding
[  7 s] depth 8  replicas 1/4  WithinBand: holding
[ 12 s] depth ?  replicas 1/4  WithinBand: holding
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

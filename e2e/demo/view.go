package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// view shows the story while it happens.
type view interface {
	show(s *story) error
}

// lineView writes a line every 5 s, and one for each change of the replicas.
type lineView struct {
	out   io.Writer
	last  sample
	lines int
}

const lineEvery = 5 * time.Second

func (v *lineView) show(s *story) error {
	now := s.last()
	// Samples are about a second apart, and rarely whole seconds.
	due := now.at-v.last.at >= lineEvery-500*time.Millisecond
	changed := now.wanted != v.last.wanted || now.ready != v.last.ready
	if v.lines > 0 && !due && !changed {
		return nil
	}
	v.last = now
	v.lines++
	_, err := fmt.Fprintln(v.out, lineOf(s))
	return err
}

func lineOf(s *story) string {
	now := s.last()
	words, _ := now.statement()
	if words == "" {
		words = s.stage()
	}
	return fmt.Sprintf("%s depth %s  replicas %d/%d  %s", stamp(now.at), now.depthText(), now.ready, now.wanted, words)
}

// depthText is the depth; "?" while it is unknown.
func (s sample) depthText() string {
	if s.depthUnknown != nil {
		return "?"
	}
	return fmt.Sprint(s.depth)
}

// panelView redraws a panel in its place.
type panelView struct {
	out    io.Writer
	title  string
	colour bool
	height int // of what was drawn last; 0: nothing yet
}

func (v *panelView) show(s *story) error {
	lines := panel(s, v.title, v.colour)
	var text strings.Builder
	// Lines that the terminal wrapped would be more than we go up by.
	text.WriteString("\x1b[?7l")
	if v.height > 0 {
		fmt.Fprintf(&text, "\r\x1b[%dA", v.height)
	}
	for _, line := range lines {
		text.WriteString(line + "\x1b[K\n")
	}
	text.WriteString("\x1b[J\x1b[?7h")
	v.height = len(lines)
	_, err := io.WriteString(v.out, text.String())
	return err
}

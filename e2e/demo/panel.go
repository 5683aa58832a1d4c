package demo

import (
	"fmt"
	"strings"
	"time"
)

const (
	panelWidth = 78 // characters
	labelWidth = 10
	// barWidth leaves room for the number before a bar and the words behind it.
	barWidth     = 40
	sparkWidth   = panelWidth - labelWidth - 1
	replicaCells = barWidth / maxReplicas
	shownEvents  = 4
)

// Colours as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	red    = "31"
)

// panel draws the story's present state and its course so far.
func panel(s *story, title string, colour bool) []string {
	p := painter{colour}
	now := s.last()
	lines := []string{p.rule(title, now), ""}
	lines = append(lines, p.queue(s)...)
	lines = append(lines, p.replicas(s)...)
	lines = append(lines, "", row("now", p.paint(bold, s.stage())))
	lines = append(lines, p.scaler(now)...)
	lines = append(lines, "")
	lines = append(lines, p.scalings(now)...)
	return append(lines, p.paint(dim, strings.Repeat("─", panelWidth)))
}

type painter struct{ colour bool }

func (p painter) paint(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func row(label, text string) string {
	return strings.TrimRight(fmt.Sprintf(" %-*s%s", labelWidth, label, text), " ")
}

func (p painter) rule(title string, now sample) string {
	text := fmt.Sprintf("── %s ── %s ── %.0f s ", title, orUnknown(now.phase), now.at.Seconds())
	return p.paint(bold, text) + p.paint(dim, strings.Repeat("─", max(0, panelWidth-len([]rune(text)))))
}

func orUnknown(word string) string {
	if word == "" {
		return "Unknown"
	}
	return word
}

func (p painter) queue(s *story) []string {
	now := s.last()
	peak := max(s.peakDepth, messages)
	drawn := padded(bar(now.depth, peak, barWidth), barWidth)
	first := fmt.Sprintf("%6s  %s  of %d messages", now.depthText(), p.paint(yellow, drawn), peak)
	course := series(s, func(s sample) int64 { return s.depth })
	return []string{row("queue", first), row("", p.paint(yellow, sparkline(course, peak, sparkWidth)))}
}

func (p painter) replicas(s *story) []string {
	now := s.last()
	count := fmt.Sprintf("%d/%d", now.ready, now.wanted)
	drawn := replicaBar(now.ready, now.wanted, maxReplicas, replicaCells)
	first := fmt.Sprintf("%6s  %s  ready/wanted", count, p.paint(green, drawn))
	course := series(s, func(s sample) int64 { return int64(s.ready) })
	return []string{row("replicas", first), row("", p.paint(green, sparkline(course, maxReplicas, sparkWidth)))}
}

// scaler is always two lines or more, so that the panel does not jump.
func (p painter) scaler(now sample) []string {
	words, trouble := now.statement()
	colour := cyan
	if trouble {
		colour = red
	}
	wrapped := wrap(words, panelWidth-labelWidth-1)
	for len(wrapped) < 2 {
		wrapped = append(wrapped, "")
	}
	lines := make([]string, len(wrapped))
	label := "scaler"
	for i, line := range wrapped {
		lines[i] = row(label, p.paint(colour, line))
		label = ""
	}
	return lines
}

// scalings are the last events, oldest first.
func (p painter) scalings(now sample) []string {
	events := now.scalings[max(0, len(now.scalings)-shownEvents):]
	lines := make([]string, 0, shownEvents)
	label := "events"
	for _, e := range events {
		lines = append(lines, row(label, fmt.Sprintf("%4.0f s  %s", e.at.Seconds(), e.words)))
		label = ""
	}
	for len(lines) < shownEvents {
		lines = append(lines, row(label, ""))
		label = ""
	}
	return lines
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-len([]rune(text))))
}

// series is the course of a number, one value a second; a second without a sample has the
// value of the one before.
func series(s *story, of func(sample) int64) []int64 {
	var values []int64
	var next time.Duration
	for i, sample := range s.samples {
		if i == 0 {
			next = sample.at
		}
		for ; next <= sample.at; next += time.Second {
			values = append(values, of(sample))
		}
	}
	return values
}

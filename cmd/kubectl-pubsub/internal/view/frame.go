package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// leastSentence is the room that an explanation needs beside the columns; with less, it
// goes below its row.
const leastSentence = 60

// Lines is a table of all rows at once, for a terminal of that size: cut off at its width,
// and with a last line that counts what does not fit into its height. Notes stand below.
func Lines(rows []Row, namespaces bool, notes []string, now time.Time, width, height int) []string {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	table := NewTable(namespaces)
	for _, r := range rows {
		table.Fit(r, now)
	}
	narrow := utf8.RuneCountInString(table.columns(headings))+leastSentence > width
	var lines []string
	if len(rows) > 0 {
		header := table.Header()
		if narrow {
			header = strings.TrimRight(table.columns(headings), " ")
		}
		lines = append(lines, header)
	}
	// The cursor rests on the line below the last one.
	room := max(1, height-1-len(lines)-len(notes))
	for i, r := range rows {
		block := []string{table.Line(r, now)}
		if narrow {
			columns, sentence := table.short(r, now)
			block = []string{columns, "  " + sentence}
		}
		rest := len(rows) - i
		if room < len(block) || rest > 1 && room < len(block)+1 {
			lines = append(lines, fmt.Sprintf("… and %d more: a higher terminal shows them", rest))
			break
		}
		lines, room = append(lines, block...), room-len(block)
	}
	for _, note := range notes {
		lines = append(lines, clean(note))
	}
	for i, line := range lines {
		lines[i] = cut(line, width)
	}
	return lines
}

// cut shortens a line to a width, in characters.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width || width < 1 {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// Control sequences of terminals (ECMA-48).
const (
	hideCursor    = "\x1b[?25l"
	showCursor    = "\x1b[?25h"
	eraseLineRest = "\x1b[K"
	eraseBelow    = "\x1b[J"
)

// Screen draws frames over one another, in place, each with one write and without an empty
// moment between them, so that nothing flickers.
type Screen struct {
	drawn []int // the length of each line on the screen
}

// Frame is what to write so that these lines replace those of the last frame.
func (s *Screen) Frame(lines []string, width int) string {
	var out strings.Builder
	out.WriteString(hideCursor)
	if up := s.rows(width); up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", up)
	}
	s.drawn = s.drawn[:0]
	for _, line := range lines {
		out.WriteString(line + eraseLineRest + "\r\n")
		s.drawn = append(s.drawn, utf8.RuneCountInString(line))
	}
	out.WriteString(eraseBelow)
	return out.String()
}

// rows is how many lines of the terminal the last frame takes now: a terminal that became
// narrower has wrapped them.
func (s *Screen) rows(width int) int {
	rows := 0
	for _, length := range s.drawn {
		rows++
		if width > 0 && length > width {
			rows += (length - 1) / width
		}
	}
	return rows
}

// End is what to write when no frame follows.
func (s *Screen) End() string { return showCursor }

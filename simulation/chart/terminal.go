package chart

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"
)

// Sizes in characters.
const (
	terminalHeight   = 10 // rows of a panel above its lowest, about
	terminalSteps    = 5  // labels of the vertical axis above 0, at most
	terminalLabels   = 6  // left of a panel, with the axis
	terminalSpacing  = 12 // from one label of the time axis to the next, at least
	minTerminalWidth = 40
)

// terminalColors follow the palette of the pictures as far as a terminal's 256 colours go.
var terminalColors = []asciigraph.AnsiColor{
	asciigraph.DodgerBlue, asciigraph.Orange, asciigraph.Green, asciigraph.Orchid, asciigraph.OrangeRed, asciigraph.SkyBlue,
}

// marks tell the series apart without colours; the first keeps the box-drawing lines.
var marks = []string{"", "·", "+", "x", "o", "~"}

// Terminal is the figure as lines of text of that width at most, at least 40, each ended
// by a newline. Without colour the series differ in what they are drawn with.
func Terminal(f Figure, width int, color bool) string {
	width = max(width, minTerminalWidth)
	var text strings.Builder
	for _, line := range []string{f.Title, terminalLegend(f, color)} {
		text.WriteString(line + "\n")
	}
	for _, panel := range f.Panels {
		text.WriteString("\n" + panel.Title + "\n" + panel.terminal(f.Length, width, color))
	}
	return text.String()
}

func terminalLegend(f Figure, color bool) string {
	var names []string
	named := map[string]bool{}
	for _, panel := range f.Panels {
		for i, style := range terminalStyles(panel.Series) {
			name := panel.Series[i].Name
			if named[name] {
				continue
			}
			named[name] = true
			sample := strings.Repeat(style.mark, 2)
			if style.mark == "" {
				sample = "──"
			}
			if color {
				sample = style.color.String() + "──" + asciigraph.Default.String()
			}
			names = append(names, sample+" "+name)
		}
	}
	return strings.Join(names, "   ")
}

type terminalStyle struct {
	mark  string
	color asciigraph.AnsiColor
}

func terminalStyles(series []Series) []terminalStyle {
	var styles []terminalStyle
	next := 0
	for _, s := range series {
		if s.Background {
			styles = append(styles, terminalStyle{"⋅", asciigraph.Gray})
			continue
		}
		styles = append(styles, terminalStyle{marks[next%len(marks)], terminalColors[next%len(terminalColors)]})
		next++
	}
	return styles
}

func (p Panel) terminal(length time.Duration, width int, color bool) string {
	plot := width - terminalLabels
	_, span := ticks(length, plot/terminalSpacing)
	var values [][]float64
	var colors []asciigraph.AnsiColor
	var sets []asciigraph.CharSet
	styles := terminalStyles(p.Series)
	for _, background := range []bool{true, false} {
		for i := len(p.Series) - 1; i >= 0; i-- { // what is drawn last is on top
			if p.Series[i].Background != background {
				continue
			}
			values = append(values, columns(p.Series[i], span, length, plot))
			colors = append(colors, styles[i].color)
			set := asciigraph.DefaultCharSet
			if !color && styles[i].mark != "" {
				set = asciigraph.CreateCharSet(styles[i].mark)
			}
			sets = append(sets, set)
		}
	}
	top, unit := scale(values, terminalSteps)
	steps := int(math.Round(top / unit))
	options := []asciigraph.Option{
		asciigraph.Height(max(1, terminalHeight/steps) * steps), asciigraph.LowerBound(0), asciigraph.UpperBound(top),
		asciigraph.Offset(2), asciigraph.SeriesChars(sets...),
		asciigraph.YAxisValueFormatter(func(value float64) string { return terminalLabel(value, unit) }),
	}
	if color {
		options = append(options, asciigraph.SeriesColors(colors...))
	}
	return asciigraph.PlotMany(values, options...) + "\n" + times(length, plot) + "\n"
}

// terminalLabel is a label of the vertical axis, all of the same width; that of a row
// between two steps is blank.
func terminalLabel(value, unit float64) string {
	label := short(value)
	if steps := value / unit; math.Abs(steps-math.Round(steps)) > 1e-6 {
		label = ""
	}
	return strings.Repeat(" ", max(0, terminalLabels-2-utf8.RuneCountInString(label))) + label
}

// times is the time axis: each label starts below its column.
func times(length time.Duration, plot int) string {
	step, span := ticks(length, plot/terminalSpacing)
	line := []rune(strings.Repeat(" ", terminalLabels+plot))
	for at := time.Duration(0); at <= span; at += step {
		label := []rune(clock(at, length))
		column := terminalLabels + int(math.Round(float64(plot-1)*at.Seconds()/span.Seconds()))
		column = min(column, len(line)-len(label))
		copy(line[column:], label)
	}
	return strings.TrimRight(string(line), " ")
}

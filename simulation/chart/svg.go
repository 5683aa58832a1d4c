package chart

import (
	"fmt"
	"math"
	"time"

	"github.com/go-analyze/charts"
)

// Sizes of a picture, in pixels.
const (
	svgWidth  = 960
	svgHeader = 62 // title and legend
	svgPanel  = 214
	svgPlot   = 176 // the part of a panel that is drawn in
	svgLeft   = 58
	svgRight  = 24
	svgFooter = 26 // the labels of the time axis
)

// svgSpaces is how many spaces the time axis has at most, and svgSteps the vertical one.
const (
	svgSpaces = 12
	svgSteps  = 5
)

var (
	ink  = charts.ColorFromHex("#1e293b")
	mute = charts.ColorFromHex("#64748b")
	grey = charts.ColorFromHex("#b6c2d1")
	grid = charts.ColorFromHex("#e8edf3")
	// palette is told apart with any kind of colour vision (M. Okabe and K. Ito's colours).
	palette = []charts.Color{
		charts.ColorFromHex("#0072b2"), charts.ColorFromHex("#e07b00"), charts.ColorFromHex("#009e73"),
		charts.ColorFromHex("#cc79a7"), charts.ColorFromHex("#d55e00"), charts.ColorFromHex("#56b4e9"),
	}
)

// SVG is the figure as a picture on a white ground, so that it reads alike on light and
// dark pages.
func SVG(f Figure) ([]byte, error) {
	height := svgHeader + len(f.Panels)*svgPanel + svgFooter
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: svgWidth, Height: height})
	painter.FilledRect(0, 0, svgWidth, height, charts.ColorWhite, charts.ColorWhite, 0)
	painter.Text(f.Title, 16, 24, 0, charts.FontStyle{FontSize: 12, FontColor: ink})
	drawLegend(painter, f)
	for i, panel := range f.Panels {
		drawPanel(painter, panel, f.Length, svgHeader+i*svgPanel)
	}
	drawTimes(painter, f.Length, svgHeader+(len(f.Panels)-1)*svgPanel+svgPanel)
	picture, err := painter.Bytes()
	if err != nil {
		return nil, fmt.Errorf("drawing %q: %w", f.Title, err)
	}
	return picture, nil
}

// drawLegend names each series once, though several panels have it.
func drawLegend(painter *charts.Painter, f Figure) {
	style := charts.FontStyle{FontSize: 10, FontColor: ink}
	named := map[string]bool{}
	x := 16
	for _, panel := range f.Panels {
		for i, color := range colors(panel.Series) {
			name := panel.Series[i].Name
			if named[name] {
				continue
			}
			named[name] = true
			painter.LineStroke([]charts.Point{{X: x, Y: 46}, {X: x + 22, Y: 46}}, color, 3)
			painter.Text(name, x+28, 50, 0, style)
			x += 28 + painter.MeasureText(name, 0, style).Width() + 30
		}
	}
}

// colors is a colour for each series, the same in each panel as long as the panels' series
// have the same order.
func colors(series []Series) []charts.Color {
	var chosen []charts.Color
	next := 0
	for _, s := range series {
		if s.Background {
			chosen = append(chosen, grey)
			continue
		}
		chosen = append(chosen, palette[next%len(palette)])
		next++
	}
	return chosen
}

func drawPanel(painter *charts.Painter, p Panel, length time.Duration, top int) {
	step, span := ticks(length, svgSpaces)
	width := svgWidth - svgLeft - svgRight
	bottom := top + svgPanel
	painter.Text(p.Title, 16, bottom-svgPlot-12, 0, charts.FontStyle{FontSize: 10, FontColor: mute})

	count := width
	var values [][]float64
	for _, series := range p.Series {
		values = append(values, columns(series, span, length, count))
	}
	most, unit := scale(values, svgSteps)
	y := func(value float64) int { return bottom - int(math.Round(value/most*svgPlot)) }
	style := charts.FontStyle{FontSize: 9, FontColor: mute}
	for value := 0.0; value <= most; value += unit {
		painter.LineStroke([]charts.Point{{X: svgLeft, Y: y(value)}, {X: svgLeft + width, Y: y(value)}}, grid, 1)
		label := short(value)
		painter.Text(label, svgLeft-8-painter.MeasureText(label, 0, style).Width(), y(value)+4, 0, style)
	}
	for at := time.Duration(0); at <= span; at += step {
		x := svgLeft + int(at*time.Duration(width)/span)
		painter.LineStroke([]charts.Point{{X: x, Y: bottom - svgPlot}, {X: x, Y: bottom}}, grid, 1)
	}
	drawSeries(painter, p, values, y)
}

// drawSeries draws the background first and the first series last, on top.
func drawSeries(painter *charts.Painter, p Panel, values [][]float64, y func(float64) int) {
	chosen := colors(p.Series)
	for _, background := range []bool{true, false} {
		for i := len(values) - 1; i >= 0; i-- {
			if p.Series[i].Background != background {
				continue
			}
			var points []charts.Point
			for column, value := range values[i] {
				if !math.IsNaN(value) {
					points = append(points, charts.Point{X: svgLeft + column, Y: y(value)})
				}
			}
			painter.LineStroke(withoutStraight(points), chosen[i], 1.5)
		}
	}
}

// withoutStraight leaves out the points between others of the same height.
func withoutStraight(points []charts.Point) []charts.Point {
	var kept []charts.Point
	for i, point := range points {
		if i == 0 || i == len(points)-1 || point.Y != points[i-1].Y || point.Y != points[i+1].Y {
			kept = append(kept, point)
		}
	}
	return kept
}

func drawTimes(painter *charts.Painter, length time.Duration, bottom int) {
	step, span := ticks(length, svgSpaces)
	width := svgWidth - svgLeft - svgRight
	style := charts.FontStyle{FontSize: 9, FontColor: mute}
	painter.LineStroke([]charts.Point{{X: svgLeft, Y: bottom}, {X: svgLeft + width, Y: bottom}}, grey, 1)
	for at := time.Duration(0); at <= span; at += step {
		x := svgLeft + int(at*time.Duration(width)/span)
		label := clock(at, length)
		painter.LineStroke([]charts.Point{{X: x, Y: bottom}, {X: x, Y: bottom + 4}}, grey, 1)
		painter.Text(label, x-painter.MeasureText(label, 0, style).Width()/2, bottom+18, 0, style)
	}
}

package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hill is an hour that rises to a top in its middle and falls again.
func hill(top float64) []float64 {
	values := make([]float64, 3600)
	for second := range values {
		values[second] = top * (1 - math.Abs(float64(second)-1800)/1800)
	}
	return values
}

func hills() Figure {
	return Figure{Title: "two hills", Length: time.Hour, Panels: []Panel{
		{Title: "depth", Series: []Series{{Name: "high", Values: hill(4000)}, {Name: "low", Values: hill(1000)}}},
		{Title: "replicas", Series: []Series{
			{Name: "high", Values: slices.Concat(slices.Repeat([]float64{2}, 1800), slices.Repeat([]float64{5}, 1800))}, {Name: "low", Values: hill(3)},
			{Name: "needed", Values: slices.Repeat([]float64{4}, 3600), Background: true},
		}},
	}}
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file, and says where they differ.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

func TestTerminal(t *testing.T) {
	text := Terminal(hills(), 54, false)
	golden(t, "hills.txt", text)
	golden(t, "hills-color.txt", Terminal(hills(), 54, true))
	assert.Equal(t, text, Terminal(hills(), 54, false), "the same every time")
	for line := range strings.Lines(text) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 54, line)
	}
	assert.NotContains(t, text, "\x1b", "no colours")
	assert.Equal(t, Terminal(hills(), 40, false), Terminal(hills(), 1, false), "never narrower than 40")
}

func TestNothingToDrawIsDrawn(t *testing.T) {
	for name, figure := range map[string]Figure{
		"zeros":     {Length: time.Minute, Panels: []Panel{{Series: []Series{{Values: make([]float64, 60)}}}}},
		"no series": {Length: time.Minute, Panels: []Panel{{Series: []Series{{}}}}},
		"a second":  {Length: time.Second, Panels: []Panel{{Series: []Series{{Values: []float64{1}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.NotEmpty(t, Terminal(figure, 80, false))
			picture, err := SVG(figure)
			require.NoError(t, err)
			assert.NotEmpty(t, picture)
		})
	}
}

func TestSVG(t *testing.T) {
	figure := hills()
	figure.Title = "a < b & c"
	picture, err := SVG(figure)
	require.NoError(t, err)
	again, err := SVG(figure)
	require.NoError(t, err)
	assert.Equal(t, picture, again, "the same every time")

	decoder := xml.NewDecoder(bytes.NewReader(picture))
	var texts []string
	paths := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "well-formed")
		switch token := token.(type) {
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				texts = append(texts, text)
			}
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		}
	}
	for _, want := range []string{"a < b & c", "depth", "replicas", "high", "low", "needed", "4k", "0", "0:00", "0:30", "1:00"} {
		assert.Contains(t, texts, want)
	}
	assert.Equal(t, 1, count(texts, "high"), "one legend for both panels")
	assert.Greater(t, paths, 5)
	assert.True(t, bytes.Contains(picture, []byte(`L 0 516
L 0 0" style="stroke:none;fill:white"`)), "a ground of its own, for dark pages")
}

func count(texts []string, text string) int {
	n := 0
	for _, candidate := range texts {
		if candidate == text {
			n++
		}
	}
	return n
}

func TestColumnsAreAverages(t *testing.T) {
	s := Series{Values: []float64{0, 10, 20, 30, 40}}
	got := columns(s, 6*time.Second, 5*time.Second, 3)
	assert.InDeltaSlice(t, []float64{5, 25, 40}, got, 1e-9)
	assert.InDelta(t, 10, columns(s, 6*time.Second, 2*time.Second, 6)[1], 1e-9)
	assert.True(t, math.IsNaN(columns(s, 6*time.Second, 2*time.Second, 6)[2]), "values after the end are left out")
	assert.InDeltaSlice(t, []float64{0, 0, 10, 10}, columns(s, 2*time.Second, 2*time.Second, 4), 1e-9, "more columns than values")
}

func TestScale(t *testing.T) {
	for name, test := range map[string]struct {
		highest, top, step float64
	}{
		"nothing": {0, 1, 1}, "one": {1, 1, 1}, "ten": {10, 10, 2}, "a little more": {10.1, 15, 5},
		"fifty": {50, 50, 10}, "thousands": {25_972, 30_000, 10_000}, "millions": {1.28e6, 1.5e6, 5e5},
	} {
		t.Run(name, func(t *testing.T) {
			top, step := scale([][]float64{{0, test.highest, math.NaN()}}, 5)
			assert.InDelta(t, test.top, top, 1e-9)
			assert.InDelta(t, test.step, step, 1e-9)
		})
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct{ length, step, span time.Duration }{
		{2 * time.Hour, 10 * time.Minute, 2 * time.Hour},
		{37 * time.Minute, 5 * time.Minute, 40 * time.Minute},
		{24 * time.Hour, 2 * time.Hour, 24 * time.Hour},
		{time.Second, time.Second, time.Second},
		{31 * 24 * time.Hour, 96 * time.Hour, 32 * 24 * time.Hour},
	} {
		step, span := ticks(test.length, 12)
		assert.Equal(t, test.step, step, test.length)
		assert.Equal(t, test.span, span, test.length)
	}
}

func TestLabels(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 250: "250", 1000: "1k", 1500: "1.5k", 2.5e6: "2.5M", 1e9: "1G"} {
		assert.Equal(t, want, short(value))
	}
	assert.Equal(t, "1:05", clock(65*time.Second, 2*time.Minute))
	assert.Equal(t, "0:45", clock(45*time.Minute, time.Hour))
	assert.Equal(t, "25:00", clock(25*time.Hour, 48*time.Hour))
}

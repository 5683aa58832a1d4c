// Package chart draws panels of series over time, one above the other, for a terminal and
// as SVG. The same figure always gives the same bytes.
package chart

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Figure is panels that share their time.
type Figure struct {
	Title  string
	Length time.Duration // from 0, more than 0; values after it are left out
	Panels []Panel
}

// Panel is series that share their scale.
type Panel struct {
	Title  string
	Series []Series
}

// Series is one value for each second.
type Series struct {
	Name       string
	Values     []float64
	Background bool // what the others are read against: drawn in grey, and below them
}

// columns is the averages of a series in that many columns of equal time that together
// last as long as span; NaN where it has no values.
func columns(s Series, span, length time.Duration, count int) []float64 {
	averages := make([]float64, count)
	values := s.Values[:min(len(s.Values), int(length/time.Second))]
	perColumn := span.Seconds() / float64(count)
	for i := range averages {
		from := int(float64(i) * perColumn)
		to := min(max(from+1, int(float64(i+1)*perColumn)), len(values))
		averages[i] = math.NaN()
		if from < to {
			averages[i] = average(values[from:to])
		}
	}
	return averages
}

func average(values []float64) float64 {
	var sum float64
	for _, value := range values {
		sum += value
	}
	return sum / float64(len(values))
}

// scale is the upper end of a scale that starts at 0 and has whole steps, at most that
// many, and its step.
func scale(columns [][]float64, most int) (top, step float64) {
	var highest float64
	for _, series := range columns {
		for _, value := range series {
			if value > highest { // never true of NaN
				highest = value
			}
		}
	}
	step = niceStep(highest / float64(most))
	return max(step, math.Ceil(highest/step)*step), step
}

// niceStep is the least of 1, 2, 5, 10, 20, 50 … that is not less than atLeast.
func niceStep(atLeast float64) float64 {
	for power := 1.0; ; power *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if digit*power >= atLeast {
				return digit * power
			}
		}
	}
}

// short is a number with a unit: 250, 1.5k, 10M.
func short(value float64) string {
	for _, unit := range []struct {
		name string
		of   float64
	}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if value >= unit.of {
			return strconv.FormatFloat(math.Round(value/unit.of*10)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(math.Round(value), 'f', -1, 64)
}

// ticks is how far apart marks on the time axis are so that there are at most that many
// spaces between them, and the length rounded up to whole spaces.
func ticks(length time.Duration, most int) (step, span time.Duration) {
	steps := []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
	step = 24 * time.Hour
	for _, s := range steps {
		if length <= time.Duration(most)*s {
			step = s
			break
		}
	}
	for length > time.Duration(most)*step {
		step *= 2
	}
	span = length.Truncate(step)
	if span < length {
		span += step
	}
	return step, span
}

// clock is a time since the start, as h:mm, or m:ss where the whole figure is short.
func clock(at, length time.Duration) string {
	seconds := int(math.Round(at.Seconds()))
	if length <= 10*time.Minute {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	minutes := (seconds + 30) / 60
	return fmt.Sprintf("%d:%02d", minutes/60, minutes%60)
}

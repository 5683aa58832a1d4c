// Package work tells how long messages take in a model of workers: the distribution of the
// times, how many messages a worker works on at once, and when workers become slower.
package work

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Distribution is how the times that messages take are spread around their mean.
type Distribution string

// The distributions.
const (
	Fixed       Distribution = "fixed"       // all the same; the zero value means this
	Exponential Distribution = "exponential" // memoryless: often short, now and then several times the mean
	Lognormal   Distribution = "lognormal"   // with a tail as heavy as Work.Variation says
)

// Distributions are all of them.
func Distributions() []Distribution { return []Distribution{Fixed, Exponential, Lognormal} }

// The limits of a Work.
const (
	MaxConcurrency = 10_000
	MaxVariation   = 20
)

// Work is what workers do with messages, besides how many they finish.
type Work struct {
	Distribution Distribution
	// Variation is the standard deviation divided by the mean, more than 0 and at most
	// MaxVariation, for Lognormal alone; 0 means 1.
	Variation   float64
	Concurrency int // messages that one worker works on at once, 1 to MaxConcurrency; 0 means 1
	Slowdown    Slowdown
}

// Slowdown is a change of all workers' speed at one time, as when their database becomes slow. It
// counts for messages that are taken from then on. The zero value means none.
type Slowdown struct {
	At    time.Duration // from the start, 0 or more
	Speed float64       // the part of the speed that is left, more than 0
}

// Validate returns one error for each field that is out of its range, joined.
func (w Work) Validate() error {
	var errs []error
	if w.Distribution != "" && !slices.Contains(Distributions(), w.Distribution) {
		errs = append(errs, fmt.Errorf("serviceTime is %q: it must be %s", w.Distribution, Names()))
	}
	if !(w.Variation >= 0) || w.Variation > MaxVariation {
		errs = append(errs, fmt.Errorf("serviceTimeVariation is %v: it must be more than 0 and at most %d", w.Variation, MaxVariation))
	}
	if w.Concurrency < 0 || w.Concurrency > MaxConcurrency {
		errs = append(errs, fmt.Errorf("concurrency is %d: it must be from 1 to %d", w.Concurrency, MaxConcurrency))
	}
	if w.Slowdown != (Slowdown{}) && (w.Slowdown.At < 0 || !(w.Slowdown.Speed > 0)) {
		errs = append(errs, fmt.Errorf("slowdown is to %v at %s: the speed must be more than 0, and the time not negative", w.Slowdown.Speed, w.Slowdown.At))
	}
	return errors.Join(errs...)
}

// Names lists the distributions: "fixed, exponential or lognormal".
func Names() string {
	var names []string
	for _, d := range Distributions() {
		names = append(names, string(d))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Slots is Concurrency with its default.
func (w Work) Slots() int { return max(1, w.Concurrency) }

// IsFlow tells whether messages may be modelled as a flow: all take the same time, one after
// the other, at a speed that does not change.
func (w Work) IsFlow() bool {
	return (w.Distribution == "" || w.Distribution == Fixed) && w.Slots() == 1 && w.Slowdown == (Slowdown{})
}

// Speed is the part of the full speed at a time, in seconds from the start.
func (w Work) Speed(at float64) float64 {
	if w.Slowdown != (Slowdown{}) && at >= w.Slowdown.At.Seconds() {
		return w.Slowdown.Speed
	}
	return 1
}

// Draw returns the next message's time as a multiple of the mean.
func (w Work) Draw(random *rand.Rand) float64 {
	switch w.Distribution {
	case Exponential:
		return random.ExpFloat64()
	case Lognormal:
		variation := w.Variation
		if variation == 0 {
			variation = 1
		}
		// The mean is 1 and the standard deviation is variation (the distribution's moments).
		square := math.Log1p(variation * variation)
		return math.Exp(math.Sqrt(square)*random.NormFloat64() - square/2)
	case Fixed:
	}
	return 1
}

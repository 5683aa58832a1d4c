package policy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The window is 5 times as long as a message is in flight, and at least as configured. It becomes
// longer at once, and shorter with a margin.
func TestWindowFor(t *testing.T) {
	for name, test := range map[string]struct{ configured, before, took, want time.Duration }{
		"not known":                  {took: 0, want: 2 * time.Minute},
		"short ones":                 {took: 175 * time.Millisecond, want: 2 * time.Minute},
		"just fits":                  {took: 24 * time.Second, want: 2 * time.Minute},
		"a little more":              {took: 24*time.Second + 1, want: 3 * time.Minute},
		"two minutes":                {took: 2 * time.Minute, want: 10 * time.Minute},
		"hours":                      {took: 1 << 62, want: time.Hour},
		"a short one is kept":        {configured: 15 * time.Second, took: 3 * time.Second, want: 15 * time.Second},
		"and extended":               {configured: 15 * time.Second, took: 4 * time.Second, want: 2 * time.Minute},
		"a long one is kept":         {configured: 40 * time.Minute, took: 2 * time.Minute, want: 40 * time.Minute},
		"and extended, too":          {configured: 40 * time.Minute, took: 9 * time.Minute, want: 45 * time.Minute},
		"the longest":                {configured: time.Hour, took: 20 * time.Minute, want: time.Hour},
		"longer, at once":            {before: 3 * time.Minute, took: 37 * time.Second, want: 5 * time.Minute},
		"longer, with room":          {before: 2 * time.Minute, took: 45 * time.Second, want: 10 * time.Minute},
		"it stays":                   {before: 3 * time.Minute, took: 30 * time.Second, want: 3 * time.Minute},
		"it stays for fewer":         {before: 3 * time.Minute, took: 11 * time.Second, want: 3 * time.Minute},
		"shorter, beyond the margin": {before: 3 * time.Minute, took: 10600 * time.Millisecond, want: 2 * time.Minute},
		"not shorter by two lengths": {before: 10 * time.Minute, took: 25 * time.Second, want: 5 * time.Minute},
		"nothing is in flight":       {before: time.Hour, took: 0, want: 2 * time.Minute},
		"beyond all":                 {before: 3 * time.Hour, took: time.Hour, want: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			spec := Spec{Policy: ByUtilization}
			if test.configured > 0 {
				spec = spec.WithWindow(test.configured)
				assert.EqualValues(t, 80, spec.Utilization.Target, "the rest keeps its defaults")
			}
			assert.Equal(t, test.want, spec.WindowFor(test.took, test.before))
		})
	}
}

// randomTook is any time in flight, evenly over the orders of magnitude from 1 ms to 2 h.
func randomTook(r *rand.Rand) time.Duration {
	bound := 10 * time.Millisecond
	for bound < 2*time.Hour && r.IntN(8) > 0 {
		bound *= 2
	}
	return time.Millisecond + time.Duration(r.Int64N(int64(min(bound, 2*time.Hour))))
}

// A mean that stays within 20 % of any value changes the window at most once, whatever it was before.
// It is always long enough.
func TestAMeanThatWaversChangesTheWindowAtMostOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	changed := map[string]int{}
	for range *cases {
		spec := Spec{Policy: ByUtilization}.WithWindow(RecentWindow + time.Duration(r.Int64N(int64(MaxWindow-RecentWindow)+1)))
		if r.IntN(2) == 0 {
			spec = Spec{Policy: ByUtilization}
		}
		var window time.Duration
		for range r.IntN(4) {
			window = spec.WindowFor(randomTook(r), window)
		}
		least := randomTook(r) // 20 % less than the value; 20 % more is half as much again
		if r.IntN(2) == 0 {    // across one of the lengths
			least = windows[r.IntN(len(windows))] / perMessage * time.Duration(70+r.IntN(30)) / 100
		}
		changes := 0
		for i := range 20 {
			took := least + time.Duration(r.Int64N(int64(least)/2+1))
			next := spec.WindowFor(took, window)
			require.GreaterOrEqual(t, next, min(perMessage*took, MaxWindow), "%s: long enough", took)
			require.GreaterOrEqual(t, next, spec.UtilizationWindow())
			require.LessOrEqual(t, next, MaxWindow)
			switch {
			case i == 0 && window == 0: // there was none
			case next > window:
				changes++
				changed["longer"]++
			case next < window:
				changes++
				changed["shorter"]++
			}
			window = next
		}
		require.LessOrEqual(t, changes, 1, "window %s, times in flight from %s", spec.UtilizationWindow(), least)
	}
	for _, way := range []string{"longer", "shorter"} {
		require.Greater(t, changed[way], *cases/100, "it is tried")
	}
}

// What a window was for, it is for again: two scalers, one of which began with another load, differ by
// what the margin is, and no more.
func TestWindowsOfDifferentPastsAreNear(t *testing.T) {
	r := rand.New(rand.NewPCG(43, 44))
	for range *cases {
		spec := Spec{Policy: ByUtilization}
		took := randomTook(r)
		window := spec.WindowFor(took, spec.WindowFor(randomTook(r), 0))
		require.GreaterOrEqual(t, window, spec.WindowFor(took, 0))
		require.LessOrEqual(t, window, spec.WindowFor(took*9/4+1, 0))
	}
}

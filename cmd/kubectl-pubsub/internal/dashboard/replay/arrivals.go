package replay

import "slices"

// faster is how much faster than usual workers may be for a while.
const faster = 1.25

// plausible are the recorded rates, within what the depth allows. status.messageRate is a mean of 15 s, and a status is written only
// if something of weight changes: of a burst it may tell a part, or tell it when the messages are in the depth already. In each
// block, what came is at least what the depth grew by, and at most that and what the workers can finish.
func (w *window) plausible(speed float64) []float64 {
	rates := slices.Clone(w.rate)
	for from := 0; from+block < len(w.depth); from += block {
		to := from + block
		told := rates[from:to]
		if slices.Min(told) < 0 {
			continue // unknown: it is guessed
		}
		steepest, could := from, 0.0
		for i := from; i < to; i++ {
			could += speed * float64(w.ready[i])
			if w.depth[i+1]-w.depth[i] > w.depth[steepest+1]-w.depth[steepest] {
				steepest = i
			}
		}
		growth, total := w.depth[to]-w.depth[from], sum(told)
		if least := max(0, growth); total < least {
			rates[steepest] += least - total
		} else if most := max(0, growth+faster*could); total > most {
			for i := range told {
				told[i] *= most / total
			}
		}
	}
	return rates
}

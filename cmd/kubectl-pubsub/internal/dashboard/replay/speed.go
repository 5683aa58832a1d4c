package replay

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// speed is how many messages per second one worker finishes, as far as the record tells.
type speed struct {
	least, most float64 // most 0: nothing bounds it
	how         string  // the method, for people
}

const (
	// wide is by how much the ends of a speed may differ to count as one number, the geometric mean: it is then within 25 %
	// of both.
	wide = 1.25 * 1.25
	// fewest is how many measurements one number needs. The rate of a burst is told while the depth has its messages already,
	// so one or two may all be wrong.
	fewest = 3
	// tell is by how much a whole number may differ from what was so: rates are told as such.
	tell = 0.5
	// few is by how many messages a depth falls and rises by chance.
	few = 64
	// unbound is how many times faster than the least workers are taken to be at most, if nothing tells.
	unbound = 4
)

func (s speed) known() bool { return s.least > 0 && s.most > 0 && s.most <= wide*s.least }

func (s speed) middle() float64 { return math.Sqrt(s.least * s.most) }

// band are the two speeds that a replay is made with if none is known.
func (s speed) band() (slow, fast float64) {
	if s.most > 0 {
		return s.least, s.most
	}
	return s.least, unbound * s.least
}

// words say the speed, and how it was found.
func (s speed) words() string {
	switch {
	case s.known():
		return fmt.Sprintf("a worker finishes %s, %s", perSecondWords(s.middle()), s.how)
	case s.most > 0:
		return fmt.Sprintf("a worker finishes from %.3g to %s, %s: the record does not tell it better, so the replays are made with both", s.least, perSecondWords(s.most), s.how)
	default:
		return fmt.Sprintf("a worker finishes at least %s, %s; it may be faster, and nothing in the record says how much: the replays are made with that and with %d times as much", perSecondWords(s.least), s.how, unbound)
	}
}

// speed is the first that is known, by the method that needs the fewest assumptions. If none is, it is the narrowest; least is 0
// if the record does not tell at all.
func (w *window) speed(concurrency float64) speed {
	least := w.atLeast(concurrency)
	best := least
	for _, found := range []speed{w.whileBusy(concurrency), w.byInFlight(concurrency), w.byChanges(concurrency)} {
		if found.known() {
			return found
		}
		if found.most <= 0 {
			continue
		}
		if found.least = max(found.least, least.least); found.least > 0 && found.least < found.most && (best.most == 0 || found.most/found.least < best.most/best.least) {
			best = found
		}
	}
	return best
}

// around is the median of measurements, give or take their spread by chance and what each may be wrong by.
func around(values []float64, wrong float64) (least, most float64) {
	slices.Sort(values)
	last := len(values) - 1
	middle := (values[last/2] + values[len(values)/2]) / 2
	half := wrong + (values[last*3/4]-values[last/4])/math.Sqrt(float64(len(values)))
	return max(0, middle-half), middle + half
}

// whileBusy measures in blocks in which all workers are busy: arrivals less the growth of the depth is what they finish.
func (w *window) whileBusy(concurrency float64) speed {
	var finished, wrong []float64
	for from := 0; from+block < len(w.depth); from += block {
		to := from + block
		arrived := sum(w.rate[from:to])
		// The depth is told from time to time, and by chance it may be less in between.
		workerSeconds, busy, chance := 0.0, slices.Min(w.rate[from:to]) >= 0, 2*math.Sqrt(max(0, arrived))
		for i := from; i <= to; i++ {
			busy = busy && w.busy(i, concurrency) && w.depth[i] > float64(w.ready[i])*concurrency+chance
			if i < to {
				workerSeconds += float64(w.ready[i])
			}
		}
		if busy {
			finished = append(finished, (arrived-w.depth[to]+w.depth[from])/workerSeconds)
			wrong = append(wrong, tell*block/workerSeconds)
		}
	}
	if len(finished) < fewest {
		return speed{}
	}
	least, most := around(finished, median(wrong))
	return speed{least, most, "the median while all were busy (arrivals less the growth of the depth)"}
}

// busy is whether all workers have as many messages as they work on at once.
func (w *window) busy(second int, concurrency float64) bool {
	return w.ready[second] > 0 && w.depth[second] > float64(w.ready[second])*concurrency
}

// byInFlight measures how long messages take: as many are in flight on average as finish in a second, times the seconds that each
// takes (Little's law). It needs no time in which all workers are busy, which with the policy Utilization there is none of.
func (w *window) byInFlight(concurrency float64) speed {
	messageSeconds, served, seconds := 0.0, 0.0, 0
	var blocks []float64
	for from := 0; from+block < len(w.depth); from += block {
		to := from + block
		if slices.Min(w.ready[from:to+1]) <= 0 || slices.Min(w.rate[from:to]) < 0 || slices.Min(w.inFlight[from:to]) < 0 {
			continue
		}
		before := messageSeconds
		for i := from; i < to; i++ {
			messageSeconds += min(w.inFlight[i], float64(w.ready[i])*concurrency) // more than the slots is waiting, whoever holds it
			if w.inFlight[i] > 0 || w.rate[i] > 0 {
				seconds++
			}
		}
		served += sum(w.rate[from:to]) - w.depth[to] + w.depth[from]
		blocks = append(blocks, messageSeconds-before)
	}
	if len(blocks) < fewest || messageSeconds <= 0 || served <= 0 {
		return speed{}
	}
	// What is in flight is seen from time to time: of the mean of few that differ, little is known.
	mean, squares := messageSeconds/float64(len(blocks)), 0.0
	for _, each := range blocks {
		squares += (each - mean) * (each - mean)
	}
	chance := math.Sqrt(squares) / float64(len(blocks)) / mean
	wrong := tell*float64(seconds)/served + chance
	usual := concurrency * served / messageSeconds
	took := time.Duration(messageSeconds / served * float64(time.Second)).Round(time.Millisecond)
	return speed{max(0, usual*(1-wrong)), usual * (1 + wrong), fmt.Sprintf("as it works on %.0f at once and a message was in flight for %s on average", concurrency, took)}
}

// atLeast is what was finished at least. Without rates, it is by how much the depth fell while all were busy, if it fell by half within
// a minute, from far more than they have in work and than there usually is: then they finish far more than arrives. Of a fleet that keeps
// up, the depth falls and rises by chance.
func (w *window) atLeast(concurrency float64) speed {
	found, usual := speed{}, slices.Sorted(slices.Values(w.depth))[len(w.depth)/4]
	for span := block; span <= 4*block; span *= 2 {
		for from := 0; from+span < len(w.depth); from += block {
			to := from + span
			if slices.Min(w.ready[from:to+1]) <= 0 {
				continue
			}
			fell := w.depth[from] - w.depth[to]
			counted := fell + sum(w.rate[from:to]) - tell*float64(span)
			switch {
			case slices.Min(w.rate[from:to]) >= 0:
				found = w.faster(found, from, to, counted, "the most that was seen, while not all were busy for long")
			case fell >= max(few, w.depth[from]/2) && w.depth[from] >= 3*usual && w.busy(from, 4*concurrency) && w.allBusy(from, to-1, concurrency):
				found = w.faster(found, from, to, fell, "as fast as the depth fell at most, while nothing counts arrivals")
			}
		}
	}
	return found
}

// faster is the speed at which so many were finished, if it is more than one that was found. Chance is taken off, twice the root
// of a count: the most of many small numbers is chance alone.
func (w *window) faster(found speed, from, to int, finished float64, how string) speed {
	workerSeconds := 0.0
	for i := from; i < to; i++ {
		workerSeconds += float64(max(w.ready[i], w.replicas[i])) // of all that may have worked
	}
	chance := 2 * math.Sqrt(max(0, finished))
	if perWorker := (finished - chance) / workerSeconds; chance <= 0.4*finished && perWorker > found.least {
		return speed{perWorker, 0, how}
	}
	return found
}

func (w *window) allBusy(from, to int, concurrency float64) bool {
	for i := from; i <= to; i++ {
		if !w.busy(i, concurrency) {
			return false
		}
	}
	return true
}

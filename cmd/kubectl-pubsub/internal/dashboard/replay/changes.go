package replay

import "math"

const (
	// piece is over how many seconds arrivals are taken to change evenly: 2 minutes have one or two scalings in them.
	piece = 120
	// confident is how many standard errors on each side a measured speed may be off: 95 %.
	confident = 2
)

// byChanges measures by how much faster the depth falls with another number of workers, while all are busy. That needs no count of
// arrivals, only that these change evenly for a while.
func (w *window) byChanges(concurrency float64) speed {
	weights, weighted, pieces := 0.0, 0.0, 0
	for from := 0; from < len(w.depth); {
		to := from
		for to+1 < len(w.depth) && to-from < piece && w.busy(to, concurrency) && w.busy(to+1, concurrency) {
			to++
		}
		if perWorker, err, ok := w.compare(from, to); ok {
			weights, weighted, pieces = weights+1/(err*err), weighted+perWorker/(err*err), pieces+1
		}
		from = to + 1
	}
	if pieces == 0 {
		return speed{}
	}
	usual, half := weighted/weights, confident/math.Sqrt(weights)
	if pieces < fewest { // one coincidence of a scaling and of other arrivals is in no error of least squares
		half *= confident
	}
	return speed{max(0, usual-half), max(0, usual+half), "by how the depth changed with another number of workers, as nothing counts arrivals"}
}

// compare is the speed within some seconds, and its standard error, by least squares:
//
//	growth of the depth = a × seconds + b × the middle of the time × seconds − speed × worker-seconds
//
// The growths from one depth that was told to the next are independent of each other, the depths are not. Their variance is as
// their length, by which they are weighed.
func (w *window) compare(from, to int) (perWorker, standardError float64, ok bool) {
	var level, slope, worked, grown []float64
	workerSeconds, last, changed := 0.0, from, false
	for i := from + 1; i <= to; i++ {
		workerSeconds += float64(w.ready[i-1])
		changed = changed || w.ready[i] != w.ready[from]
		if w.depth[i] == w.depth[i-1] {
			continue // not told anew, or the same
		}
		if last > from { // the first may have been told long before
			root := math.Sqrt(float64(i - last))
			level, slope = append(level, root), append(slope, root*float64(i+last)/2)
			worked, grown = append(worked, workerSeconds/root), append(grown, (w.depth[i]-w.depth[last])/root)
		}
		last, workerSeconds = i, 0
	}
	free := len(level) - 3
	if !changed || free < fewest {
		return 0, 0, false
	}
	// What is left of both without the arrivals tells the speed (Frisch and Waugh), by Gram and Schmidt.
	slope = without(slope, level)
	worked, grown = without(without(worked, level), slope), without(without(grown, level), slope)
	square := dot(worked, worked)
	if square < 1e-6*dot(level, level) {
		return 0, 0, false
	}
	perWorker = -dot(worked, grown) / square
	left := without(grown, worked)
	standardError = math.Sqrt(dot(left, left) / float64(free) / square)
	return perWorker, standardError, standardError > 0
}

// without is a vector less its part along another one.
func without(vector, other []float64) []float64 {
	square := dot(other, other)
	rest := append([]float64(nil), vector...)
	if square == 0 {
		return rest
	}
	part := dot(vector, other) / square
	for i := range rest {
		rest[i] -= part * other[i]
	}
	return rest
}

func dot(a, b []float64) (total float64) {
	for i := range a {
		total += a[i] * b[i]
	}
	return total
}

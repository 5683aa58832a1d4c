package replay

import (
	"fmt"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// window is the past second by second.
type window struct {
	start    time.Time
	depth    []float64
	rate     []float64 // arrivals per second, the same for each block; negative: unknown
	inFlight []float64 // negative: unknown
	replicas []int32
	ready    []int32
	desired  []int32
	unready  int    // in how many of the first seconds nobody told how many workers were ready
	cut      string // why it does not begin earlier; empty: it could not, or was not asked to
	missed   bool   // it ends where the channel was heard last, and not now
}

// windowOf is the newest stretch of the past in which the depth was known all the time, of at most
// a length. A gap is in no window: what was in it, nobody knows.
func windowOf(past Past, length time.Duration) (*window, error) {
	w := &window{}
	if last := len(past.Points) - 1; last >= 0 && past.Points[last].Gap {
		past.To, w.missed = past.Points[last].Time, true
		past.Points = past.Points[:last]
	}
	if len(past.Points) == 0 {
		return nil, fmt.Errorf("nothing is recorded yet: a replay needs at least %s: keep the dashboard open", shortest)
	}
	begin := past.Points[0].Time
	for i, p := range past.Points {
		if p.Depth != nil || p.Time.After(past.To) {
			continue
		}
		known := past.To
		if i+1 < len(past.Points) {
			known = past.Points[i+1].Time
		}
		if known.After(begin) {
			begin, w.cut = known, "before, the depth was not known"
			if p.Gap {
				w.cut = "before, nothing was heard of the channel"
			}
		}
	}
	if asked := past.To.Add(-length); asked.After(begin) {
		begin, w.cut = asked, ""
	}
	if past.To.Sub(begin) < shortest {
		return nil, fmt.Errorf("the recorded window is %s long (from %s on): a replay needs at least %s in which the depth is known: keep the dashboard open, or start it with --prometheus",
			max(0, past.To.Sub(begin)).Round(time.Second), clock(begin), shortest)
	}
	w.start = begin.UTC()
	w.fill(past, int(past.To.Sub(begin)/time.Second))
	w.shift()
	return w, nil
}

// shift takes the rates back to the block that they are of: status.messageRate is a mean of the 15 s before it was told. Where it
// was told, the depth has those messages already, and they would count twice.
func (w *window) shift() {
	for from := 0; from < len(w.rate); from += block {
		told := w.rate[min(from+block, len(w.rate)-1)]
		for i := from; i < min(from+block, len(w.rate)); i++ {
			w.rate[i] = told
		}
	}
}

// clock is a time of day for people. The page shows those of its own zone, so the zone is told.
func clock(at time.Time) string { return at.UTC().Format(time.TimeOnly + " MST") }

// orUnknown is a number that is 0 or more, or negative if it is unknown.
func orUnknown(number *int64) float64 {
	if number == nil {
		return -1
	}
	return float64(*number)
}

func (w *window) fill(past Past, seconds int) {
	points, next := past.Points, 0
	var p protocol.Point
	for second := range seconds {
		for at := w.start.Add(time.Duration(second) * time.Second); next < len(points) && !points[next].Time.After(at); next++ {
			p = points[next]
		}
		if p.Depth == nil { // the first point is less than a second after the start
			p = points[next]
		}
		if max(0, next-1) < past.Older { // the point that holds
			w.unready = second + 1
		}
		w.depth = append(w.depth, float64(*p.Depth))
		w.rate, w.inFlight = append(w.rate, orUnknown(p.Rate)), append(w.inFlight, orUnknown(p.InFlight))
		w.replicas, w.ready, w.desired = append(w.replicas, p.Replicas), append(w.ready, p.Ready), append(w.desired, p.Desired)
	}
}

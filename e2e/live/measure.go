package live

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// figures are what a run, or a replay of it, cost and gave. Times are in seconds.
type figures struct {
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	Mean         float64 `json:"mean"`
	Max          float64 `json:"max"`
	ReplicaHours float64 `json:"replicaHours"`
	Scalings     int     `json:"scalings"`
	MostReplicas int32   `json:"mostReplicas"`
}

// account is what became of the messages.
type account struct {
	Published  int64   `json:"published"`
	Delivered  int64   `json:"delivered"` // different ones
	Lost       int64   `json:"lost"`      // published, and never delivered
	Extra      int64   `json:"extra"`     // deliveries after a message's first
	PeakMinute float64 `json:"peakMinute"`
}

// service is how fast workers were. A worker that has the next message ready takes it Turnaround
// after it is done with the one before.
type service struct {
	Work       time.Duration // mean
	Turnaround time.Duration // mean
}

// rate is the messages per second that a worker finishes while messages wait.
func (s service) rate() float64 { return 1 / (s.Work + s.Turnaround).Seconds() }

// first are the first deliveries of each message, by their start.
func first(deliveries []delivery) []delivery {
	sorted := slices.Clone(deliveries)
	slices.SortFunc(sorted, func(a, b delivery) int { return a.start.Compare(b.start) })
	seen := map[int64]bool{}
	return slices.DeleteFunc(sorted, func(d delivery) bool {
		known := seen[d.number]
		seen[d.number] = true
		return known
	})
}

func accountOf(deliveries []delivery, published int64) account {
	distinct := first(deliveries)
	a := account{Published: published, Delivered: int64(len(distinct)), Extra: int64(len(deliveries) - len(distinct))}
	a.Lost = published - a.Delivered
	a.PeakMinute = peak(distinct, time.Minute)
	return a
}

// peak is the most messages that were finished within a time.
func peak(deliveries []delivery, within time.Duration) float64 {
	ends := make([]time.Time, len(deliveries))
	for i, d := range deliveries {
		ends[i] = d.end
	}
	slices.SortFunc(ends, time.Time.Compare)
	most, from := 0, 0
	for to := range ends {
		for ends[to].Sub(ends[from]) > within {
			from++
		}
		most = max(most, to-from+1)
	}
	return float64(most)
}

// waits fills in how long messages waited until a worker began with them.
func (f *figures) waits(deliveries []delivery) {
	var seconds []float64
	var sum float64
	for _, d := range deliveries {
		seconds = append(seconds, max(0, d.start.Sub(d.sent).Seconds()))
		sum += seconds[len(seconds)-1]
	}
	if len(seconds) == 0 {
		f.P50, f.P99, f.Mean, f.Max = math.NaN(), math.NaN(), math.NaN(), math.NaN()
		return
	}
	slices.Sort(seconds)
	f.P50, f.P99, f.Max = quantile(seconds, 0.5), quantile(seconds, 0.99), seconds[len(seconds)-1]
	f.Mean = sum / float64(len(seconds))
}

// quantile is the least value that at least that part of the sorted ones does not exceed.
func quantile(sorted []float64, part float64) float64 {
	return sorted[max(0, int(math.Ceil(part*float64(len(sorted))))-1)]
}

// fleet fills in what replicas cost, from one number for each second.
func (f *figures) fleet(replicas []int32) {
	var sum int64
	for i, n := range replicas {
		sum += int64(n)
		f.MostReplicas = max(f.MostReplicas, n)
		if i > 0 && n != replicas[i-1] {
			f.Scalings++
		}
	}
	f.ReplicaHours = float64(sum) / 3600
}

// serviceOf measures the workers: the mean work, and the mean time from the end of one message to
// the start of the next on the same connection, if the next was waiting by then.
func serviceOf(deliveries []delivery) service {
	sorted := slices.Clone(deliveries)
	slices.SortFunc(sorted, func(a, b delivery) int {
		return cmp.Or(cmp.Compare(a.worker, b.worker), a.start.Compare(b.start))
	})
	var work, turnaround time.Duration
	var turns int64
	for i, d := range sorted {
		work += d.end.Sub(d.start)
		if i == 0 || sorted[i-1].worker != d.worker || d.sent.After(sorted[i-1].end) {
			continue
		}
		turnaround += d.start.Sub(sorted[i-1].end)
		turns++
	}
	s := service{}
	if len(sorted) > 0 {
		s.Work = work / time.Duration(len(sorted))
	}
	if turns > 0 {
		s.Turnaround = turnaround / time.Duration(turns)
	}
	return s
}

// depths is the messages that wait or are in work at the end of each second after began.
func depths(deliveries []delivery, began time.Time, seconds int) []float64 {
	change := make([]float64, seconds+1)
	note := func(at time.Time, by float64) {
		second := min(max(0, int(at.Sub(began)/time.Second)), seconds)
		change[second] += by
	}
	for _, d := range deliveries {
		note(d.sent, 1)
		note(d.end, -1)
	}
	depth := make([]float64, seconds)
	var sum float64
	for i := range depth {
		sum += change[i]
		depth[i] = sum
	}
	return depth
}

package simulation

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueue(t *testing.T) {
	type second struct{ arrivals, rate float64 }
	for name, test := range map[string]struct {
		seconds        []second
		waiting        float64
		p50, p99, most float64
	}{
		"workers that keep up leave no wait": {seconds: []second{{10, 20}, {20, 20}}},
		"nothing at all":                     {seconds: []second{{0, 20}, {0, 0}}},
		"a second too slow, then none": {
			// 100 arrive over a second and are taken over two: the k-th waits k/100 s
			seconds: []second{{100, 50}, {0, 50}}, p50: 0.5, p99: 0.99, most: 1},
		"nobody at first": {
			// 10 arrive over a second; from then on they are taken at 10/s: each waits 1 s
			seconds: []second{{10, 0}, {0, 10}}, p50: 1, p99: 1, most: 1},
		"nobody for long": {
			seconds: []second{{10, 0}, {0, 0}, {0, 0}, {0, 1000}}, p50: 2.505, p99: 2.99, most: 3},
		"caught up within a second": {
			// 10 wait for up to a second, the others as long as those take: 0.01 s at most
			seconds: []second{{10, 0}, {490, 1000}}, p50: 0, p99: 0.5, most: 1},
		"left behind": {
			seconds: []second{{100, 50}}, waiting: 50, p50: 0.25, p99: 0.495, most: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(0.01)
			for i, s := range test.seconds {
				q.advance(float64(i), float64(i+1), s.arrivals, s.rate)
			}
			assert.InDelta(t, test.waiting, q.waiting(), 1e-9)
			assert.InDelta(t, test.waiting, q.left(), 1e-9)
			assert.InDelta(t, test.p50, q.waits.quantile(0.5), 0.01)
			assert.InDelta(t, test.p99, q.waits.quantile(0.99), 0.01)
			assert.InDelta(t, test.most, q.waits.max, 1e-9)
		})
	}
}

// randomSeconds are arrivals, workers that come and go, and an end that drains. changes is
// how often the number of workers changes.
func randomSeconds(r *rand.Rand) (arrivals []float64, workers []int, changes int) {
	fleet := 1 + r.IntN(8)
	there := r.IntN(fleet + 1)
	for range 20 + r.IntN(60) {
		if r.IntN(8) == 0 {
			there = r.IntN(fleet + 1)
			changes++
		}
		count := 0.0
		if r.IntN(4) > 0 {
			count = float64(30 + r.IntN(60*fleet))
		}
		arrivals, workers = append(arrivals, count), append(workers, there)
	}
	for range 1 + len(arrivals)*(30+60*fleet)/(40*fleet) {
		arrivals, workers = append(arrivals, 0), append(workers, fleet)
	}
	return arrivals, workers, changes
}

// Against workers that take one message at a time, each in its turn, a wait is off by the
// time that one message takes, and by as much again for each time that workers come or go:
// one that goes finishes what it has, and one that comes takes a message at once.
func TestWaitsAreThoseOfEachMessage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		const rate = 57.0
		arrivals, workers, changes := randomSeconds(r)
		q := newQueue(1 / rate)
		for i := range arrivals {
			q.advance(float64(i), float64(i+1), arrivals[i], float64(workers[i])*rate)
		}
		require.Zero(t, q.left())
		each := waitOfEachMessage(arrivals, workers, 1/rate)
		require.Len(t, each, int(math.Round(q.arrived)))
		slices.Sort(each)
		margin := float64(3+changes) / rate
		for _, part := range []float64{0.1, 0.5, 0.9, 0.99, 1} {
			exact := each[int(math.Ceil(part*float64(len(each))))-1]
			require.InDelta(t, exact, q.waits.quantile(part), margin, "quantile %v, round %d", part, round)
		}
	}
}

// waitOfEachMessage has workers that are each free or busy with one message for work
// seconds. In each second the first workers are there, and the others take no more.
func waitOfEachMessage(arrivals []float64, workers []int, work float64) []float64 {
	var waits []float64
	freeAt := make([]float64, slices.Max(workers))
	for second, count := range arrivals {
		for k := range int(count) {
			arrived := float64(second) + (float64(k)+0.5)/count
			best, start := -1, math.Inf(1)
			for worker, free := range freeAt {
				if at := nextThere(workers, worker, max(arrived, free)); at < start {
					best, start = worker, at
				}
			}
			freeAt[best] = start + work
			waits = append(waits, start-arrived)
		}
	}
	return waits
}

// nextThere is the first time, not before at, when a worker is there.
func nextThere(workers []int, worker int, at float64) float64 {
	for second := int(at); second < len(workers); second++ {
		if worker < workers[second] {
			return max(at, float64(second))
		}
	}
	return math.Inf(1)
}

func TestNoMessageIsLost(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		arrivals, workers, _ := randomSeconds(r)
		work := []float64{1.0 / 57, 0.3, 7}[r.IntN(3)]
		q := newQueue(work)
		var arrived, finished float64
		for i := range arrivals {
			q.advance(float64(i), float64(i+1), arrivals[i], float64(workers[i])/work)
			arrived += arrivals[i]
			require.InDelta(t, arrived, q.finished()+q.waiting()+q.inWork(), 1e-6)
			require.GreaterOrEqual(t, q.finished(), finished-1e-9, "messages came back")
			require.GreaterOrEqual(t, q.waiting(), -1e-6)
			require.GreaterOrEqual(t, q.inWork(), -1e-6)
			finished = q.finished()
		}
		if work < 0.1 {
			require.InDelta(t, arrived, finished, 1e-6)
			require.InDelta(t, arrived, q.waits.count, 1e-6)
		}
	}
}

// Little's law: the messages that wait, added up over time, are their waits, added up.
// The one is summed as time goes by, the other as messages are taken.
func TestLittlesLaw(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		arrivals, workers, _ := randomSeconds(r)
		q := newQueue(0.1)
		for i := range arrivals {
			q.advance(float64(i), float64(i+1), arrivals[i], float64(workers[i])*57)
		}
		require.InDelta(t, q.waits.total, q.waitingTime, 1e-6*max(1, q.waits.total))
	}
}

// As many messages are in work as workers, while there are more messages than workers, and
// for slow workers too.
func TestInWork(t *testing.T) {
	q := newQueue(3) // seconds for one message
	for second := range 20 {
		q.advance(float64(second), float64(second+1), 10, 6.0/3)
		if second >= 3 {
			require.InDelta(t, 6, q.inWork(), 1e-9)
		}
	}
	for second := 20; second < 23; second++ { // all workers are told to go: they finish what they have
		q.advance(float64(second), float64(second+1), 0, 0)
	}
	require.InDelta(t, 0, q.inWork(), 1e-9)
	require.InDelta(t, 160, q.waiting(), 1e-9)
}

func TestQuantilesOfWaits(t *testing.T) {
	var w waits
	assert.Zero(t, w.quantile(0.99))
	assert.Zero(t, w.mean())
	w.add(98, 0, 0)
	w.add(2, 10, 20) // spread evenly
	assert.Zero(t, w.quantile(0.98))
	assert.InDelta(t, 15, w.quantile(0.99), 0.001)
	assert.InDelta(t, 20, w.quantile(1), 0.001)
	assert.InDelta(t, 0.3, w.mean(), 1e-9)
	w.add(100, 20, 10) // the last may wait less than the first
	assert.InDelta(t, 10.196, w.quantile(0.5), 0.001)
}

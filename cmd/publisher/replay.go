package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

// replay is the arrivals of a trace: those that `kubectl pubsub simulate` has in each second
// with the same seed, each at a random moment of its second. None is given up: what is late is
// sent as fast as possible.
type replay struct {
	arrivals []int64 // of each second
	random   *rand.Rand

	second  int             // that moments are of; -1 before the first
	moments []time.Duration // that are not sent yet, in order
}

// randomMoments tells the random numbers of moments from those of arrivals with the same seed.
const randomMoments = 1

func newReplay(t trace.Trace, seed uint64) *replay {
	r := &replay{arrivals: t.Arrivals(seed), random: rand.New(rand.NewPCG(seed, randomMoments)), second: -1}
	r.fill()
	return r
}

// fill goes on to the next second with messages, if all of this one are sent.
func (r *replay) fill() {
	for len(r.moments) == 0 && r.second+1 < len(r.arrivals) {
		r.second++
		r.moments = make([]time.Duration, r.arrivals[r.second])
		for i := range r.moments {
			r.moments[i] = time.Duration((float64(r.second) + r.random.Float64()) * float64(time.Second))
		}
		slices.Sort(r.moments)
	}
}

func (r *replay) due(elapsed time.Duration, limit int64) (n int64) {
	for n < limit && len(r.moments) > 0 && r.moments[0] <= elapsed {
		n++
		r.moments = r.moments[1:]
		r.fill()
	}
	return n
}

// wait lasts until the trace's end where no more messages are in it.
func (r *replay) wait(elapsed time.Duration) time.Duration {
	next := time.Duration(len(r.arrivals)) * time.Second
	if len(r.moments) > 0 {
		next = r.moments[0]
	}
	return max(0, next-elapsed)
}

func (r *replay) lag(elapsed time.Duration) time.Duration {
	if len(r.moments) == 0 {
		return 0
	}
	return max(0, elapsed-r.moments[0])
}

func (r *replay) missed() int64 { return 0 }

func (r *replay) over() bool { return len(r.moments) == 0 }

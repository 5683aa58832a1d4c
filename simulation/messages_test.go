package simulation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

func configOf(w work.Work, seed uint64) Config {
	config := DefaultConfig(policy.DefaultSpec())
	config.Work, config.Seed = w, seed
	return config
}

// replayOneByOne has a fleet that changes at random, and calls each after each second.
func replayOneByOne(r *rand.Rand, m *messages, each func(arrived float64)) {
	fleet := newFleet(r.Int32N(8), 2.5)
	var arrived float64
	for second := range 200 {
		now := float64(second)
		if r.IntN(8) == 0 {
			fleet.scale(now, r.Int32N(8))
		}
		count := r.Int64N(300)
		arrived += float64(count)
		m.second(now, count, fleet)
		each(arrived)
	}
	fleet.scale(200, 20)
	for second := 200; m.waiting()+m.inWork() > 0 && second < 2000; second++ {
		m.second(float64(second), 0, fleet)
		each(arrived)
	}
}

func works() []work.Work {
	return []work.Work{
		{Concurrency: 3},
		{Distribution: work.Exponential},
		{Distribution: work.Lognormal, Variation: 4, Concurrency: 10},
		{Distribution: work.Exponential, Slowdown: work.Slowdown{At: time.Minute, Speed: 0.5}},
	}
}

// Each message is waiting, in work or finished, at any time, whoever comes and goes.
func TestNoMessageOfThoseIsLost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, w := range works() {
		m := newMessages(configOf(w, 1))
		var done, all float64
		replayOneByOne(r, m, func(arrived float64) {
			all = arrived
			require.InDelta(t, arrived, m.entered(), 0)
			require.InDelta(t, arrived, m.waiting()+m.inWork()+m.finished(), 0)
			require.GreaterOrEqual(t, m.finished(), done)
			done = m.finished()
		})
		assert.InDelta(t, all, m.finished(), 0, "%+v", w)
		assert.InDelta(t, all, m.giveUp(2000).count, 0)
	}
}

// Little's law: the messages that wait, added up over time, are their waits, added up, and the
// mean in work is the arrivals per second times how long a message takes.
func TestLittlesLawOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, w := range works() {
		m := newMessages(configOf(w, 1))
		replayOneByOne(r, m, func(float64) {})
		assert.InEpsilon(t, m.waitingTime, m.giveUp(2000).total, 1e-6, "%+v", w)
	}
	for _, distribution := range work.Distributions() {
		for _, slots := range []int{1, 4} {
			m := newMessages(configOf(work.Work{Distribution: distribution, Concurrency: slots}, 7))
			fleet := newFleet(40, 0)
			for second := range 2000 {
				m.second(float64(second), 500, fleet)
			}
			assert.InEpsilon(t, 500*float64(slots)/57, m.workTime/2000, 0.02, "%s, %d slots", distribution, slots)
		}
	}
}

// With messages that all take the same time, both models have the same results.
func TestOneByOneIsTheFlow(t *testing.T) {
	arrivals := slices.Concat(slices.Repeat([]int64{20}, 300), slices.Repeat([]int64{1200}, 120), slices.Repeat([]int64{20}, 600))
	config := DefaultConfig(policy.DefaultSpec())
	config.Spec.MaxReplicas = 50
	flow := Run(config, arrivals, Threshold)
	config.Work.Slowdown = work.Slowdown{At: 24 * time.Hour, Speed: 0.5} // after the end
	oneByOne := Run(config, arrivals, Threshold)
	assert.InDelta(t, flow.P99.Seconds(), oneByOne.P99.Seconds(), 0.5)
	assert.InEpsilon(t, flow.ReplicaHours, oneByOne.ReplicaHours, 0.05)
	assert.InDelta(t, flow.Arrived, oneByOne.Arrived, 0)
}

func TestTheSameSeedIsTheSameReplay(t *testing.T) {
	arrivals := slices.Repeat([]int64{300}, 600)
	config := configOf(work.Work{Distribution: work.Exponential}, 5)
	first := Run(config, arrivals, Utilization)
	assert.Equal(t, first.Depth, Run(config, arrivals, Utilization).Depth)
	config.Seed = 6
	assert.NotEqual(t, first.Depth, Run(config, arrivals, Utilization).Depth)
}

// A worker has as many messages at once as it may, and finishes those that it has when it is
// removed.
func TestSlotsOfAWorker(t *testing.T) {
	config := configOf(work.Work{Concurrency: 4}, 1)
	config.ServiceRate = 0.4 // a message takes 10 s
	m, fleet := newMessages(config), newFleet(2, 0)
	m.second(0, 20, fleet)
	assert.InDelta(t, 8, m.inWork(), 0)
	fleet.scale(1, 0)
	for second := 1; second < 12; second++ {
		m.second(float64(second), 0, fleet)
	}
	assert.InDelta(t, 8, m.finished(), 0)
	assert.InDelta(t, 12, m.waiting(), 0)
	fleet.scale(12, 1)
	m.second(12, 0, fleet)
	assert.InDelta(t, 4, m.inWork(), 0)
}

func TestWorkersThatBecomeSlow(t *testing.T) {
	config := configOf(work.Work{Slowdown: work.Slowdown{At: 100 * time.Second, Speed: 0.5}}, 1)
	m, fleet := newMessages(config), newFleet(2, 0)
	finished := func(from, to int) float64 {
		before := m.finished()
		for second := from; second < to; second++ {
			m.second(float64(second), 200, fleet)
		}
		return (m.finished() - before) / float64(to-from)
	}
	assert.InDelta(t, 114, finished(0, 100), 2)
	assert.InDelta(t, 57, finished(100, 200), 2)
}

func TestWaitsToTheMillisecond(t *testing.T) {
	var h histogram
	for range 98 {
		h.add(0)
	}
	h.add(2.5004)
	h.add(10.25)
	w := h.waits()
	assert.Zero(t, w.quantile(0.98))
	assert.InDelta(t, 2.5, w.quantile(0.99), 0.0015)
	assert.InDelta(t, 10.25, w.quantile(1), 0.001)
	assert.InDelta(t, (2.5004+10.25)/100, w.mean(), 1e-9)
}

// The scaler's samples are a second old when the HPA asks, and go back as far as the window.
func TestWhatTheScalerSeesOfTheWork(t *testing.T) {
	config := DefaultConfig(policy.DefaultSpec())
	config.Spec.Utilization = policy.DefaultUtilization()
	config.Spec.Utilization.Window = 30 * time.Second
	e := newExternal(config, policy.Utilization)
	assert.False(t, e.inFlight().Known)
	for second := range 101 {
		e.replicas(observation{second: second, now: start.Add(time.Duration(second) * time.Second), replicas: 1, inWork: int64(second)})
		if second == 10 {
			assert.Equal(t, policy.InFlight{Known: true, Recent: 4500, Window: 4500, Seen: 10 * time.Second}, e.inFlight())
		}
	}
	assert.Equal(t, policy.InFlight{Known: true, Recent: 92_000, Window: 84_500, Seen: 30 * time.Second}, e.inFlight(), "of 85 to 99, and of 70 to 99")
}

// The clairvoyant schedule has its workers up when the messages come, and no one waits.
func TestTheClairvoyantKnows(t *testing.T) {
	arrivals := slices.Concat(slices.Repeat([]int64{50}, 600), slices.Repeat([]int64{800}, 600), slices.Repeat([]int64{50}, 600))
	config := configOf(work.Work{Distribution: work.Exponential}, 1)
	config.Spec.MaxReplicas = 50
	r := Run(config, arrivals, Clairvoyant)
	assert.Less(t, r.P99, time.Second)
	assert.InDelta(t, 16, slices.Max(r.Replicas), 1, "800/57 = 14.04 slots and room for chance")
	assert.Less(t, r.Replicas[500], int32(5))
	assert.Greater(t, r.Replicas[599], int32(14), "before they come")
	assert.Less(t, r.Replicas[1300], int32(5))
}

// The formula against tables of Erlang's C, and against a replay: with as many slots as it says
// about 1 % of the messages wait longer than a second, and with one fewer more of them.
func TestSlotsFor(t *testing.T) {
	assert.Zero(t, slotsFor(0, 1))
	for _, load := range []float64{2, 10, 40} {
		const work = 5.0
		late := func(slots float64) float64 {
			config := configOf(exponential, 3)
			config.ServiceRate = 1 / work
			m, fleet := newMessages(config), newFleet(int32(slots), 0)
			r := rand.New(rand.NewPCG(9, 9))
			for next, second := r.ExpFloat64()*work/load, 0; second < 200_000; second++ {
				count := int64(0)
				for ; next < float64(second+1); next += r.ExpFloat64() * work / load {
					count++
				}
				m.second(float64(second), count, fleet)
			}
			w := m.giveUp(200_000)
			return 1 - w.within(1)/w.count
		}
		assert.Less(t, late(slotsFor(load, work)), 0.013, "load %v", load)
		assert.Greater(t, late(slotsFor(load, work)-1), 0.008, "load %v", load)
	}
}

var exponential = work.Work{Distribution: work.Exponential}

package trace

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// shapes are the traces whose messages take random times and are modelled one by one.
func shapes() []BuiltIn {
	return []BuiltIn{diurnal(), noisy(), step(), sawtooth(), small(), jobs10s(), jobs2m(), heavy(), slowdown(), concurrent()}
}

// random is a trace with random service times and the product's defaults within limits.
func random(name, description string, least, most int32, ramps ...Ramp) BuiltIn {
	return BuiltIn{
		Trace: Trace{Name: name, Description: description, Ramps: ramps},
		Spec:  spec(least, most),
		Work:  work.Work{Distribution: work.Exponential},
	}
}

// diurnal is a day's curve in four hours.
func diurnal() BuiltIn {
	const minutes = 240
	rate := func(minute int) float64 { return 250 - 200*math.Cos(2*math.Pi*float64(minute)/minutes) }
	var ramps []Ramp
	for minute := 0; minute < minutes; minute += 10 {
		ramps = append(ramps, Ramp{Length: 10 * time.Minute, From: rate(minute), To: rate(minute + 10)})
	}
	return random("diurnal", "a day's curve in four hours: from 50/s to 450/s and back", 2, 50, ramps...)
}

// noisy has another rate every half minute, always the same ones.
func noisy() BuiltIn {
	rates := rand.New(rand.NewPCG(1, 1))
	var ramps []Ramp
	for range 240 {
		rate := 150 + 500*rates.Float64()
		ramps = append(ramps, Ramp{Length: 30 * time.Second, From: rate, To: rate})
	}
	return random("noisy", "another rate every 30 s, from 150/s to 650/s, for two hours", 2, 50, ramps...)
}

func step() BuiltIn {
	return random("step", "50/s, an hour of 800/s, 50/s", 2, 50,
		Ramp{Length: 30 * time.Minute, From: 50, To: 50},
		Ramp{Length: time.Hour, From: 800, To: 800},
		Ramp{Length: 30 * time.Minute, From: 50, To: 50})
}

func sawtooth() BuiltIn {
	var ramps []Ramp
	for range 6 {
		ramps = append(ramps, Ramp{Length: 20 * time.Minute, From: 50, To: 800})
	}
	return random("sawtooth", "from 50/s to 800/s within 20 minutes, and at once back, six times", 2, 50, ramps...)
}

func small() BuiltIn {
	return random("small", "91/s, the work of 1.6 workers, for two hours", 1, 10, Ramp{Length: 2 * time.Hour, From: 91.2, To: 91.2})
}

// The windows of jobs are five times what a job takes: a shorter one sees only the jobs that
// happen to be there.
func jobs10s() BuiltIn {
	jobs := random("jobs-10s", "jobs of 10 s: one every 3 s, two hours of 3/s, one every 3 s", 2, 60,
		Ramp{Length: time.Hour, From: 0.3, To: 0.3},
		Ramp{Length: 2 * time.Hour, From: 3, To: 3},
		Ramp{Length: time.Hour, From: 0.3, To: 0.3})
	jobs.ServiceRate = 0.1
	jobs.Spec.TargetQueueDepth = 1
	return jobs
}

func jobs2m() BuiltIn {
	jobs := random("jobs-2m", "jobs of 2 minutes: one every 30 s for six hours", 1, 20, Ramp{Length: 6 * time.Hour, From: 1.0 / 30, To: 1.0 / 30})
	jobs.ServiceRate = 1.0 / 120
	jobs.Spec.TargetQueueDepth = 1
	return jobs
}

func heavy() BuiltIn {
	jobs := random("heavy", "60/s of jobs that take 0.5 s on average, a few of them minutes; a worker has 4 at once", 2, 50, Ramp{Length: 2 * time.Hour, From: 60, To: 60})
	jobs.Work = work.Work{Distribution: work.Lognormal, Variation: 4, Concurrency: 4}
	jobs.Spec.WorkerConcurrency = 4
	jobs.ServiceRate = 8
	jobs.Spec.TargetQueueDepth = 10
	return jobs
}

func slowdown() BuiltIn {
	slow := random("slowdown", "400/s for two hours; after one, all workers are half as fast", 2, 50, Ramp{Length: 2 * time.Hour, From: 400, To: 400})
	slow.Work.Slowdown = work.Slowdown{At: time.Hour, Speed: 0.5}
	return slow
}

func concurrent() BuiltIn {
	wide := random("concurrent", "100/s, an hour of 600/s, 100/s; a worker has 10 messages at once", 2, 50,
		Ramp{Length: 30 * time.Minute, From: 100, To: 100},
		Ramp{Length: time.Hour, From: 600, To: 600},
		Ramp{Length: 30 * time.Minute, From: 100, To: 100})
	wide.Work.Concurrency = 10
	wide.Spec.WorkerConcurrency = 10
	return wide
}

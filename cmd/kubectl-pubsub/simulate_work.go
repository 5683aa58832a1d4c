package main

import (
	"github.com/spf13/pflag"

	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// workFlags are what workers do with messages. One that is not given leaves what the trace says.
type workFlags struct {
	rate         float64
	distribution string
	variation    float64
	concurrency  int
}

func (f *workFlags) bind(flags *pflag.FlagSet) {
	flags.Float64Var(&f.rate, "service-rate", 57, "messages per second that one worker finishes; jobs traces have their own")
	flags.StringVar(&f.distribution, "service-time", string(work.Fixed), "how the times that messages take are spread: "+work.Names())
	flags.Float64Var(&f.variation, "service-time-variation", 1, "of lognormal times: the standard deviation divided by the mean")
	flags.IntVar(&f.concurrency, "concurrency", 1, "messages that one worker has at once")
}

// apply fills in the workers of a trace, with what the flags replace.
func (f *workFlags) apply(flags *pflag.FlagSet, config *simulation.Config, replay trace.BuiltIn) {
	config.Work = replay.Work
	if replay.ServiceRate > 0 {
		config.ServiceRate = replay.ServiceRate
	}
	if flags.Changed("service-rate") {
		config.ServiceRate = f.rate
	}
	if flags.Changed("service-time") {
		config.Work.Distribution = work.Distribution(f.distribution)
	}
	if flags.Changed("service-time-variation") {
		config.Work.Variation = f.variation
	}
	if flags.Changed("concurrency") {
		config.Work.Concurrency = f.concurrency
		if !flags.Changed("worker-concurrency") {
			config.Spec.WorkerConcurrency = int32(min(f.concurrency, work.MaxConcurrency))
		}
	}
}

package live

import (
	"fmt"
	"maps"
	"math"
	"math/cmplx"
	"slices"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// serviceRate is the messages per second that a worker of the simulation's traces finishes, at a
// scale of 1.
const serviceRate = 57

// scenario is what is run, live and in the simulation.
type scenario struct {
	Trace    trace.Trace
	Spec     policy.Spec
	WorkTime time.Duration // mean; the times are exponential
	Start    int32         // replicas at the beginning
	Cut      string        // in words, how the simulation's trace was made to fit
}

// A recipe makes a scenario of a trace.
type recipe struct {
	of    string  // the simulation's trace
	speed float64 // how many times as fast its time goes
}

// recipes make runs of about 10 minutes.
var recipes = map[string]recipe{
	"flash":  {"flash", 21},  // 3.5 hours in 10 minutes
	"steady": {"steady", 15}, // the first 8 minutes of 2 hours
}

// peakName is a trace of its own: messages without work, as fast as the first operator asked.
const peakName = "peak"

func scenarioNames() string {
	return strings.Join(append(slices.Sorted(maps.Keys(recipes)), peakName), ", ")
}

// newScenario is the trace of that name with its rates multiplied by scale. So that as many
// workers are needed, each is slower by as much, and the target is lower.
func newScenario(name string, scale float64) (scenario, error) {
	if name == peakName {
		return peakScenario(), nil
	}
	r, ok := recipes[name]
	builtIn, found := trace.Lookup(r.of)
	if !ok || !found {
		return scenario{}, fmt.Errorf("--trace is %q: set it to one of %s", name, scenarioNames())
	}
	if !(scale > 0 && scale <= 1) {
		return scenario{}, fmt.Errorf("--scale is \"%v\": set it to more than 0 and at most 1", scale)
	}
	s := scenario{
		Trace:    builtIn.Faster(r.speed).Scaled(scale),
		Spec:     builtIn.Spec,
		WorkTime: time.Duration(float64(time.Second) / (serviceRate * scale)),
	}
	s.Spec.TargetQueueDepth = max(1, int64(math.Round(float64(builtIn.Spec.TargetQueueDepth)*scale)))
	s.Start = startOf(s)
	s.Cut = fmt.Sprintf("times divided by %g, %s instead of %s; rates and the target multiplied by %g, and each message takes %.0f ms on average (exponential) instead of %.1f ms",
		r.speed, s.Trace.Length().Round(time.Second), builtIn.Length(), scale, s.WorkTime.Seconds()*1e3, 1e3/serviceRate)
	return s, nil
}

// startOf is the replicas that the first minute needs, as a replay of the simulation begins.
func startOf(s scenario) int32 {
	expected := s.Trace.Expected()
	first := expected[:min(60, len(expected))]
	var sum float64
	for _, messages := range first {
		sum += messages
	}
	need := math.Ceil(sum / float64(len(first)) * s.WorkTime.Seconds())
	return int32(min(max(need, float64(s.Spec.MinReplicas)), float64(s.Spec.MaxReplicas)))
}

func peakScenario() scenario {
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.MaxReplicas, spec.TargetQueueDepth = 10, 10, 1000
	return scenario{
		Trace: trace.Trace{Name: peakName, Description: "2,100/s for 90 seconds", Ramps: []trace.Ramp{{Length: 90 * time.Second, From: 2100, To: 2100}}},
		Spec:  spec, WorkTime: time.Microsecond, Start: 10, Cut: "messages take no time; 10 workers",
	}
}

// prediction is what the simulation says of a scenario, with the HPA's syncs at different moments
// of their period.
type prediction struct {
	// SamePhase is with the HPA's syncs at the moments at which the run had them. It is nil for a
	// run without a scaling, which does not tell them.
	SamePhase *figures          `json:"samePhase,omitempty"`
	Median    figures           `json:"median"`
	Least     figures           `json:"least"`
	Most      figures           `json:"most"`
	Nearest   simulation.Result `json:"-"` // the replay in the same phase; without one, that whose replica-hours are the median
}

// figures are those to compare with.
func (p prediction) figures() figures {
	if p.SamePhase != nil {
		return *p.SamePhase
	}
	return p.Median
}

// phases is how many moments of the HPA's period are tried.
const phases = 15

// conditions are what a replay takes from the run.
type conditions struct {
	arrivals []int64 // messages published in each second
	workers  service
	podStart time.Duration
	hpaSync  time.Duration
	phase    float64 // when the HPA synced, as a part of its period; negative if it is not known
	start    *int32  // replicas; nil: as the scenario's
}

// predict replays the scenario with the arrivals and the workers' speed that were measured.
func predict(s scenario, seed uint64, autoscaler *simulation.Autoscaler, of conditions) (prediction, error) {
	config := simulation.DefaultConfig(s.Spec)
	config.ServiceRate, config.PodStart, config.HPASync, config.Seed = of.workers.rate(), of.podStart, of.hpaSync, seed
	config.Start = of.start
	config.Work = work.Work{Distribution: work.Exponential, Concurrency: 1}
	if err := config.Validate(); err != nil {
		return prediction{}, err
	}
	at := func(phase float64) (simulation.Result, figures) {
		config.Phase = phase
		r := simulation.Run(config, of.arrivals, autoscaler)
		return r, figures{
			P50: r.P50.Seconds(), P99: r.P99.Seconds(), Mean: r.Mean.Seconds(), Max: r.Max.Seconds(),
			ReplicaHours: r.ReplicaHours, Scalings: r.Scalings, MostReplicas: slices.Max(r.Replicas),
		}
	}
	var results []simulation.Result
	var all []figures
	for i := range phases {
		r, f := at(float64(i) / phases)
		results, all = append(results, r), append(all, f)
	}
	slices.SortFunc(results, func(a, b simulation.Result) int {
		return int(math.Copysign(1, a.ReplicaHours-b.ReplicaHours))
	})
	p := prediction{Median: ranked(all, phases/2), Least: ranked(all, 0), Most: ranked(all, phases-1), Nearest: results[phases/2]}
	if of.phase >= 0 {
		r, f := at(of.phase)
		p.SamePhase, p.Nearest = &f, r
	}
	return p, nil
}

// phaseOf is when the HPA synced, as a part of its period, by the seconds in which the replicas
// changed: the mean on a circle. It is -1 if they did not change.
func phaseOf(scalings []scaling, hpaSync time.Duration) float64 {
	var sum complex128
	for _, s := range scalings {
		sum += cmplx.Rect(1, 2*math.Pi*s.At/hpaSync.Seconds())
	}
	if len(scalings) == 0 || cmplx.Abs(sum) == 0 {
		return -1
	}
	phase := cmplx.Phase(sum) / (2 * math.Pi)
	if phase -= math.Floor(phase); phase >= 1 { // of a hair below 0
		return 0
	}
	return phase
}

// ranked has of each figure the value of that rank.
func ranked(all []figures, rank int) figures {
	pick := func(of func(figures) float64) float64 {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = of(f)
		}
		slices.Sort(values)
		return values[rank]
	}
	return figures{
		P50: pick(func(f figures) float64 { return f.P50 }), P99: pick(func(f figures) float64 { return f.P99 }),
		Mean: pick(func(f figures) float64 { return f.Mean }), Max: pick(func(f figures) float64 { return f.Max }),
		ReplicaHours: pick(func(f figures) float64 { return f.ReplicaHours }),
		Scalings:     int(pick(func(f figures) float64 { return float64(f.Scalings) })),
		MostReplicas: int32(pick(func(f figures) float64 { return float64(f.MostReplicas) })),
	}
}

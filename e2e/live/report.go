package live

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/chart"
)

// Result is what a run found; times are in seconds.
type Result struct {
	Trace   string  `json:"trace"`
	Policy  string  `json:"policy"`
	Cut     string  `json:"cut"`
	Scale   float64 `json:"scale"`
	Seed    uint64  `json:"seed"`
	HPASync float64 `json:"hpaSyncSeconds"`
	// LoadAverage is the machine's, its mean and greatest during the run.
	LoadAverage    float64 `json:"loadAverage"`
	MaxLoadAverage float64 `json:"maxLoadAverage"`

	Messages   account    `json:"messages"`
	Live       figures    `json:"live"`
	Simulation prediction `json:"simulation"`

	// What the simulation was given of the run.
	WorkSeconds       float64 `json:"workSeconds"`
	TurnaroundSeconds float64 `json:"turnaroundSeconds"`
	PodStartSeconds   float64 `json:"podStartSeconds"`
	// HPAFirstSaw is how many replicas an HPA without behavior saw first. It keeps that many for five
	// minutes, and takes away at once what the run added. With our policies it is nil: they have behavior.
	HPAFirstSaw *int32 `json:"hpaFirstSaw,omitempty"`

	// Reaction is from the first second in which the depth was above the upper bound to the first
	// scaling up; 0 without one.
	Reaction float64   `json:"reactionSeconds"`
	Scalings []scaling `json:"scalings"`
	OffPeak  offPeak   `json:"offPeak"`
}

type scaling struct {
	At   float64 `json:"at"`
	From int32   `json:"from"`
	To   int32   `json:"to"`
}

// offPeak is the cost of the seconds in which at most a tenth of the trace's greatest rate arrives.
type offPeak struct {
	Seconds      int     `json:"seconds"`
	ReplicaHours float64 `json:"replicaHours"`
}

// series is a run second by second.
type series struct {
	began         time.Time
	wanted, ready []int32
	depth         []float64
}

func (l *live) report(published int64, events string) error {
	deliveries := l.recorder.all()
	if len(deliveries) == 0 {
		return fmt.Errorf("no message was delivered of %d that were published", published)
	}
	distinct := first(deliveries)
	run := l.series(distinct)
	workers, start := serviceOf(deliveries), l.sampler.podStart(run.began)
	result := Result{
		Trace: l.Trace, Policy: l.Policy, Cut: l.scenario.Cut, Scale: l.Scale, Seed: l.Seed, HPASync: l.HPASync.Seconds(),
		Messages:    accountOf(deliveries, published),
		WorkSeconds: workers.Work.Seconds(), TurnaroundSeconds: workers.Turnaround.Seconds(), PodStartSeconds: start.Seconds(),
		HPAFirstSaw: l.hpaFirstSaw, Scalings: scalingsOf(run.wanted), OffPeak: offPeakOf(l.scenario.Trace.Expected(), run.wanted),
	}
	result.LoadAverage, result.MaxLoadAverage = loads(l.sampler.samples, run.began)
	result.Live.waits(distinct)
	result.Live.fleet(run.wanted)
	result.Reaction = reactionOf(l.scenario.Spec, run.depth, run.wanted)
	var err error
	if result.Simulation, err = predict(l.scenario, l.Seed, l.autoscaler, conditions{
		arrivals: arrivalsOf(distinct, run.began), workers: workers, podStart: start,
		hpaSync: l.HPASync, phase: phaseOf(result.Scalings, l.HPASync), start: l.hpaFirstSaw,
	}); err != nil {
		return err
	}
	if err := l.write(result, run, distinct, events); err != nil {
		return err
	}
	fmt.Fprint(l.Log, result.table())
	l.say("the results are in %s", l.Out)
	return nil
}

// series is what happened in each second from the first message on until all are done.
func (l *live) series(distinct []delivery) series {
	s := series{began: slices.MinFunc(distinct, func(a, b delivery) int { return a.sent.Compare(b.sent) }).sent}
	end := slices.MaxFunc(distinct, func(a, b delivery) int { return a.start.Compare(b.start) }).start
	seconds := max(int(end.Sub(s.began)/time.Second)+1, int(l.scenario.Trace.Length()/time.Second))
	s.wanted, s.ready = perSecond(l.sampler.samples, s.began, seconds)
	s.depth = depths(distinct, s.began, seconds)
	return s
}

// arrivalsOf is how many messages were published in each second.
func arrivalsOf(distinct []delivery, began time.Time) (arrivals []int64) {
	for _, d := range distinct {
		second := int(d.sent.Sub(began) / time.Second)
		for len(arrivals) <= second {
			arrivals = append(arrivals, 0)
		}
		arrivals[second]++
	}
	return arrivals
}

func scalingsOf(replicas []int32) (scalings []scaling) {
	for second := 1; second < len(replicas); second++ {
		if replicas[second] != replicas[second-1] {
			scalings = append(scalings, scaling{float64(second), replicas[second-1], replicas[second]})
		}
	}
	return scalings
}

func offPeakOf(expected []float64, replicas []int32) (o offPeak) {
	greatest := slices.Max(expected)
	for second, messages := range expected {
		if messages <= greatest/10 && second < len(replicas) {
			o.Seconds++
			o.ReplicaHours += float64(replicas[second]) / 3600
		}
	}
	return o
}

// reactionOf is the seconds from the first depth above the upper bound to the first scaling up
// after it; 0 if there is none.
func reactionOf(spec policy.Spec, depth []float64, replicas []int32) float64 {
	above := -1
	for second := range replicas {
		if above < 0 && depth[second] > float64(spec.TargetQueueDepth)*float64(replicas[second])*float64(spec.ScaleUpThreshold)/100 {
			above = second
		}
		if above >= 0 && second > 0 && replicas[second] > replicas[second-1] {
			return float64(second - above)
		}
	}
	return 0
}

func loads(samples []sample, from time.Time) (mean, most float64) {
	count := 0
	for _, s := range samples {
		if s.at.After(from) {
			mean, most, count = mean+s.load, max(most, s.load), count+1
		}
	}
	return mean / float64(max(1, count)), most
}

// table tells the figures beside the simulation's.
func (r Result) table() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "\n%s, %s: %d messages published, %d delivered, %d lost, %d extra deliveries; most in a minute %.0f; load average %.1f (most %.1f)\n",
		r.Trace, r.Policy, r.Messages.Published, r.Messages.Delivered, r.Messages.Lost, r.Messages.Extra, r.Messages.PeakMinute, r.LoadAverage, r.MaxLoadAverage)
	fmt.Fprintf(text, "work %.1f ms + %.1f ms to the next message; a pod started in %.1f s; the first scaling up came %.0f s after the depth was above the upper bound\n\n",
		r.WorkSeconds*1e3, r.TurnaroundSeconds*1e3, r.PodStartSeconds, r.Reaction)
	fmt.Fprintf(text, "%-14s %9s %11s %9s %18s\n", "", "live", "simulation", "off by", "range by phase")
	row := func(name string, of func(figures) float64) {
		live, simulated := of(r.Live), of(r.Simulation.figures())
		fmt.Fprintf(text, "%-14s %9.2f %11.2f %9s %8.2f to %.2f\n", name, live, simulated, offBy(simulated, live), of(r.Simulation.Least), of(r.Simulation.Most))
	}
	row("p50 wait, s", func(f figures) float64 { return f.P50 })
	row("p99 wait, s", func(f figures) float64 { return f.P99 })
	row("mean wait, s", func(f figures) float64 { return f.Mean })
	row("longest, s", func(f figures) float64 { return f.Max })
	row("replica-hours", func(f figures) float64 { return f.ReplicaHours })
	row("scalings", func(f figures) float64 { return float64(f.Scalings) })
	row("most replicas", func(f figures) float64 { return float64(f.MostReplicas) })
	return text.String()
}

// offBy is by how much the simulation differs from what was measured, in percent.
func offBy(simulated, live float64) string {
	if live == 0 {
		return "–"
	}
	return fmt.Sprintf("%+.0f %%", 100*(simulated-live)/live)
}

// write writes the files of the results.
func (l *live) write(result Result, run series, distinct []delivery, events string) error {
	encoded, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	picture, err := chart.SVG(figure(l.scenario, result, run))
	if err != nil {
		return err
	}
	seconds, messages := &strings.Builder{}, &strings.Builder{}
	seconds.WriteString("second,depth,replicas,ready\n")
	for i := range run.wanted {
		fmt.Fprintf(seconds, "%d,%.0f,%d,%d\n", i, run.depth[i], run.wanted[i], run.ready[i])
	}
	messages.WriteString("number,sent,wait,work\n") // seconds
	for _, d := range distinct {
		fmt.Fprintf(messages, "%d,%.4f,%.4f,%.4f\n", d.number, d.sent.Sub(run.began).Seconds(), d.start.Sub(d.sent).Seconds(), d.end.Sub(d.start).Seconds())
	}
	for name, content := range map[string][]byte{
		"result.json": append(encoded, '\n'), "seconds.csv": []byte(seconds.String()), "messages.csv": []byte(messages.String()),
		"events.txt": []byte(events), "picture.svg": picture,
	} {
		if err := os.WriteFile(filepath.Join(l.Out, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// figure is the run beside the simulation's, in the style of the simulation's own.
func figure(s scenario, result Result, run series) chart.Figure {
	simulated := result.Simulation.Nearest
	needed := s.Trace.Expected()
	for i := range needed {
		needed[i] = min(needed[i]*(result.WorkSeconds+result.TurnaroundSeconds), float64(s.Spec.MaxReplicas))
	}
	const live, model = "live", "simulation"
	return chart.Figure{
		Title:  result.Trace + ", " + result.Policy + ", on a node of " + strconv.Itoa(runtime.NumCPU()) + " cores",
		Length: time.Duration(max(len(run.wanted), len(simulated.Replicas))) * time.Second,
		Panels: []chart.Panel{
			{Title: "messages, waiting and in flight", Series: []chart.Series{{Name: live, Values: run.depth}, {Name: model, Values: simulated.Depth}}},
			{Title: "replicas", Series: []chart.Series{
				{Name: live, Values: floats(run.wanted)}, {Name: model, Values: floats(simulated.Replicas)},
				{Name: "needed to keep up", Values: needed, Background: true},
			}},
		},
	}
}

func floats(replicas []int32) []float64 {
	values := make([]float64, len(replicas))
	for i, n := range replicas {
		values[i] = float64(n)
	}
	return values
}

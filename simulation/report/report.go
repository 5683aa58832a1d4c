// Package report tells how a trace went with several autoscalers: as a table, Markdown,
// JSON, and a figure.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/chart"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// Report is one trace and its results.
type Report struct {
	Trace   trace.Trace
	Seed    uint64
	Config  simulation.Config
	Results []simulation.Result // this project's first
}

// New replays a trace. The trace and the configuration must be valid.
func New(t trace.Trace, seed uint64, config simulation.Config, others []*simulation.Autoscaler) Report {
	config.Seed = seed
	return Report{Trace: t, Seed: seed, Config: config, Results: simulation.Compare(config, t.Arrivals(seed), others...)}
}

// Figure shows the depth of the queue above the replicas. It leaves out fixed fleets, because
// their replicas are a straight line and their backlog may flatten all others, and KEDA with a
// behavior, because it looks like KEDA without.
func (r Report) Figure() chart.Figure {
	depth := chart.Panel{Title: "messages, waiting and in flight"}
	replicas := chart.Panel{Title: "replicas"}
	length := r.Trace.Length()
	for _, result := range r.Results {
		if slices.Contains([]*simulation.Autoscaler{simulation.Fixed, simulation.KEDABehavior, simulation.Clairvoyant}, result.Autoscaler) {
			continue
		}
		// A second or two after the end are not worth another mark on the time axis.
		if longest := time.Duration(len(result.Depth)) * time.Second; longest > length+r.Trace.Length()/50 {
			length = max(length, longest)
		}
		depth.Series = append(depth.Series, chart.Series{Name: result.Label, Values: result.Depth})
		replicas.Series = append(replicas.Series, chart.Series{Name: result.Label, Values: floats(result.Replicas)})
	}
	replicas.Series = append(replicas.Series, chart.Series{Name: "needed to keep up", Values: r.needed(), Background: true})
	return chart.Figure{Title: r.Trace.Name + ": " + r.Trace.Description, Length: length, Panels: []chart.Panel{depth, replicas}}
}

// needed is the replicas that are as fast as messages arrive, cut off at the limit.
func (r Report) needed() []float64 {
	needed := r.Trace.Expected()
	for i := range needed {
		needed[i] = min(needed[i]/r.Config.ServiceRate/r.Config.Work.Speed(float64(i)), float64(r.Config.Spec.MaxReplicas))
	}
	return needed
}

func floats(replicas []int32) []float64 {
	values := make([]float64, len(replicas))
	for i, n := range replicas {
		values[i] = float64(n)
	}
	return values
}

// settings describes the policy that the trace was replayed with.
func (r Report) settings() string {
	spec := r.Config.Spec
	text := fmt.Sprintf("%d to %d replicas, target %s, thresholds %d %% and %d %%, cooldown %s",
		spec.MinReplicas, spec.MaxReplicas, thousands(float64(spec.TargetQueueDepth)), spec.ScaleUpThreshold, spec.ScaleDownThreshold, shortDuration(spec.Cooldown))
	if spec.MaxScaleUpStep != (policy.Step{}) {
		text += ", up by at most " + spec.MaxScaleUpStep.String()
	}
	if spec.MaxScaleDownStep != (policy.Step{}) {
		text += ", down by at most " + spec.MaxScaleDownStep.String()
	}
	if spec.ActivationQueueDepth > 0 {
		text += fmt.Sprintf(", activation %d", spec.ActivationQueueDepth)
	}
	return text
}

// surroundings describes the configuration of the model.
func (r Report) surroundings() string {
	text := fmt.Sprintf("%s messages in %s; a worker finishes %s and starts in %s; HPA sync %s; seed %d",
		thousands(r.Results[0].Arrived), shortDuration(r.Trace.Length()), r.workers(),
		shortDuration(r.Config.PodStart), shortDuration(r.Config.HPASync), r.Seed)
	if !r.Config.KeepsTolerance {
		text += "; the HPA's tolerance can't be set"
	}
	return text
}

// workers describes what a worker finishes: "57 messages/s".
func (r Report) workers() string {
	w, rate := r.Config.Work, r.Config.ServiceRate
	text := strconv.FormatFloat(rate, 'f', -1, 64) + " messages/s"
	if rate < 1 {
		text = "a message in " + strconv.FormatFloat(math.Round(10/rate)/10, 'f', -1, 64) + " s"
	}
	if w.IsFlow() {
		return text
	}
	if w.Slots() > 1 {
		text += fmt.Sprintf(", %d at once", w.Slots())
	}
	if w.Slowdown != (work.Slowdown{}) {
		text += fmt.Sprintf(", from %s on at %.0f %% of that speed", shortDuration(w.Slowdown.At), 100*w.Slowdown.Speed)
	}
	switch w.Distribution {
	case work.Fixed:
	case work.Exponential:
		text += " (times exponential)"
	case work.Lognormal:
		text += fmt.Sprintf(" (times lognormal, standard deviation %s × mean)", strconv.FormatFloat(cmp.Or(w.Variation, 1), 'f', -1, 64))
	}
	return text
}

var columns = []string{"autoscaler", "p50 wait", "p99 wait", "longest", "replica-hours", "scalings", "most replicas", "greatest depth"}

// rows are the figures of all results in words, in the order of columns.
func (r Report) rows() [][]string {
	var rows [][]string
	for _, result := range r.Results {
		rows = append(rows, []string{
			result.Label,
			wait(result.P50), wait(result.P99), wait(result.Max),
			thousandsTenths(result.ReplicaHours),
			thousands(float64(result.Scalings)),
			strconv.Itoa(int(slices.Max(result.Replicas))),
			thousands(slices.Max(result.Depth)),
		})
	}
	return rows
}

// notes say what the numbers don't show.
func (r Report) notes() []string {
	var notes []string
	for _, result := range r.Results {
		if left := math.Round(result.Left); left > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s messages were still waiting when the replay ended, %s after the end of the trace; their waits count until then.",
				result.Label, thousands(left), shortDuration(time.Duration(len(result.Depth))*time.Second-r.Trace.Length())))
		}
	}
	return notes
}

// wait is a wait in seconds: 0.0 s, 1,123.4 s.
func wait(d time.Duration) string {
	return thousandsTenths(d.Seconds()) + " s"
}

// thousands is a whole number with separators.
func thousands(value float64) string {
	digits := strconv.FormatFloat(math.Round(value), 'f', 0, 64)
	var text strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text.WriteByte(',')
		}
		text.WriteRune(digit)
	}
	return text.String()
}

// thousandsTenths is a number with separators and one decimal.
func thousandsTenths(value float64) string {
	tenths := math.Round(value * 10)
	return thousands(math.Floor(tenths/10)) + fmt.Sprintf(".%d", int64(tenths)%10)
}

// shortDuration is a duration without parts that are zero: 2h, 30s, 1h30m.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

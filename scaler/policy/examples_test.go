package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// now is 15:04:05 UTC in all examples.
var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// TestExamples holds the policy to testdata, where an example is a line, and what comes of it
// the line after. docs/testing.md says how to add one.
func TestExamples(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			e := read(t, d)
			switch d.Cmd {
			case "decide":
				require.NoError(t, e.spec.Validate(), d.Pos)
				return e.decided(Decide)
			case "utilization":
				require.NoError(t, e.spec.Validate(), d.Pos)
				told := e.decided(Utilization)
				if shown := Utilization(e.spec, e.state).Arithmetic; shown != "" {
					told += "\n" + shown
				}
				return told
			case "arithmetic":
				require.NoError(t, e.spec.Validate(), d.Pos)
				if shown := Decide(e.spec, e.state).Arithmetic; shown != "" {
					return shown
				}
				return "none"
			case "value":
				decision := Decision{Replicas: e.state.Replicas}
				decision.to(e.desired, AboveUpperBound)
				return strconv.FormatInt(e.spec.MetricValue(decision, false), 10)
			case "check":
				if err := e.spec.Validate(); err != nil {
					return err.Error()
				}
				return "valid"
			default:
				d.Fatalf(t, "%q is none of decide, utilization, arithmetic, value, check", d.Cmd)
				return ""
			}
		})
	})
}

// example is a policy, by default the default one, and what it is to decide by.
type example struct {
	spec    Spec
	state   State
	desired int64 // of value
}

// fields are what a line may say, as name=number, or alone where it takes none.
var fields = map[string]func(e *example, value string) error{
	"minReplicas":          func(e *example, v string) error { return number(v, &e.spec.MinReplicas) },
	"maxReplicas":          func(e *example, v string) error { return number(v, &e.spec.MaxReplicas) },
	"targetQueueDepth":     func(e *example, v string) error { return number(v, &e.spec.TargetQueueDepth) },
	"scaleUpThreshold":     func(e *example, v string) error { return number(v, &e.spec.ScaleUpThreshold) },
	"scaleDownThreshold":   func(e *example, v string) error { return number(v, &e.spec.ScaleDownThreshold) },
	"activationQueueDepth": func(e *example, v string) error { return number(v, &e.spec.ActivationQueueDepth) },
	"cooldownPeriod":       func(e *example, v string) error { return duration(v, &e.spec.Cooldown) },
	"maxAge":               func(e *example, v string) error { return duration(v, &e.spec.MaxAge) },
	"maxScaleUpStep":       func(e *example, v string) error { return step(v, &e.spec.MaxScaleUpStep) },
	"maxScaleDownStep":     func(e *example, v string) error { return step(v, &e.spec.MaxScaleDownStep) },

	"replicas": func(e *example, v string) error { return number(v, &e.state.Replicas) },
	"depth":    func(e *example, v string) error { return number(v, &e.state.Depth) },
	"atLeast":  func(e *example, _ string) error { e.state.AtLeast = true; return nil },
	"oldest":   func(e *example, v string) error { return duration(v, &e.state.OldestAge) },
	"scaledAgo": func(e *example, v string) error {
		var ago time.Duration
		err := duration(v, &ago)
		e.state.LastScale = now.Add(-ago)
		return err
	},
	"workerConcurrency": func(e *example, v string) error { return number(v, &e.spec.WorkerConcurrency) },
	"percent": func(e *example, v string) error {
		_, err := fmt.Sscanf(v, "%d/%d/%d", &e.spec.Utilization.ScaleUp, &e.spec.Utilization.Target, &e.spec.Utilization.ScaleDown)
		return err
	},
	"window": func(e *example, v string) error { return duration(v, &e.spec.Utilization.Window) },
	"recent": func(e *example, v string) error {
		e.state.InFlight.Known = true
		return thousandths(v, &e.state.InFlight.Recent)
	},
	"mean": func(e *example, v string) error { return thousandths(v, &e.state.InFlight.Window) },
	"seen": func(e *example, v string) error { return duration(v, &e.state.InFlight.Seen) },

	"desired": func(e *example, v string) error { return number(v, &e.desired) },
}

func number[T int32 | int64](text string, to *T) error {
	n, err := strconv.ParseInt(text, 10, 64)
	*to = T(n)
	if int64(*to) != n {
		return fmt.Errorf("%s is too large", text)
	}
	return err
}

func thousandths(text string, to *int64) error {
	value, err := strconv.ParseFloat(text, 64)
	*to = int64(math.Round(value * 1000))
	return err
}

func duration(text string, to *time.Duration) (err error) {
	*to, err = time.ParseDuration(text)
	return err
}

func step(text string, to *Step) (err error) {
	if text == "none" {
		text = ""
	}
	*to, err = ParseStep(text)
	return err
}

func read(t *testing.T, d *datadriven.TestData) example {
	t.Helper()
	e := example{spec: DefaultSpec(), state: State{Now: now}}
	e.spec.Utilization, e.state.InFlight.Seen = DefaultUtilization(), DefaultUtilization().Window
	for _, arg := range d.CmdArgs {
		set, known := fields[arg.Key]
		if !known {
			d.Fatalf(t, "nothing is called %q", arg.Key)
		}
		if err := set(&e, strings.Join(arg.Vals, ",")); err != nil {
			d.Fatalf(t, "%s: %v", arg, err)
		}
	}
	return e
}

var actionVerbs = map[Action]string{Hold: "hold at", ScaleUp: "grow to", ScaleDown: "shrink to"}

// decided is what becomes of the replicas, why, whether KEDA is told that the target is active,
// and the explanation; then the one that lasts, where that is another.
func (e *example) decided(decide Decider) string {
	d := decide(e.spec, e.state)
	active := "inactive"
	if d.Active {
		active = "active"
	}
	told := fmt.Sprintf("%s %d, %s, %s: %s", actionVerbs[d.Action], d.Desired, d.Reason, active, d.Text)
	if d.LastingText != d.Text {
		told += "\nkept: " + d.LastingText
	}
	return told
}

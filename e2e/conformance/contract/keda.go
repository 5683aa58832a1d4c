package contract

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
)

// KEDA is KEDA's own client for one trigger of type external-push.
type KEDA interface {
	// MetricSpecs are the specs for the HPA; none where the call failed.
	MetricSpecs(ctx context.Context) []Spec
	// Metrics are the values for a name with the trigger's index, and the activity.
	Metrics(ctx context.Context, name string) ([]float64, bool, error)
	// Run hands states to active until ctx ends, and closes it.
	Run(ctx context.Context, active chan<- bool)
	// SpecUpdates receives while Run runs, and is closed at its end.
	SpecUpdates() <-chan []Spec
	Close(ctx context.Context) error
}

// Spec is a metric of the HPA.
type Spec struct {
	Name   string // with the trigger's index
	Target float64
}

func (s Spec) String() string { return fmt.Sprintf("%s target %v", s.Name, s.Target) }

var errNoKEDA = errors.New("not judged: this build has no client of KEDA's")

// keda makes a client of KEDA's, which must be closed.
func (p *probe) keda() (KEDA, error) {
	if p.KEDA == nil {
		return nil, errNoKEDA
	}
	return p.KEDA(Trigger{Name: p.Name, Namespace: p.Namespace, Metadata: p.sent(nil), TLS: p.TLS})
}

const kedaMetricSpec = "keda.metric-spec"

var kedaChecks = []Check{
	{
		Name:      kedaMetricSpec,
		Rule:      "KEDA's own client makes of GetMetricSpec what the scaler meant",
		Why:       "it is the code that KEDA's operator runs: what it makes of the answer is what the HPA gets",
		Reference: "pkg/scalers/external_scaler.go: GetMetricSpecForScaling",
		needs:     []string{specAnswers, "metric-spec.target", "metric-spec.stable"},
		run: func(ctx context.Context, p *probe) Outcome {
			return p.withKEDA(ctx, func(ctx context.Context, client KEDA) Outcome {
				raw, err := p.spec(ctx, nil).get()
				if err != nil {
					return fail("GetMetricSpec failed", "%s", describeError(err))
				}
				specs := client.MetricSpecs(ctx)
				if !sameForKEDA(raw, specs) {
					return fail("KEDA got something else (with --verbose it says why)", "the scaler answers %s, KEDA reads %v", describeSpecs(raw), specs)
				}
				return pass("%v", specs)
			})
		},
	},
	{
		Name:      "keda.metrics",
		Rule:      "KEDA's own client gets the value and the activity that the scaler gives",
		Why:       "GetMetricsAndActivity is what each tick and each sync runs",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity",
		needs:     []string{kedaMetricSpec, metricsAnswers, "metrics.one-value", "metrics.value", metricsRepeatable, activityAnswers, activityRepeatable},
		run: func(ctx context.Context, p *probe) Outcome {
			return p.withKEDA(ctx, func(ctx context.Context, client KEDA) Outcome { return checkKEDAMetrics(ctx, p, client) })
		},
	},
}

// withKEDA runs a check with a client of KEDA's, for Limits.Call.
func (p *probe) withKEDA(ctx context.Context, check func(context.Context, KEDA) Outcome) Outcome {
	client, err := p.keda()
	if errors.Is(err, errNoKEDA) {
		return skip("%s", errNoKEDA)
	}
	if err != nil {
		return fail("KEDA's client could not be made", "%v", err)
	}
	defer func() { _ = client.Close(ctx) }() // a share of a connection that is not used any more
	ctx, cancel := within(ctx, p.Limits.Call)
	defer cancel()
	return check(ctx, client)
}

func checkKEDAMetrics(ctx context.Context, p *probe, client KEDA) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	var seen []string
	for _, name := range names {
		raw, err := p.metrics(ctx, name, nil).get()
		if err != nil {
			return fail("GetMetrics failed", "%s: %s", name, describeError(err))
		}
		state, err := p.active(ctx, nil).get()
		if err != nil {
			return fail("IsActive failed", "%s", describeError(err))
		}
		values, active, err := client.Metrics(ctx, "s0-"+name)
		if err != nil {
			return fail("KEDA's client got an error where a plain call got none", "s0-%s: %v", name, err)
		}
		got := fmt.Sprintf("KEDA reads %v and %s", values, describeActivity(active))
		want := kedaNumber(raw.GetMetricValues()[0].GetMetricValueFloat(), raw.GetMetricValues()[0].GetMetricValue())
		if !p.Unsteady && (len(values) != 1 || !sameThousandths(values[0], want) || active != state.GetResult()) {
			return fail("KEDA got something else", "%s, a plain call %v and %s", got, want, describeActivity(state.GetResult()))
		}
		seen = append(seen, got)
	}
	return pass("%s", list(seen))
}

// sameForKEDA compares an answer with what KEDA made of it: names with the trigger's
// index, targets in thousandths.
func sameForKEDA(raw *externalscaler.GetMetricSpecResponse, specs []Spec) bool {
	return slices.EqualFunc(raw.GetMetricSpecs(), specs, func(a *externalscaler.MetricSpec, b Spec) bool {
		return "s0-"+a.GetMetricName() == b.Name && sameThousandths(kedaTarget(a), b.Target)
	})
}

// sameThousandths is whether two numbers are the same in thousandths, for all that a float keeps.
func sameThousandths(a, b float64) bool {
	return math.Abs(a-b) <= 0.0005+1e-12*math.Abs(a)
}

// checkKEDAPush judges the states that reached KEDA.
func checkKEDAPush(ctx context.Context, p *probe) Outcome {
	if p.KEDA == nil {
		return skip("%s", errNoKEDA)
	}
	o := p.observations[watchKEDA]
	o.wait(ctx)
	saw := o.seen()
	messages, length := saw.messages, saw.length
	if saw.ended != nil {
		return fail("KEDA's client could not be made", "%v", saw.ended)
	}
	if len(messages) == 0 {
		return fail("no state reached KEDA (with --verbose its client says why)", "nothing for %s", round(length))
	}
	if messages[0].at > p.Limits.Open {
		return fail(fmt.Sprintf("the first state came later than %s", p.Limits.Open), "after %s", round(messages[0].at))
	}
	if gap := longestWait(messages, length); gap > p.Limits.RepeatMax {
		return fail(fmt.Sprintf("while active, KEDA heard nothing for longer than %s", p.Limits.RepeatMax), "%s", round(gap))
	}
	return pass("%s after %s, %d messages in %s", describeActivity(messages[0].active), round(messages[0].at), len(messages), round(length))
}

// checkKEDASpecStream judges the specs that reached KEDA by push.
func checkKEDASpecStream(ctx context.Context, p *probe) Outcome {
	if p.KEDA == nil {
		return skip("%s", errNoKEDA)
	}
	o := p.observations[watchKEDASpecs]
	o.opening(ctx, p.Limits.Open)
	saw := o.seen()
	messages := saw.messages
	if saw.ended != nil {
		return fail("KEDA's client could not be made", "%v", saw.ended)
	}
	if len(messages) == 0 || messages[0].at > p.Limits.Open {
		return fail("no specs reached KEDA by the stream", "nothing for %s", p.Limits.Open)
	}
	raw, err := p.spec(ctx, nil).get()
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	last := messages[len(messages)-1]
	if !sameForKEDA(raw, last.keda) {
		return fail("KEDA got something else", "the scaler answers %s, KEDA reads %v", describeSpecs(raw), last.keda)
	}
	return pass("%v after %s", last.keda, round(messages[0].at))
}

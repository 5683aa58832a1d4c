// Package contract checks a scaler against the contract of KEDA's external scalers, over
// the network and from KEDA's side: it calls the five methods of
// externalscaler.ExternalScaler as KEDA does and judges the answers.
package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// KEDAVersion is the version whose client is used and whose sources the references name.
const KEDAVersion = "v2.21.0"

// Status is a check's outcome in one word.
type Status string

// The statuses. Skip is what could not be judged: an optional part that the scaler does
// not offer, a flag that was not given, or another check that did not pass.
const (
	Pass Status = "PASS"
	Fail Status = "FAIL"
	Skip Status = "SKIP"
)

// Check is one rule of the contract.
type Check struct {
	Name string
	Rule string // what a scaler must do
	Why  string // what KEDA does otherwise
	// Reference is where that is to be read: "path: symbol" in KEDA's module at
	// KEDAVersion, "k8s path: symbol" in k8s.io/kubernetes, or an issue "keda#number".
	Reference string

	needs   []string // checks without which this one tells nothing new
	watches []watch  // what has to be observed from the start of the run
	run     func(context.Context, *probe) Outcome
}

// Outcome is what a check found.
type Outcome struct {
	Status Status
	Seen   string // what was observed
	Reason string // why it failed or was skipped
}

// Result is a check with its outcome.
type Result struct {
	Check
	Outcome
	Took time.Duration
}

func pass(format string, args ...any) Outcome {
	return Outcome{Status: Pass, Seen: fmt.Sprintf(format, args...)}
}

func fail(reason, format string, args ...any) Outcome {
	return Outcome{Status: Fail, Reason: reason, Seen: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Outcome {
	return Outcome{Status: Skip, Reason: fmt.Sprintf(format, args...)}
}

// Checks returns all checks in the order in which they run. The last one ends the scaler.
func Checks() []Check {
	return slices.Concat(metricSpecChecks, metricsChecks, activityChecks, isolationChecks, errorChecks, latencyChecks, transportChecks,
		kedaChecks, pushChecks, specStreamChecks, concurrencyChecks, observedChecks, shutdownChecks)
}

// Run runs the checks that selected names, and tells report of each as it ends. The error
// is of the configuration or the connection: then nothing was judged. A context that ends
// leaves the rest of the checks skipped.
func Run(ctx context.Context, config Config, selected func(Check) bool, report func(Result)) ([]Result, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	p, err := newProbe(ctx, config)
	if err != nil {
		return nil, err
	}
	defer p.close()
	observing, stop := context.WithCancel(ctx)
	defer stop() // before close, which waits for them
	chosen := slices.DeleteFunc(Checks(), func(c Check) bool { return !selected(c) })
	for _, check := range chosen {
		for _, w := range check.watches {
			p.observe(observing, w)
		}
	}
	results := make([]Result, 0, len(chosen))
	for _, check := range chosen {
		began := time.Now()
		result := Result{Check: check, Outcome: p.judge(ctx, check), Took: time.Since(began)}
		p.outcomes[check.Name] = result.Outcome
		results = append(results, result)
		report(result)
	}
	return results, nil
}

// judge runs one check, unless what it needs did not pass.
func (p *probe) judge(ctx context.Context, check Check) Outcome {
	if ctx.Err() != nil {
		return skip("interrupted")
	}
	for _, need := range check.needs {
		if !p.passed(need) {
			return skip("tells nothing new: %s", p.describe(need))
		}
	}
	outcome := check.run(ctx, p)
	if ctx.Err() != nil {
		return skip("interrupted") // what was seen is of our own making
	}
	return outcome
}

// passed is whether a check passed, or was not selected.
func (p *probe) passed(name string) bool {
	outcome, ran := p.outcomes[name]
	return !ran || outcome.Status == Pass
}

func (p *probe) describe(name string) string {
	if p.outcomes[name].Status == Fail {
		return name + " failed"
	}
	return name + " was skipped"
}

// list joins what was seen, without repeats.
func list(seen []string) string {
	slices.Sort(seen)
	return strings.Join(slices.Compact(seen), ", ")
}

package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
)

// isolationChecks run before any other call for the dead backend: a scaler may remember
// that it is down.
var isolationChecks = []Check{{
	Name:      "latency.isolation",
	Rule:      "calls for a live backend are as quick while many wait for a dead one",
	Why:       "all ScaledObjects with one scalerAddress share one scaler and one connection: a single broken trigger would stop the others",
	Reference: "pkg/scalers/external_scaler.go: acquireConnection; keda#5914",
	needs:     []string{metricsAnswers},
	run:       checkIsolation,
}}

var latencyChecks = []Check{{
	Name:      "latency.unary",
	Rule:      "every unary call ends within 2 s (--max-latency), whatever the state of the backend, though KEDA sets no deadline",
	Why:       "KEDA's scale loop holds the lock of the ScaledObject while it waits, which activation by push needs too",
	Reference: "pkg/scaling/scale_handler.go: scalingMutex; pkg/scalers/external_scaler.go: GetMetricsAndActivity",
	needs:     []string{specAnswers},
	run:       checkLatency,
}}

// slowest is the longest call so far.
type slowest struct {
	mu   sync.Mutex
	what string
	took time.Duration
	err  error
}

func (s *slowest) add(what string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if took > s.took {
		s.what, s.took, s.err = what, took, err
	}
}

// outcome judges the longest call; where tells what went on meanwhile.
func (s *slowest) outcome(p *probe, where string) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := fmt.Sprintf("slowest: %s, %s%s", s.what, round(s.took), where)
	switch {
	case errors.Is(s.err, errNoAnswer):
		return fail(fmt.Sprintf("it was given up after %s: bound each handler by a deadline of its own", p.Limits.Call), "%s", seen)
	case s.took > p.Limits.MaxLatency:
		return fail(fmt.Sprintf("that is longer than %s: bound each handler by a deadline of its own", p.Limits.MaxLatency), "%s", seen)
	}
	return pass("%s", seen)
}

// checkLatency judges every unary call that was made so far, and one more of each kind.
func checkLatency(ctx context.Context, p *probe) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return skip("there is no metric to ask for")
	}
	states := []map[string]string{nil}
	if p.DeadBackend != nil {
		states = append(states, p.DeadBackend)
	}
	for _, broken := range p.Broken {
		states = append(states, map[string]string{broken.Key: broken.Value})
	}
	for _, changes := range states {
		p.spec(ctx, changes)
		p.active(ctx, changes)
		for _, name := range names {
			p.metrics(ctx, name, changes)
		}
	}
	return p.unary.outcome(p, "")
}

// waiting is how many calls wait for the dead backend in checkIsolation.
const waiting = 32

func checkIsolation(ctx context.Context, p *probe) Outcome {
	if p.DeadBackend == nil {
		return skip("%s", noDeadBackend)
	}
	names, err := p.names(ctx)
	if err != nil {
		return skip("there is no metric to ask for")
	}
	dead := make(chan answer[*externalscaler.GetMetricsResponse], waiting)
	request := func(changes map[string]string) *externalscaler.GetMetricsRequest {
		return &externalscaler.GetMetricsRequest{ScaledObjectRef: p.ref(changes), MetricName: names[0]}
	}
	for range waiting {
		go func() { dead <- call(ctx, p.Limits.Call, p.scaler.GetMetrics, request(p.DeadBackend)) }()
	}
	// Not timed for latency.unary: what holds these up is for this check.
	var worst slowest
	for range 10 {
		metrics := call(ctx, p.Limits.Call, p.scaler.GetMetrics, request(nil))
		worst.add("GetMetrics", metrics.took, metrics.err)
		active := call(ctx, p.Limits.Call, p.scaler.IsActive, p.ref(nil))
		worst.add("IsActive", active.took, active.err)
	}
	fastest := <-dead
	for range waiting - 1 {
		if one := <-dead; one.took < fastest.took {
			fastest = one
		}
	}
	// That they hold each other up is no fault, but that even the fastest is slow is one.
	p.unary.add("GetMetrics with a dead backend", fastest.took, fastest.err)
	outcome := worst.outcome(p, fmt.Sprintf(" beside %d calls for the dead backend", waiting))
	if outcome.Status == Fail {
		outcome.Reason = "calls for the dead backend hold it up: is a lock held while waiting for it?"
	}
	return outcome
}

// round makes a duration readable.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}

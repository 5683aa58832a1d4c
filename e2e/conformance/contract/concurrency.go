package contract

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/protobuf/proto"
)

var concurrencyChecks = []Check{
	{
		Name:      "concurrency.calls",
		Rule:      "64 callers (--callers) of all five methods at once get the answers that one gets",
		Why:       "KEDA calls for all ScaledObjects at once, and for the triggers of one in parallel",
		Reference: "pkg/scaling/scale_handler.go: GetScaledObjectMetrics",
		needs:     []string{specAnswers},
		run:       checkCalls,
	},
	{
		Name:      "concurrency.streams",
		Rule:      "100 streams (--streams) on one connection all send their state, and the unary calls still answer meanwhile",
		Why:       "KEDA has one connection for each address, and two streams on it for each ScaledObject: a limit on streams stops the calls too",
		Reference: "pkg/scalers/external_scaler.go: acquireConnection",
		needs:     []string{specAnswers, pushOpens, pushReopens},
		run:       checkStreams,
	},
}

// expected are the answers that a single caller gets; nil where there is nothing to
// compare with, because another check has failed.
type expected struct {
	names   []string
	spec    *externalscaler.GetMetricSpecResponse
	metrics map[string]*externalscaler.GetMetricsResponse
	active  *externalscaler.IsActiveResponse
}

func (p *probe) expect(ctx context.Context) (expected, error) {
	e := expected{metrics: map[string]*externalscaler.GetMetricsResponse{}}
	names, err := p.names(ctx)
	if err != nil {
		return e, err
	}
	e.names = names
	if p.passed("metric-spec.stable") {
		e.spec = p.spec(ctx, nil).value
	}
	if p.passed(metricsRepeatable) && p.passed(metricsAnswers) && !p.Unsteady {
		for _, name := range names {
			e.metrics[name] = p.metrics(ctx, name, nil).value
		}
	}
	if p.passed(activityRepeatable) && p.passed(activityAnswers) && !p.Unsteady {
		e.active = p.active(ctx, nil).value
	}
	return e, nil
}

// kinds are the calls of one caller; each returns what is wrong with its answer.
func (p *probe) kinds(e expected) []func(context.Context) string {
	kinds := []func(context.Context) string{func(ctx context.Context) string {
		response, err := p.spec(ctx, nil).get()
		return differs("GetMetricSpec", err, e.spec == nil || sameSpecs(e.spec, response), describeSpecs(response))
	}}
	if p.passed(metricsAnswers) {
		for _, name := range e.names {
			kinds = append(kinds, func(ctx context.Context) string {
				response, err := p.metrics(ctx, name, nil).get()
				return differs("GetMetrics", err, e.metrics[name] == nil || proto.Equal(e.metrics[name], response), describeValues(response))
			})
		}
	}
	if p.passed(activityAnswers) {
		kinds = append(kinds, func(ctx context.Context) string {
			response, err := p.active(ctx, nil).get()
			return differs("IsActive", err, e.active == nil || proto.Equal(e.active, response), describeActivity(response.GetResult()))
		})
	}
	if p.passed(pushOpens) && p.passed(pushReopens) {
		kinds = append(kinds, func(ctx context.Context) string {
			err := call(ctx, p.Limits.Call, first(p.scaler.StreamIsActive), p.ref(nil)).err
			return differs("StreamIsActive", err, true, "")
		})
	}
	if p.passed(specStreamOpens) {
		kinds = append(kinds, func(ctx context.Context) string {
			err := call(ctx, p.Limits.Call, first(p.scaler.StreamMetricSpec), p.ref(nil)).err
			return differs("StreamMetricSpec", err, true, "")
		})
	}
	return kinds
}

func differs(method string, err error, same bool, seen string) string {
	switch {
	case unimplemented(err): // whether it may be is for another check
		return ""
	case err != nil:
		return method + ": " + describeError(err)
	case !same:
		return method + " answered otherwise: " + seen
	}
	return ""
}

func checkCalls(ctx context.Context, p *probe) Outcome {
	e, err := p.expect(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	kinds := p.kinds(e)
	wrong := make(chan string, p.Limits.Callers*len(kinds))
	var callers sync.WaitGroup
	began := time.Now()
	for i := range p.Limits.Callers {
		callers.Go(func() {
			for j := range kinds {
				if seen := kinds[(i+j)%len(kinds)](ctx); seen != "" {
					wrong <- seen
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	if n := len(wrong); n > 0 {
		return fail(fmt.Sprintf("%d of %d calls failed or were answered otherwise than one alone", n, cap(wrong)), "%s", <-wrong)
	}
	return pass("%d calls of %d kinds by %d callers in %s", cap(wrong), len(kinds), p.Limits.Callers, round(took))
}

func checkStreams(ctx context.Context, p *probe) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	held, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel() // before the wait
	opened := make([]*observation, p.Limits.Streams)
	for i := range opened {
		opened[i] = newObservation()
		streams.Go(func() { record(held, opened[i], p.Limits.Call*2, p.ref(nil), p.scaler.StreamIsActive, readActive) })
	}
	deadline := time.After(p.Limits.MaxLatency)
	for i, o := range opened {
		select {
		case <-o.first:
			saw := o.seen()
			if unimplemented(saw.ended) {
				return skip(noPush)
			}
			if len(saw.messages) == 0 {
				return fail("a stream ended before its first message", "%s", describeEnd(saw.ended))
			}
		case <-deadline:
			return fail(fmt.Sprintf("not all of %d streams sent their state within %s: is MaxConcurrentStreams too low?", p.Limits.Streams, p.Limits.MaxLatency), "the first %d did", i)
		}
	}
	var worst slowest
	spec := p.spec(ctx, nil)
	worst.add("GetMetricSpec", spec.took, spec.err)
	metrics := p.metrics(ctx, names[0], nil)
	worst.add("GetMetrics", metrics.took, metrics.err)
	active := p.active(ctx, nil)
	worst.add("IsActive", active.took, active.err)
	return worst.outcome(p, fmt.Sprintf(" beside %d streams", p.Limits.Streams))
}

package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var errorChecks = []Check{
	{
		Name:      "errors.dead-backend",
		Rule:      "GetMetrics and IsActive are errors while the backend is down, never 0 or inactive",
		Why:       "0 scales in and takes work away from a queue that nobody can see; an error holds the replicas, or starts the fallback",
		Reference: "pkg/fallback/fallback.go: GetMetricsWithFallback; pkg/scaling/executor/scale_scaledobjects.go: TriggerError",
		needs:     []string{metricsAnswers},
		run:       checkDeadBackend,
	},
	{
		Name:      "errors.broken-metadata",
		Rule:      "for metadata that is wrong, GetMetrics and IsActive are errors that say so (InvalidArgument or the like): not a default, and no failure that may pass",
		Why:       "a misspelt key that means its default reads a wrong queue as empty for ever; an error is shown in the ScaledObject's conditions and events",
		Reference: "pkg/scaling/scale_handler.go: KEDAScalerFailed",
		needs:     []string{metricsAnswers},
		run:       checkBrokenMetadata,
	},
	{
		Name:      "errors.code",
		Rule:      "each error has a gRPC code of its own, not Unknown",
		Why:       "Unknown is what a plain error becomes: nobody who reads KEDA's log, or counts calls by code, can tell a wrong trigger from a server that is down",
		Reference: "pkg/metricscollector/grpc_interceptor.go: GRPCClientDialOptions",
		needs:     []string{specAnswers},
		run:       checkCodes,
	},
}

// failing are the calls that should have failed, with how they did.
type failing struct {
	what string
	err  error
	seen string // of an answer
}

// fails makes the calls of one metric with changed metadata.
func (p *probe) fails(ctx context.Context, what, name string, changes map[string]string) []failing {
	metrics := p.metrics(ctx, name, changes)
	active := p.active(ctx, changes)
	return []failing{
		{"GetMetrics with " + what, metrics.err, describeValues(metrics.value)},
		{"IsActive with " + what, active.err, describeActivity(active.value.GetResult())},
	}
}

func (f failing) String() string {
	if f.err == nil {
		return f.what + ": " + f.seen
	}
	return f.what + ": " + describeError(f.err)
}

func checkDeadBackend(ctx context.Context, p *probe) Outcome {
	if p.DeadBackend == nil {
		return skip("%s", noDeadBackend)
	}
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	var seen []string
	for _, name := range names {
		for _, f := range p.fails(ctx, "a dead backend", name, p.DeadBackend) {
			switch {
			case f.err == nil:
				return fail("it was answered as if the backend were known: answer with an error", "%s", f)
			case errors.Is(f.err, errNoAnswer):
				return fail("it was not answered at all", "%s", f)
			}
			seen = append(seen, status.Code(f.err).String())
		}
	}
	return pass("%s", list(seen))
}

// passing are codes of a failure that may pass by itself: a caller would try again.
var passing = []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.ResourceExhausted, codes.Aborted, codes.Canceled, codes.Unimplemented}

func checkBrokenMetadata(ctx context.Context, p *probe) Outcome {
	if len(p.Broken) == 0 {
		return skip("not judged: no metadata that must be refused was given (--broken-metadata)")
	}
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	var seen []string
	for _, broken := range p.Broken {
		what := broken.Key + "=" + broken.Value
		changes := map[string]string{broken.Key: broken.Value}
		// GetMetricSpec may answer: it can't see what is wrong at the backend.
		for _, f := range p.fails(ctx, what, names[0], changes) {
			switch {
			case f.err == nil:
				return fail("it was answered as if the metadata were right", "%s", f)
			case errors.Is(f.err, errNoAnswer):
				return fail("it was not answered at all", "%s", f)
			case slices.Contains(passing, status.Code(f.err)):
				return fail("its code is for failures that may pass by themselves: use InvalidArgument", "%s", f)
			}
			seen = append(seen, status.Code(f.err).String())
		}
	}
	return pass("%d times refused: %s", len(p.Broken), list(seen))
}

// checkCodes looks at every error that can be provoked. Whether there is one at all is
// for the other checks.
func checkCodes(ctx context.Context, p *probe) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return skip("there is no metric to ask for")
	}
	calls := []failing{{what: "GetMetrics for an unknown name", err: p.metrics(ctx, unknownName, nil).err}}
	if p.DeadBackend != nil {
		calls = append(calls, p.fails(ctx, "a dead backend", names[0], p.DeadBackend)...)
	}
	for _, broken := range p.Broken {
		what, changes := broken.Key+"="+broken.Value, map[string]string{broken.Key: broken.Value}
		calls = append(calls, p.fails(ctx, what, names[0], changes)...)
		calls = append(calls, failing{what: "GetMetricSpec with " + what, err: p.spec(ctx, changes).err})
	}
	var seen []string
	for _, f := range calls {
		if f.err == nil || errors.Is(f.err, errNoAnswer) {
			continue
		}
		if status.Code(f.err) == codes.Unknown {
			return fail("the error has no code: make it with status.Error", "%s", f)
		}
		seen = append(seen, status.Code(f.err).String())
	}
	if len(seen) == 0 {
		return skip("no error could be provoked")
	}
	return pass("%d errors: %s", len(seen), strings.TrimSpace(fmt.Sprint(list(seen))))
}

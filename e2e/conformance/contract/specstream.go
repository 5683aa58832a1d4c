package contract

import (
	"context"
	"errors"
	"io"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
)

const (
	specStreamOpens     = "spec-stream.opens"
	specStreamEquals    = "spec-stream.equals"
	specStreamStaysOpen = "spec-stream.stays-open"

	noSpecStream = "optional, and not offered"
)

var specStreamChecks = []Check{
	{
		Name:      specStreamOpens,
		Rule:      "optional: StreamMetricSpec sends the specs within 1 s (--open-time) of opening",
		Why:       "KEDA opens it anew after each break; a change that came meanwhile reaches it with the first message alone",
		Reference: "pkg/scalers/externalscaler/externalscaler.proto: Send the current metric specs immediately when the stream is",
		watches:   []watch{watchSpec},
		run: func(ctx context.Context, p *probe) Outcome {
			return p.opens(ctx, watchSpec, noSpecStream, func(m message) string { return describeSpecs(m.specs) })
		},
	},
	{
		Name:      specStreamEquals,
		Rule:      "optional: GetMetricSpec equals what StreamMetricSpec sent last",
		Why:       "KEDA goes back to GetMetricSpec whenever it builds the trigger anew: the HPA's target would jump back and forth",
		Reference: "pkg/scalers/externalscaler/externalscaler.proto: Keep GetMetricSpec returning the same current values",
		needs:     []string{specStreamOpens, "metric-spec.stable"},
		watches:   []watch{watchSpec},
		run:       checkSpecStreamEquals,
	},
	{
		Name:      "keda.spec-stream",
		Rule:      "optional: the specs reach KEDA through its own client",
		Why:       "what it makes of the stream is what the HPA gets",
		Reference: "pkg/scalers/external_scaler.go: streamMetricSpecOnce",
		needs:     []string{specStreamOpens, specStreamEquals, "metric-spec.target"},
		watches:   []watch{watchKEDASpecs},
		run:       checkKEDASpecStream,
	},
}

var specStaysOpenCheck = Check{
	Name:      specStreamStaysOpen,
	Rule:      "optional: StreamMetricSpec does not end by itself",
	Why:       "KEDA waits before it opens it again, up to a minute; a change that falls into that time comes late",
	Reference: "pkg/scalers/external_scaler.go: runStreamMetricSpec",
	needs:     []string{specStreamOpens},
	watches:   []watch{watchSpec},
	run:       func(ctx context.Context, p *probe) Outcome { return p.staysOpen(ctx, watchSpec, noSpecStream) },
}

var specQuietCheck = Check{
	Name:      "spec-stream.quiet",
	Rule:      "optional: StreamMetricSpec sends changes, and repeats itself at most every 5 s (--repeat-min)",
	Why:       "each message makes KEDA reconcile the ScaledObject, changed or not, and it does five at a time",
	Reference: "pkg/scaling/scale_handler.go: watchMetricSpecUpdates",
	needs:     []string{specStreamOpens, specStreamStaysOpen},
	watches:   []watch{watchSpec},
	run: func(ctx context.Context, p *probe) Outcome {
		return p.quiet(ctx, watchSpec, noSpecStream, func(a, b message) bool { return sameSpecs(a.specs, b.specs) })
	},
}

func checkSpecStreamEquals(ctx context.Context, p *probe) Outcome {
	messages := p.observations[watchSpec].seen().messages
	switch {
	case unimplemented(p.observations[watchSpec].seen().ended):
		return skip(noSpecStream)
	case len(messages) == 0:
		return skip("the stream has sent nothing")
	}
	response, err := p.spec(ctx, nil).get()
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	last := messages[len(messages)-1].specs
	if !sameSpecs(last, response) {
		return fail("they differ", "the stream: %s; GetMetricSpec: %s", describeSpecs(last), describeSpecs(response))
	}
	return pass("%s, both", describeSpecs(response))
}

func readActive(m *externalscaler.IsActiveResponse) message { return message{active: m.GetResult()} }

func readSpecs(m *externalscaler.GetMetricSpecResponse) message { return message{specs: m} }

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// describeEnd is how a stream ended.
func describeEnd(err error) string {
	if isEOF(err) {
		return "without an error"
	}
	return describeError(err)
}

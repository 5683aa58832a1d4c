package delivery

import (
	"context"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// scope names the instrumentation.
const scope = "github.com/jawaracloud/pubsub-operator/cmd/subscriber"

// w3c is the trace in a stream's entry and in a request: traceparent and tracestate (W3C Trace Context).
var w3c = propagation.TraceContext{}

// origin reads the trace from fields: those of CloudEvents' distributed tracing extension, else of the plain names.
type origin map[string]any

func (o origin) Get(name string) string {
	for _, field := range []string{attributePrefix + name, name} {
		if value, ok := o[field].(string); ok {
			return value
		}
	}
	return ""
}

// Set implements propagation.TextMapCarrier. Entries are never changed.
func (origin) Set(string, string) {}

// Keys implements propagation.TextMapCarrier; the W3C's format does not ask.
func (origin) Keys() []string { return nil }

// Origin is where a message was published, if a field of a stream's entry says so; else it is not valid.
func Origin(m source.Message) trace.SpanContext {
	fields := m.Fields()
	if fields == nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), origin(fields)))
}

// posting begins the span of a request to the handler, if the message has one.
func (d *Deliverer) posting(ctx context.Context) (_ context.Context, end func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, http.MethodPost, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", http.MethodPost), attribute.String("server.address", d.HandlerURL.Hostname()), attribute.String("url.full", withoutSecrets(d.HandlerURL))))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, WithoutAnswer(err))
		}
		span.End()
	}
}

// withoutSecrets is a handler's URL without what may be secret, for all who are told of it: a token may
// be in the query.
func withoutSecrets(of *url.URL) string {
	told := *of
	told.User, told.RawQuery, told.Fragment = nil, "", ""
	return told.String()
}

// propagate tells the handler of the trace: this worker's, or if it traces nothing, that of the publisher.
func propagate(ctx context.Context, header http.Header, m source.Message) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		origin := Origin(m) //nolint:contextcheck // it reads a header, and waits for nothing
		if !origin.IsValid() {
			return
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, origin)
	}
	w3c.Inject(ctx, propagation.HeaderCarrier(header))
}

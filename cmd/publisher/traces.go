package main

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// entry takes a trace as fields of a stream's entry: traceparent and tracestate, the names of the W3C's
// headers, from which workers go on.
type entry struct{ message }

// Set implements propagation.TextMapCarrier. A field that --field gives stays as it is.
func (e *entry) Set(name, value string) {
	if slices.Contains(e.fields, any(name)) {
		return
	}
	e.fields = append(e.fields, name, value)
}

// Get implements propagation.TextMapCarrier; nothing is read.
func (*entry) Get(string) string { return "" }

// Keys implements propagation.TextMapCarrier; nothing is read.
func (*entry) Keys() []string { return nil }

// traced begins the message's span, which lasts until it is known what became of it. Only a stream's entry has
// room for the trace.
func (p *publisher) traced(ctx context.Context, m message, to destination) message {
	if p.tracer == nil {
		return m
	}
	ctx, m.span = p.tracer.Start(ctx, "publish "+to.key, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "redis"), attribute.String("messaging.destination.name", to.key),
		attribute.String("messaging.operation.type", "send"), attribute.Int("messaging.message.body.size", len(m.payload))))
	if to.kind != kindStream {
		return m
	}
	e := &entry{m}
	propagation.TraceContext{}.Inject(ctx, e)
	return e.message
}

// ended ends the message's span, if it has one.
func (m message) ended(err error) {
	if m.span == nil {
		return
	}
	if err != nil {
		m.span.SetStatus(codes.Error, err.Error())
	}
	m.span.End()
}

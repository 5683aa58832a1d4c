package sampling

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Reads are shared, so they belong to no call. But if somebody who is traced waits for a read, it is part
// of that trace, with links to the others'. A read for which nobody waits, as most, has no span. Without
// traces none of this costs an allocation.

// scope names the instrumentation.
const scope = "github.com/jawaracloud/pubsub-operator/scaler/sampling"

// waits notes that the call of ctx waits for the next read of w. The mutex is held.
func (s *sampler) waits(ctx context.Context, w *watched) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if s.waiting == nil {
		s.waiting = map[*watched][]trace.Span{}
	}
	s.waiting[w] = append(s.waiting[w], span)
}

// takeWaiting returns the spans that wait for a batch, and forgets them.
func (s *sampler) takeWaiting(b batch) (spans []trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	for _, w := range b.watched {
		spans = append(spans, s.waiting[w]...)
		delete(s.waiting, w)
	}
	return spans
}

// traced is the context of a read, in the trace of those who wait for it. The failure ends it.
func (l *lane) traced(ctx context.Context, b batch) (_ context.Context, end func(failure error)) {
	spans := l.sampler.takeWaiting(b)
	if len(spans) == 0 {
		return ctx, func(error) {}
	}
	var links []trace.Link
	for _, other := range spans[1:] {
		links = append(links, trace.Link{SpanContext: other.SpanContext()})
	}
	ctx, span := spans[0].TracerProvider().Tracer(scope).Start(trace.ContextWithSpan(ctx, spans[0]), "read server",
		trace.WithLinks(links...), trace.WithSpanKind(trace.SpanKindInternal),
		trace.WithAttributes(attribute.String("server.address", l.sampler.server.Address), attribute.String("pubsub.node", l.address), attribute.Int("pubsub.queues", len(b.watched))))
	return ctx, func(failure error) {
		if failure != nil {
			span.SetStatus(codes.Error, failure.Error())
		}
		span.End()
	}
}

// tracedRound is the context of one pipeline of a read that is traced.
func tracedRound(ctx context.Context, commands int) (_ context.Context, end func(failure error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, "pipeline", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "redis"), attribute.Int("db.operation.batch.size", commands)))
	return ctx, func(failure error) {
		if failure != nil {
			span.SetStatus(codes.Error, failure.Error())
		}
		span.End()
	}
}

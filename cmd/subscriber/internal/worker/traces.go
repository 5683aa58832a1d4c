package worker

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// The spans of a message are those of OpenTelemetry's conventions for messaging
// (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/): one receive for a batch,
// with a link to each message's trace, and one process for each message, in the trace of who published it.

func about(key string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "redis"),
		attribute.String("messaging.destination.name", key),
	}
}

// received is a context with the span of the batch, which has ended: what is done with the messages
// has spans of its own.
func (l *lane) received(ctx context.Context, batch []source.Message) context.Context {
	if l.Tracer == nil {
		return ctx
	}
	var links []trace.Link
	for _, m := range batch {
		if origin := delivery.Origin(m); origin.IsValid() {
			links = append(links, trace.Link{SpanContext: origin})
		}
	}
	ctx, span := l.Tracer.Start(ctx, "receive "+l.queue.Key, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...),
		trace.WithAttributes(append(about(l.queue.Key), attribute.String("messaging.operation.type", "receive"), attribute.Int("messaging.batch.message_count", len(batch)))...))
	span.End()
	return ctx
}

// processing begins the span of the work on a message: in the trace of its publisher, if it names one, else in the
// batch's. The error is that of the work.
func (l *lane) processing(ctx context.Context, m source.Message) (_ context.Context, end func(error)) {
	if l.Tracer == nil {
		return ctx, func(error) {}
	}
	var links []trace.Link
	if origin := delivery.Origin(m); origin.IsValid() {
		links = append(links, trace.LinkFromContext(ctx)) // to the batch
		ctx = trace.ContextWithRemoteSpanContext(ctx, origin)
	}
	ctx, span := l.Tracer.Start(ctx, "process "+l.queue.Key, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...),
		trace.WithAttributes(append(about(l.queue.Key), attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.message.id", m.ID), attribute.Int("messaging.message.body.size", len(m.Payload)), attribute.Int64("pubsub.message.deliveries", m.Deliveries))...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, delivery.WithoutAnswer(err))
		}
		span.End()
	}
}

package scaler

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// A call has a span if the server was made with a handler that begins one (NewServer). What
// follows adds to it; without one it costs no allocation.

// scope names the instrumentation.
const scope = "github.com/jawaracloud/pubsub-operator/scaler"

// tracedRead is the context of reading the request's queues.
func tracedRead(ctx context.Context, r *request) (_ context.Context, end func(reading, error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(reading, error) {}
	}
	keys := make([]string, len(r.queues))
	for i, q := range r.queues {
		keys[i] = r.told(q.Key)
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, "sample queues", trace.WithAttributes(
		attribute.String("server.address", r.told(r.server.Address)),
		attribute.String("messaging.destination.name", strings.Join(keys, ","))))
	return ctx, func(read reading, err error) {
		defer span.End()
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
			return
		}
		span.SetAttributes(attribute.Int64("pubsub.queue.depth", read.depth()), attribute.Int64("pubsub.queue.in_flight", read.inFlight),
			attribute.String("pubsub.sample.at", read.at.UTC().Format("2006-01-02T15:04:05.000Z07:00")))
	}
}

// traceDecision tells the call's span what was decided.
func traceDecision(ctx context.Context, r *request, e evaluation) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("k8s.namespace.name", r.namespace), attribute.String("pubsub.scaled_object.name", r.name),
		attribute.Int64("pubsub.replicas", int64(e.Target.Replicas)), attribute.Int64("pubsub.desired_replicas", int64(e.Decision.Desired)),
		attribute.String("pubsub.decision.reason", string(e.Decision.Reason)))
}

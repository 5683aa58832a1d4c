package translator

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// scope names the instrumentation.
const scope = "github.com/jawaracloud/pubsub-operator/translator"

// Reconcile brings one channel's children and status up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	ctx, end := began(ctx, r.tracer, "reconcile", request.NamespacedName)
	result, err := r.reconcile(ctx, request)
	end(err)
	return result, err
}

// began begins a trace about a channel, unless the tracer is nil.
func began(ctx context.Context, tracer trace.Tracer, what string, channel types.NamespacedName) (_ context.Context, end func(error)) {
	if tracer == nil {
		return ctx, func(error) {}
	}
	ctx, span := tracer.Start(ctx, what, trace.WithAttributes(
		attribute.String("k8s.namespace.name", channel.Namespace), attribute.String("pubsub.channel.name", channel.Name)))
	return ctx, ending(span)
}

// traced begins a part of the trace of ctx, if there is one.
func traced(ctx context.Context, what string) (_ context.Context, end func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, what)
	return ctx, ending(span)
}

func ending(span trace.Span) func(error) {
	return func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Package tracing sends the traces of a program by OpenTelemetry's protocol, if the standard
// variables ask for it (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// By default they do not.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout bounds how long a program that ends waits for its last spans to be sent. With what a
// worker does before, it stays within a pod's grace period, messageTimeout + 5 s.
const flushTimeout = 2 * time.Second

// scope names the instrumentation.
const scope = "github.com/jawaracloud/pubsub-operator"

// Traces are those of a program. All methods may be called on nil, which traces nothing.
type Traces struct{ provider *sdktrace.TracerProvider }

// Start returns nil if no traces are asked for. Its errors name the variable, its value and the remedy.
// program is the service's name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES have another;
// version is what --version prints. The exporter and the sampler read their own variables.
func Start(ctx context.Context, program, version string, logger *slog.Logger) (*Traces, error) {
	s, err := settingsOf(os.Getenv)
	if err != nil || !s.on {
		return nil, err
	}
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
	otel.SetErrorHandler(&quietErrors{log: logger, now: time.Now})
	exporter, err := s.exporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing to send traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", program), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithFromEnv(), // which wins
	)
	if err != nil {
		return nil, fmt.Errorf("%s is wrong: write it as name=value,name=value: %w", envResource, err)
	}
	logger.Info("traces are sent", "protocol", s.protocol, "endpoint", s.endpointForPeople())
	return &Traces{provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))}, nil
}

func (s settings) exporter(ctx context.Context) (*otlptrace.Exporter, error) {
	if s.protocol == grpcProtocol {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func (s settings) endpointForPeople() string {
	parsed, err := url.Parse(s.endpoint)
	if s.endpoint == "" || err != nil {
		return "the exporter's default"
	}
	return parsed.Redacted()
}

// Tracer begins traces; nil where none are asked for.
func (t *Traces) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer(scope)
}

// Stop sends what has not been sent yet, within flushTimeout. ctx may have ended.
func (t *Traces) Stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(fmt.Errorf("the last traces were not sent: %w", err))
	}
}

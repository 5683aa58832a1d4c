package tracing

import (
	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ServerOptions trace the calls that a server answers.
func (t *Traces) ServerOptions() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(t.options()...))}
}

// DialOptions trace the calls that a client makes, and tell the server of the trace.
func (t *Traces) DialOptions() []grpc.DialOption {
	if t == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(t.options()...))}
}

// options leave out streams, which last for days, and would be one span that never ends, and the
// probes of health.
func (t *Traces) options() []otelgrpc.Option {
	unary := map[string]bool{}
	for _, service := range []grpc.ServiceDesc{externalscaler.ExternalScaler_ServiceDesc, inspectv1.Inspector_ServiceDesc} {
		for _, method := range service.Methods {
			unary["/"+service.ServiceName+"/"+method.MethodName] = true
		}
	}
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.provider),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithFilter(func(call *stats.RPCTagInfo) bool { return unary[call.FullMethodName] }),
	}
}

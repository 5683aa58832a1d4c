package contract

import (
	"context"
	"fmt"
	"strings"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

var transportChecks = []Check{
	{
		Name:      "transport.client-certificate",
		Rule:      "where client certificates are used, a client without one is refused",
		Why:       "a scaler tells what it reads with its credentials to whoever asks, so KEDA's tlsClientCert must be what lets it in",
		Reference: "pkg/scalers/external_scaler.go: TLSClientCert",
		run:       checkClientCertificate,
	},
	{
		Name:      "transport.health",
		Rule:      "optional: the gRPC health service says SERVING",
		Why:       "Kubernetes can probe it (grpc probes), so that KEDA never calls a scaler that is not ready",
		Reference: "k8s pkg/probe/grpc/grpc.go: Probe",
		run: func(ctx context.Context, p *probe) Outcome {
			response, err := call(ctx, p.Limits.Call, healthpb.NewHealthClient(p.connection).Check, &healthpb.HealthCheckRequest{}).get()
			switch {
			case unimplemented(err):
				return skip("optional, and not offered")
			case err != nil:
				return fail("the health service failed", "%s", describeError(err))
			case response.GetStatus() != healthpb.HealthCheckResponse_SERVING:
				return fail("it answers calls, but says that it does not", "%s", response.GetStatus())
			}
			return pass("%s", response.GetStatus())
		},
	},
	{
		Name:      "transport.reflection",
		Rule:      "optional: gRPC reflection lists externalscaler.ExternalScaler",
		Why:       "grpcurl can then ask a scaler what KEDA asks it, without the proto file",
		Reference: "pkg/scalers/externalscaler/externalscaler.proto: service ExternalScaler",
		run:       checkReflection,
	},
}

func checkClientCertificate(ctx context.Context, p *probe) Outcome {
	if p.TLS == nil || p.TLS.Certificate == "" {
		return skip("not judged: no client certificate is used (--tls-cert)")
	}
	connection, err := dial(p.Config, &TLS{CA: p.TLS.CA})
	if err != nil {
		return fail("a connection without a client certificate could not be tried", "%v", err)
	}
	defer func() { _ = connection.Close() }() // nothing is in flight
	_, err = call(ctx, p.Limits.Call, externalscaler.NewExternalScalerClient(connection).GetMetricSpec, p.ref(nil)).get()
	if err == nil {
		return fail("it was answered", "an answer to a client without a certificate")
	}
	return pass("%s", describeError(err))
}

func checkReflection(ctx context.Context, p *probe) Outcome {
	listing := call(ctx, p.Limits.Call, func(ctx context.Context, request *reflectionpb.ServerReflectionRequest, _ ...grpc.CallOption) (*reflectionpb.ServerReflectionResponse, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := reflectionpb.NewServerReflectionClient(p.connection).ServerReflectionInfo(ctx)
		if err != nil {
			return nil, err
		}
		if err := stream.Send(request); err != nil {
			return nil, fmt.Errorf("asking for the services: %w", err)
		}
		return stream.Recv()
	}, &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	switch {
	case unimplemented(listing.err):
		return skip("optional, and not offered")
	case listing.err != nil:
		return fail("reflection failed", "%s", describeError(listing.err))
	}
	var names []string
	for _, service := range listing.value.GetListServicesResponse().GetService() {
		if service.GetName() == externalscaler.ExternalScaler_ServiceDesc.ServiceName {
			return pass("%s", service.GetName())
		}
		names = append(names, service.GetName())
	}
	return fail("the service is not listed", "%d services: %s", len(names), strings.Join(names, ", "))
}

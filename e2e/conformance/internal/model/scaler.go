// Package model is a small external scaler that keeps the contract, and a table of ways to
// break it: what the suite's own tests run the suite against.
package model

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

const (
	metricName = "depth"
	target     = 5
	value      = 12.5

	// interval is how often an active state is repeated.
	interval = 250 * time.Millisecond
)

// Limits are the contract's, for a scaler that is as quick as this one.
func Limits() contract.Limits {
	return contract.Limits{
		Call:       3 * time.Second,
		MaxLatency: time.Second,
		Open:       time.Second,
		Stream:     1500 * time.Millisecond,
		RepeatMin:  100 * time.Millisecond,
		RepeatMax:  1200 * time.Millisecond,
		Shutdown:   time.Second,
		Callers:    32,
		Streams:    60,
	}
}

type (
	ref         = *externalscaler.ScaledObjectRef
	stateStream = grpc.ServerStreamingServer[externalscaler.IsActiveResponse]
	specStream  = grpc.ServerStreamingServer[externalscaler.GetMetricSpecResponse]
)

// Scaler answers by functions, so that a fault replaces or wraps one of them. Its metadata
// has the keys queue, which is required, and backend, which is up or down.
type Scaler struct {
	externalscaler.UnimplementedExternalScalerServer

	Spec       func(context.Context, ref) (*externalscaler.GetMetricSpecResponse, error)
	Metrics    func(context.Context, *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error)
	Active     func(context.Context, ref) (bool, error)
	PushActive func(ref, stateStream) error
	PushSpec   func(ref, specStream) error

	Options    []grpc.ServerOption
	TLS        *tls.Config // nil: plaintext
	Health     healthpb.HealthCheckResponse_ServingStatus
	Reflection func(*grpc.Server) // nil: none
	Shutdown   func(*Scaler)

	grpc     *grpc.Server
	stopping chan struct{}
	stopOnce sync.Once
}

// New returns a scaler that keeps the contract.
func New() *Scaler {
	s := &Scaler{
		Health:     healthpb.HealthCheckResponse_SERVING,
		Reflection: func(server *grpc.Server) { reflection.Register(server) },
		Shutdown:   func(s *Scaler) { s.endStreams(); s.grpc.GracefulStop() },
		stopping:   make(chan struct{}),
	}
	s.Spec, s.Metrics, s.Active, s.PushActive, s.PushSpec = s.spec, s.metrics, s.active, s.pushActive, s.pushSpec
	return s
}

func (s *Scaler) endStreams() { s.stopOnce.Do(func() { close(s.stopping) }) }

// Start serves on a free port of the loopback interface until stop is called.
func (s *Scaler) Start() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("starting the model scaler: %w", err)
	}
	options := s.Options
	if s.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.TLS)))
	}
	s.grpc = grpc.NewServer(options...)
	externalscaler.RegisterExternalScalerServer(s.grpc, s)
	if s.Health != healthpb.HealthCheckResponse_UNKNOWN {
		checker := health.NewServer()
		checker.SetServingStatus("", s.Health)
		healthpb.RegisterHealthServer(s.grpc, checker)
	}
	if s.Reflection != nil {
		s.Reflection(s.grpc)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.grpc.Serve(listener) // ends with the server
	}()
	return listener.Addr().String(), func() { s.endStreams(); s.grpc.Stop(); <-ended }, nil
}

// check reads the metadata.
func check(r ref) error {
	for key := range r.GetScalerMetadata() {
		switch key {
		case "queue", "backend", "scalerAddress", "enableTLS":
		default:
			return status.Errorf(codes.InvalidArgument, "%s is not a key: use queue and backend", key)
		}
	}
	if r.GetScalerMetadata()["queue"] == "" {
		return status.Error(codes.InvalidArgument, "queue is missing: name one")
	}
	return nil
}

func down(r ref) bool { return r.GetScalerMetadata()["backend"] == "down" }

// read stands for reading the backend.
func read(r ref) error {
	if err := check(r); err != nil {
		return err
	}
	if down(r) {
		return status.Error(codes.Unavailable, "the backend is down")
	}
	return nil
}

func (s *Scaler) spec(_ context.Context, r ref) (*externalscaler.GetMetricSpecResponse, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{{MetricName: metricName, TargetSizeFloat: target}}}, nil
}

func (s *Scaler) metrics(_ context.Context, in *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	if in.GetMetricName() != metricName {
		return nil, status.Errorf(codes.InvalidArgument, "metric %q is not known: ask for %s", in.GetMetricName(), metricName)
	}
	if err := read(in.GetScaledObjectRef()); err != nil {
		return nil, err
	}
	return values(value), nil
}

func values(all ...float64) *externalscaler.GetMetricsResponse {
	response := &externalscaler.GetMetricsResponse{}
	for _, v := range all {
		response.MetricValues = append(response.MetricValues, &externalscaler.MetricValue{MetricName: metricName, MetricValueFloat: v})
	}
	return response
}

func (s *Scaler) active(_ context.Context, r ref) (bool, error) { return true, read(r) }

func (s *Scaler) pushActive(r ref, stream stateStream) error {
	if err := check(r); err != nil {
		return err
	}
	if down(r) {
		return s.hold(stream.Context())
	}
	return s.repeat(stream, interval)
}

// repeat sends true at once and then at an interval.
func (s *Scaler) repeat(stream stateStream, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := stream.Send(&externalscaler.IsActiveResponse{Result: true}); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-s.stopping:
			return nil
		case <-stream.Context().Done():
			return nil
		}
	}
}

// hold waits for the end of the stream or of the scaler.
func (s *Scaler) hold(ctx context.Context) error {
	select {
	case <-s.stopping:
	case <-ctx.Done():
	}
	return nil
}

func (s *Scaler) pushSpec(r ref, stream specStream) error {
	response, err := s.spec(stream.Context(), r)
	if err != nil {
		return err
	}
	if err := stream.Send(response); err != nil {
		return err
	}
	return s.hold(stream.Context())
}

// The methods of externalscaler.ExternalScalerServer.

// GetMetricSpec implements externalscaler.ExternalScalerServer.
func (s *Scaler) GetMetricSpec(ctx context.Context, r *externalscaler.ScaledObjectRef) (*externalscaler.GetMetricSpecResponse, error) {
	return s.Spec(ctx, r)
}

// GetMetrics implements externalscaler.ExternalScalerServer.
func (s *Scaler) GetMetrics(ctx context.Context, in *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	return s.Metrics(ctx, in)
}

// IsActive implements externalscaler.ExternalScalerServer.
func (s *Scaler) IsActive(ctx context.Context, r *externalscaler.ScaledObjectRef) (*externalscaler.IsActiveResponse, error) {
	active, err := s.Active(ctx, r)
	if err != nil {
		return nil, err
	}
	return &externalscaler.IsActiveResponse{Result: active}, nil
}

// StreamIsActive implements externalscaler.ExternalScalerServer.
func (s *Scaler) StreamIsActive(r *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.IsActiveResponse]) error {
	return s.PushActive(r, stream)
}

// StreamMetricSpec implements externalscaler.ExternalScalerServer.
func (s *Scaler) StreamMetricSpec(r *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.GetMetricSpecResponse]) error {
	return s.PushSpec(r, stream)
}

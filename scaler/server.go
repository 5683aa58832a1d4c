package scaler

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// handlerTimeout bounds every unary call. KEDA sets no deadline of its own, and its scale
// loop holds the lock that push needs.
const handlerTimeout = 2 * time.Second

// stopTimeout bounds the wait for unfinished calls at shutdown.
const stopTimeout = handlerTimeout + time.Second

// Server is the gRPC server with the service, health, reflection and channelz.
type Server struct {
	service *Service
	health  *health.Server
	grpc    *grpc.Server
}

// NewServer returns a server; if tlsConfig is nil, it uses plaintext. Others' options, such as one that traces
// calls, come after its own.
func NewServer(service *Service, tlsConfig *tls.Config, registerer prometheus.Registerer, others ...grpc.ServerOption) *Server {
	m := newMetrics(registerer)
	if registerer != nil {
		registerer.MustRegister(service.answers)
	}
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(m.unary, service.allowUnary, withTimeout),
		grpc.ChainStreamInterceptor(m.stream, service.allowStream),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(newHandshakes(tlsConfig, service.logger, registerer)))
	}
	s := &Server{service: service, health: health.NewServer(), grpc: grpc.NewServer(append(options, others...)...)}
	externalscaler.RegisterExternalScalerServer(s.grpc, service)
	inspectv1.RegisterInspectorServer(s.grpc, service)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	channelz.RegisterChannelzServiceToServer(s.grpc)
	reflection.Register(s.grpc)
	s.SetReady(false)
	return s
}

// SetReady sets what the health service answers.
func (s *Server) SetReady(ready bool) {
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthpb.HealthCheckResponse_SERVING
	}
	for _, service := range []string{"", externalscaler.ExternalScaler_ServiceDesc.ServiceName, inspectv1.Inspector_ServiceDesc.ServiceName} {
		s.health.SetServingStatus(service, state)
	}
}

// Serve answers until ctx ends. Then it ends the streams with nil, lets unfinished calls finish,
// and returns. GracefulStop alone would wait for streams that never end.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- s.grpc.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving gRPC on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.health.Shutdown()
	s.service.Stop()
	stopped := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		s.grpc.Stop()
		<-stopped
	}
	return nil
}

func withTimeout(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	return handle(ctx, in)
}

// metrics counts and times the calls.
type metrics struct {
	handled *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	streams *prometheus.GaugeVec
	// answered has the metrics of successful calls by method, so that they are looked up once.
	answered map[string]answered
}

type answered struct {
	seconds prometheus.Observer
	handled prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_scaler_grpc_handled_total",
			Help: "Calls that ended, streams included, by method and gRPC code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pubsub_scaler_grpc_seconds",
			Help:    "Duration of unary calls by method.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 2},
		}, []string{"method"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pubsub_scaler_grpc_streams",
			Help: "Streams that are open, by method.",
		}, []string{"method"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.handled, m.seconds, m.streams)
	}
	m.answered = map[string]answered{}
	for _, service := range []grpc.ServiceDesc{externalscaler.ExternalScaler_ServiceDesc, inspectv1.Inspector_ServiceDesc} {
		for _, method := range service.Methods {
			name := "/" + service.ServiceName + "/" + method.MethodName
			m.answered[name] = answered{m.seconds.WithLabelValues(name), m.handled.WithLabelValues(name, codes.OK.String())}
		}
	}
	return m
}

func (m *metrics) unary(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := time.Now()
	out, err := handle(ctx, in)
	if known, ok := m.answered[info.FullMethod]; ok && err == nil {
		known.seconds.Observe(time.Since(began).Seconds())
		known.handled.Inc()
		return out, nil
	}
	m.seconds.WithLabelValues(info.FullMethod).Observe(time.Since(began).Seconds())
	m.handled.WithLabelValues(info.FullMethod, status.Code(err).String()).Inc()
	return out, err
}

func (m *metrics) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	open := m.streams.WithLabelValues(info.FullMethod)
	open.Inc()
	defer open.Dec()
	err := handle(service, stream)
	m.handled.WithLabelValues(info.FullMethod, status.Code(err).String()).Inc()
	return err
}

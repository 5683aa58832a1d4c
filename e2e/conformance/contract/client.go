package contract

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// errNoAnswer is a call that took longer than Limits.Call.
var errNoAnswer = errors.New("no answer")

// probe is one run: a connection, and what was found so far.
type probe struct {
	Config

	connection *grpc.ClientConn
	scaler     externalscaler.ExternalScalerClient
	outcomes   map[string]Outcome // by check
	unary      slowest            // of all unary calls

	observations map[watch]*observation
	observing    sync.WaitGroup
}

// newProbe connects; its error says why that failed.
func newProbe(ctx context.Context, config Config) (*probe, error) {
	connection, err := dial(config, config.TLS)
	if err != nil {
		return nil, err
	}
	p := &probe{
		Config:       config,
		connection:   connection,
		scaler:       externalscaler.NewExternalScalerClient(connection),
		outcomes:     map[string]Outcome{},
		observations: make(map[watch]*observation),
	}
	if err := p.connect(ctx); err != nil {
		_ = connection.Close() // nothing was sent
		return nil, err
	}
	return p, nil
}

// connect makes the first call, so that no later one is timed with a handshake. Whether
// it is answered well is for the checks.
func (p *probe) connect(ctx context.Context) error {
	_, err := call(ctx, p.Limits.Call, p.scaler.GetMetricSpec, p.ref(nil)).get()
	if p.connection.GetState() == connectivity.Ready || err == nil {
		return nil
	}
	how := "without TLS (is it served with TLS?)"
	if p.TLS != nil {
		how = "with TLS (do the authority, the server name and the client certificate fit, and is it served with TLS at all?)"
	}
	return &FieldError{"Address", p.Address, fmt.Sprintf("there must be a scaler; connecting %s failed: %v", how, err)}
}

func (p *probe) close() {
	p.observing.Wait()
	_ = p.connection.Close() // all streams have ended
}

// dial makes a connection with KEDA's options
// (pkg/scalers/external_scaler.go: buildGRPCConnection).
func dial(config Config, certificates *TLS) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if certificates != nil {
		settings := &tls.Config{MinVersion: tls.VersionTLS12}
		if certificates.CA != "" {
			settings.RootCAs = x509.NewCertPool()
			if !settings.RootCAs.AppendCertsFromPEM([]byte(certificates.CA)) {
				return nil, &FieldError{"TLS.CA", "", "it must hold a certificate in PEM form"}
			}
		}
		if certificates.Certificate != "" {
			pair, err := tls.X509KeyPair([]byte(certificates.Certificate), []byte(certificates.Key))
			if err != nil {
				return nil, fmt.Errorf("the client's certificate and key: %w", err)
			}
			settings.Certificates = []tls.Certificate{pair}
		}
		transport = credentials.NewTLS(settings)
	}
	return grpc.NewClient(config.target(),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
		grpc.WithTransportCredentials(transport))
}

// viaScheme is for targets "conformance://address/name:port": the connection goes to the
// address, and the certificate is checked against the name. KEDA's client has no setting
// for that, but takes any gRPC target as scalerAddress.
const viaScheme = "conformance"

type via struct{}

func init() { resolver.Register(via{}) }

func (via) Scheme() string { return viaScheme }

func (via) Build(target resolver.Target, connection resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	address := []resolver.Address{{Addr: target.URL.Host}}
	return via{}, connection.UpdateState(resolver.State{Addresses: address})
}

func (via) ResolveNow(resolver.ResolveNowOptions) {}

func (via) Close() {}

// answer is how a call ended.
type answer[T any] struct {
	value T
	err   error
	took  time.Duration
}

func (a answer[T]) get() (T, error) { return a.value, a.err }

// within is a context that ends after a limit, without a deadline that the scaler could
// see: KEDA sets none.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w within %s", errNoAnswer, limit)) })
	return ctx, func() { timer.Stop(); cancel(nil) }
}

// call makes a unary call as KEDA does, and gives up after a limit.
func call[In, Out any](ctx context.Context, limit time.Duration, method func(context.Context, In, ...grpc.CallOption) (Out, error), in In) answer[Out] {
	ctx, cancel := within(ctx, limit)
	defer cancel()
	began := time.Now()
	value, err := method(ctx, in)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errNoAnswer) {
		err = cause
	}
	return answer[Out]{value, err, time.Since(began)}
}

func (p *probe) ref(changes map[string]string) *externalscaler.ScaledObjectRef {
	return &externalscaler.ScaledObjectRef{Name: p.Name, Namespace: p.Namespace, ScalerMetadata: p.sent(changes)}
}

// timed keeps the time of a unary call for checkLatency.
func timed[T any](p *probe, method string, changes map[string]string, a answer[T]) answer[T] {
	var with []string
	for key, value := range changes {
		with = append(with, key+"="+value)
	}
	if len(with) > 0 {
		method += " with " + list(with)
	}
	p.unary.add(method, a.took, a.err)
	return a
}

func (p *probe) spec(ctx context.Context, changes map[string]string) answer[*externalscaler.GetMetricSpecResponse] {
	return timed(p, "GetMetricSpec", changes, call(ctx, p.Limits.Call, p.scaler.GetMetricSpec, p.ref(changes)))
}

func (p *probe) metrics(ctx context.Context, name string, changes map[string]string) answer[*externalscaler.GetMetricsResponse] {
	request := &externalscaler.GetMetricsRequest{ScaledObjectRef: p.ref(changes), MetricName: name}
	return timed(p, "GetMetrics", changes, call(ctx, p.Limits.Call, p.scaler.GetMetrics, request))
}

func (p *probe) active(ctx context.Context, changes map[string]string) answer[*externalscaler.IsActiveResponse] {
	return timed(p, "IsActive", changes, call(ctx, p.Limits.Call, p.scaler.IsActive, p.ref(changes)))
}

// errNoMetric is a GetMetricSpec that names no metric.
var errNoMetric = errors.New("GetMetricSpec names no metric")

// names are the metrics' names as the scaler gives them; there is at least one.
func (p *probe) names(ctx context.Context) ([]string, error) {
	response, err := p.spec(ctx, nil).get()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, spec := range response.GetMetricSpecs() {
		names = append(names, spec.GetMetricName())
	}
	if len(names) == 0 {
		return nil, errNoMetric
	}
	return names, nil
}

// describeError is an error with its gRPC code, or that there was none.
func describeError(err error) string {
	switch {
	case err == nil:
		return "no error"
	case errors.Is(err, errNoAnswer), errors.Is(err, errNoMetric):
		return err.Error()
	default:
		return fmt.Sprintf("%s %q", status.Code(err), status.Convert(err).Message())
	}
}

func unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

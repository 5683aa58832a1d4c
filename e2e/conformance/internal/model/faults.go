package model

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

// Fault is one way to break the contract.
type Fault struct {
	Fails string // the one check that must fail
	Break func(*Scaler)
}

// slowFaults are those that take the longest to find.
var slowFaults = []string{"slow while the backend is down", "streams that are never given back", "a lock while waiting for the backend", "streams open for ever"}

// Faults returns the table, by what the scaler does wrong.
func Faults() map[string]Fault {
	all := map[string]Fault{}
	for _, part := range []map[string]Fault{specFaults, metricFaults, errorFaults, transportFaults, pushFaults, specStreamFaults, shutdownFaults} {
		for name, fault := range part {
			all[name] = fault
		}
	}
	return all
}

type specResponse = externalscaler.GetMetricSpecResponse

// changeSpec changes GetMetricSpec's and, where it is the same answer, the stream's.
func changeSpec(change func(*specResponse)) func(*Scaler) {
	return func(s *Scaler) {
		s.Spec = func(ctx context.Context, r ref) (*specResponse, error) {
			response, err := s.spec(ctx, r)
			if err == nil {
				change(response)
			}
			return response, err
		}
		s.PushSpec = func(r ref, stream specStream) error {
			response, err := s.Spec(stream.Context(), r)
			if err != nil {
				return err
			}
			if err := stream.Send(response); err != nil {
				return err
			}
			return s.hold(stream.Context())
		}
	}
}

var specFaults = map[string]Fault{
	"no spec":             {"metric-spec.answers", changeSpec(func(r *specResponse) { r.MetricSpecs = nil })},
	"target 0":            {"metric-spec.target", changeSpec(func(r *specResponse) { r.MetricSpecs[0].TargetSizeFloat = 0 })},
	"target not a number": {"metric-spec.target", changeSpec(func(r *specResponse) { r.MetricSpecs[0].TargetSizeFloat = math.NaN() })},
	"target infinite":     {"metric-spec.target", changeSpec(func(r *specResponse) { r.MetricSpecs[0].TargetSizeFloat = math.Inf(1) })},
	"target that KEDA rounds to 0": {"metric-spec.target", changeSpec(func(r *specResponse) {
		r.MetricSpecs[0].TargetSizeFloat = 0.0004
	})},
	"target in the deprecated field alone": {"metric-spec.fields", changeSpec(func(r *specResponse) {
		r.MetricSpecs[0].TargetSizeFloat, r.MetricSpecs[0].TargetSize = 0, target
	})},
	"two targets": {"metric-spec.fields", changeSpec(func(r *specResponse) { r.MetricSpecs[0].TargetSize = target + 2 })},
	"name twice": {"metric-spec.name", changeSpec(func(r *specResponse) {
		r.MetricSpecs = append(r.MetricSpecs, r.MetricSpecs[0])
	})},
	"name with a slash": {"metric-spec.name", func(s *Scaler) {
		const name = "orders/depth"
		changeSpec(func(r *specResponse) { r.MetricSpecs[0].MetricName = name })(s)
		s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
			asked := &externalscaler.GetMetricsRequest{ScaledObjectRef: in.GetScaledObjectRef(), MetricName: strings.Replace(in.GetMetricName(), name, metricName, 1)}
			response, err := s.metrics(ctx, asked)
			for _, v := range response.GetMetricValues() {
				v.MetricName = name
			}
			return response, err
		}
	}},
	"target that changes": {"metric-spec.stable", func(s *Scaler) {
		var calls atomic.Int64
		changeSpec(func(r *specResponse) { r.MetricSpecs[0].TargetSizeFloat += float64(calls.Add(1)) })(s)
	}},
	"spec that needs the backend": {"metric-spec.without-backend", func(s *Scaler) {
		s.Spec = func(ctx context.Context, r ref) (*specResponse, error) {
			if err := read(r); err != nil {
				return nil, err
			}
			return s.spec(ctx, r)
		}
	}},
}

type metricsResponse = externalscaler.GetMetricsResponse

// changeMetrics changes what GetMetrics answers.
func changeMetrics(change func(*metricsResponse)) func(*Scaler) {
	return func(s *Scaler) {
		s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
			response, err := s.metrics(ctx, in)
			if err == nil {
				change(response)
			}
			return response, err
		}
	}
}

// ask changes the name that GetMetrics is asked for.
func ask(change func(string) string) func(*Scaler) {
	return func(s *Scaler) {
		s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
			return s.metrics(ctx, &externalscaler.GetMetricsRequest{ScaledObjectRef: in.GetScaledObjectRef(), MetricName: change(in.GetMetricName())})
		}
	}
}

func one(v float64) func(*metricsResponse) {
	return func(r *metricsResponse) { r.MetricValues[0].MetricValueFloat = v }
}

var metricFaults = map[string]Fault{
	"name with KEDA's prefix": {"metrics.answers", ask(func(name string) string {
		if bare, ok := strings.CutPrefix(name, "s0-"); ok {
			return bare
		}
		return "?"
	})},
	"any name":           {"metrics.unknown-name", ask(func(string) string { return metricName })},
	"two values":         {"metrics.one-value", changeMetrics(func(r *metricsResponse) { r.MetricValues = append(r.MetricValues, r.MetricValues[0]) })},
	"no value":           {"metrics.one-value", changeMetrics(func(r *metricsResponse) { r.MetricValues = nil })},
	"value not a number": {"metrics.value", changeMetrics(one(math.NaN()))},
	"value infinite":     {"metrics.value", changeMetrics(one(math.Inf(1)))},
	"value negative":     {"metrics.value", changeMetrics(one(-1))},
	"value in the deprecated field alone": {"metrics.fields", changeMetrics(func(r *metricsResponse) {
		r.MetricValues[0].MetricValueFloat, r.MetricValues[0].MetricValue = 0, 12
	})},
	"value under another name": {"metrics.name", changeMetrics(func(r *metricsResponse) { r.MetricValues[0].MetricName = "other" })},
	"value that asking changes": {"metrics.repeatable", func(s *Scaler) {
		var calls atomic.Int64
		changeMetrics(func(r *metricsResponse) { r.MetricValues[0].MetricValueFloat += float64(calls.Add(1)) })(s)
	}},
	"value of another call": {"concurrency.calls", func(s *Scaler) {
		var running atomic.Int64
		s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
			crowded := running.Add(1) > 4
			defer running.Add(-1)
			pause(ctx, 5*time.Millisecond)
			response, err := s.metrics(ctx, in)
			if err == nil && crowded {
				response.MetricValues[0].MetricValueFloat++
			}
			return response, err
		}
	}},
	"activity that fails": {"activity.answers", func(s *Scaler) {
		s.Active = func(_ context.Context, r ref) (bool, error) {
			if err := read(r); err != nil {
				return false, err
			}
			return false, status.Error(codes.Internal, "no snapshot")
		}
	}},
	"activity that flaps": {"activity.repeatable", func(s *Scaler) {
		var calls atomic.Int64
		s.Active = func(_ context.Context, r ref) (bool, error) { return calls.Add(1)%2 == 0, read(r) }
	}},
}

// pause stands for work that takes time.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// slowWhileDown makes GetMetrics and IsActive wait for a backend that is down.
func slowWhileDown(s *Scaler, wait func(context.Context)) {
	s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
		if down(in.GetScaledObjectRef()) {
			wait(ctx)
		}
		return s.metrics(ctx, in)
	}
	s.Active = func(ctx context.Context, r ref) (bool, error) {
		if down(r) {
			wait(ctx)
		}
		return s.active(ctx, r)
	}
}

// forgive answers calls that should fail.
func forgive(s *Scaler, when func(error) bool) {
	s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
		response, err := s.metrics(ctx, in)
		if in.GetMetricName() == metricName && when(err) {
			return values(0), nil
		}
		return response, err
	}
	s.Active = func(ctx context.Context, r ref) (bool, error) {
		active, err := s.active(ctx, r)
		if when(err) {
			return false, nil
		}
		return active, err
	}
}

// fault turns the errors of all unary methods into others.
func fault(s *Scaler, turn func(error) error) {
	s.Spec = func(ctx context.Context, r ref) (*specResponse, error) {
		response, err := s.spec(ctx, r)
		return response, turn(err)
	}
	s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
		response, err := s.metrics(ctx, in)
		return response, turn(err)
	}
	s.Active = func(ctx context.Context, r ref) (bool, error) {
		active, err := s.active(ctx, r)
		return active, turn(err)
	}
}

func is(code codes.Code) func(error) bool {
	return func(err error) bool { return err != nil && status.Code(err) == code }
}

var errorFaults = map[string]Fault{
	"0 while the backend is down": {"errors.dead-backend", func(s *Scaler) { forgive(s, is(codes.Unavailable)) }},
	"0 for broken metadata":       {"errors.broken-metadata", func(s *Scaler) { forgive(s, is(codes.InvalidArgument)) }},
	"broken metadata as an outage": {"errors.broken-metadata", func(s *Scaler) {
		fault(s, func(err error) error {
			if is(codes.InvalidArgument)(err) {
				return status.Error(codes.Unavailable, "try again")
			}
			return err
		})
	}},
	"errors without a code": {"errors.code", func(s *Scaler) {
		fault(s, func(err error) error {
			if err != nil {
				return errors.New("something went wrong")
			}
			return nil
		})
	}},
	"slow while the backend is down": {"latency.unary", func(s *Scaler) {
		slowWhileDown(s, func(ctx context.Context) { pause(ctx, 1200*time.Millisecond) })
	}},
	"a lock while waiting for the backend": {"latency.isolation", func(s *Scaler) {
		var mu sync.Mutex
		slowWhileDown(s, func(context.Context) {
			mu.Lock()
			defer mu.Unlock()
			pause(context.Background(), 100*time.Millisecond)
		})
		metrics := s.Metrics
		s.Metrics = func(ctx context.Context, in *externalscaler.GetMetricsRequest) (*metricsResponse, error) {
			if !down(in.GetScaledObjectRef()) {
				mu.Lock()
				defer mu.Unlock()
			}
			return metrics(ctx, in)
		}
	}},
}

var transportFaults = map[string]Fault{
	"health says no":               {"transport.health", func(s *Scaler) { s.Health = healthpb.HealthCheckResponse_NOT_SERVING }},
	"reflection lists nothing":     {"transport.reflection", func(s *Scaler) { s.Reflection = emptyReflection }},
	"client certificate not asked": {"transport.client-certificate", func(s *Scaler) { s.TLS = Certificates().Server(false) }},
	"few streams allowed":          {"concurrency.streams", func(s *Scaler) { s.Options = append(s.Options, grpc.MaxConcurrentStreams(40)) }},
}

type noServices struct{}

func (noServices) GetServiceInfo() map[string]grpc.ServiceInfo { return nil }

func emptyReflection(server *grpc.Server) {
	reflectionv1(server, reflection.NewServerV1(reflection.ServerOptions{Services: noServices{}}))
}

package contract_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/internal/model"
)

// with are the names of the checks with a status.
func with(results []contract.Result, want contract.Status) []string {
	var names []string
	for _, r := range results {
		if r.Status == want {
			names = append(names, r.Name)
		}
	}
	return names
}

// short is what a failing test prints of a run.
func short(results []contract.Result) string {
	var lines strings.Builder
	for _, r := range results {
		fmt.Fprintf(&lines, "\n%s %s: %s %s", r.Status, r.Name, r.Seen, r.Reason)
	}
	return lines.String()
}

func result(t *testing.T, results []contract.Result, name string) contract.Result {
	t.Helper()
	i := slices.IndexFunc(results, func(r contract.Result) bool { return r.Name == name })
	require.GreaterOrEqual(t, i, 0, "check %s did not run", name)
	return results[i]
}

// Each fault is found by its own check, and by no other. KEDA's own client is tried on the
// same table by the program's tests.
func TestEveryFaultIsFoundByItsCheck(t *testing.T) {
	judged := model.RunFaults(t.Context(), nil)
	for name, fault := range model.Faults() {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, judged[name].Err)
			assert.Equal(t, []string{fault.Fails}, with(judged[name].Results, contract.Fail), short(judged[name].Results))
			failed := result(t, judged[name].Results, fault.Fails)
			assert.NotEmpty(t, failed.Reason)
			assert.NotEmpty(t, failed.Seen)
		})
	}
	t.Run("every check can fail", func(t *testing.T) {
		fails := map[string]bool{}
		for _, fault := range model.Faults() {
			fails[fault.Fails] = true
		}
		for _, check := range contract.Checks() {
			assert.True(t, fails[check.Name] || kedaFaults[check.Name] != nil, "no test makes %s fail", check.Name)
		}
	})
}

func TestAScalerThatKeepsTheContractPasses(t *testing.T) {
	tests := map[string]struct {
		scaler  func(*model.Scaler)
		config  func(*contract.Config)
		skipped []string
	}{
		"plaintext": {nil, nil, []string{"transport.client-certificate"}},
		"mutual TLS": {
			scaler: func(s *model.Scaler) { s.TLS = model.Certificates().Server(true) },
		},
		"mutual TLS behind a port-forward": {
			scaler: func(s *model.Scaler) { s.TLS = model.Certificates().Server(true) },
			config: func(c *contract.Config) { c.ServerName = model.Name },
		},
		"the least that trigger type external needs": {
			scaler: func(s *model.Scaler) {
				unimplemented := externalscaler.UnimplementedExternalScalerServer{}
				s.PushActive = func(r *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.IsActiveResponse]) error {
					return unimplemented.StreamIsActive(r, stream)
				}
				s.PushSpec = func(r *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.GetMetricSpecResponse]) error {
					return unimplemented.StreamMetricSpec(r, stream)
				}
				s.Health, s.Reflection = healthpb.HealthCheckResponse_UNKNOWN, nil
			},
			config: func(c *contract.Config) { c.DeadBackend, c.Broken, c.Unsteady = nil, nil, true },
			skipped: []string{
				"metric-spec.without-backend", "metrics.repeatable", "activity.repeatable", "latency.isolation", "errors.dead-backend", "errors.broken-metadata",
				"transport.client-certificate", "transport.health", "transport.reflection", "keda.metrics",
				"push.opens", "push.agrees", "push.reopens", "spec-stream.opens", "spec-stream.equals", "keda.spec-stream", "concurrency.streams",
				"push.stays-open", "push.repeats", "push.no-flood", "push.dead-backend", "keda.push", "spec-stream.stays-open", "spec-stream.quiet",
				"shutdown.streams",
			},
		},
	}
	runs := map[string]func() ([]contract.Result, error){}
	for name, test := range tests {
		runs[name] = func() ([]contract.Result, error) {
			s := model.New()
			if test.scaler != nil {
				test.scaler(s)
			}
			return model.Run(t.Context(), s, goodKEDA, test.config)
		}
	}
	judged := model.RunAll(runs)
	model.JudgeAgain(judged, runs, func(string) []string { return nil })
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			results, err := judged[name].Results, judged[name].Err
			require.NoError(t, err)
			assert.Empty(t, with(results, contract.Fail), short(results))
			assert.Equal(t, test.skipped, with(results, contract.Skip), short(results))
			assert.Len(t, results, len(contract.Checks()))
		})
	}
}

// fakeKEDA is a client that may misread the scaler.
type fakeKEDA struct {
	specs   []contract.Spec
	value   float64
	err     error
	silent  bool // nothing by the streams
	updates chan []contract.Spec
}

func newFakeKEDA() *fakeKEDA {
	return &fakeKEDA{specs: []contract.Spec{{Name: "s0-depth", Target: 5}}, value: 12.5, updates: make(chan []contract.Spec)}
}

func goodKEDA(contract.Trigger) (contract.KEDA, error) { return newFakeKEDA(), nil }

func (f *fakeKEDA) MetricSpecs(context.Context) []contract.Spec { return f.specs }

func (f *fakeKEDA) Metrics(context.Context, string) ([]float64, bool, error) {
	return []float64{f.value}, true, f.err
}

func (f *fakeKEDA) Run(ctx context.Context, active chan<- bool) {
	defer close(active)
	defer close(f.updates)
	ticker := time.NewTicker(time.Second / 4)
	defer ticker.Stop()
	for states, updates := active, f.updates; !f.silent; {
		select {
		case states <- true:
			states = nil // until the next tick
		case updates <- f.specs:
			updates = nil // once
		case <-ticker.C:
			states = active
		case <-ctx.Done():
			return
		}
	}
	<-ctx.Done()
}

func (f *fakeKEDA) SpecUpdates() <-chan []contract.Spec { return f.updates }

func (f *fakeKEDA) Close(context.Context) error { return nil }

// kedaFaults make the checks of KEDA's client fail where the scaler is right.
var kedaFaults = map[string]func(*fakeKEDA){
	"keda.metric-spec": func(f *fakeKEDA) { f.specs = nil },
	"keda.metrics":     func(f *fakeKEDA) { f.value = math.Nextafter(12.501, 13) },
	"keda.push":        func(f *fakeKEDA) { f.silent = true },
	"keda.spec-stream": func(f *fakeKEDA) { f.silent = true },
}

func TestWhatKEDAMisreadsIsFound(t *testing.T) {
	const noClient = "no client"
	runs := map[string]func() ([]contract.Result, error){
		noClient: func() ([]contract.Result, error) {
			return model.Run(t.Context(), model.New(), func(contract.Trigger) (contract.KEDA, error) {
				return nil, errors.New("no such file")
			}, nil)
		},
	}
	for name, fault := range kedaFaults {
		runs[name] = func() ([]contract.Result, error) {
			return model.Run(t.Context(), model.New(), func(contract.Trigger) (contract.KEDA, error) {
				f := newFakeKEDA()
				fault(f)
				return f, nil
			}, nil)
		}
	}
	judged := model.RunAll(runs)
	for name := range kedaFaults {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, judged[name].Err)
			assert.Equal(t, contract.Fail, result(t, judged[name].Results, name).Status, short(judged[name].Results))
		})
	}
	t.Run(noClient, func(t *testing.T) {
		require.NoError(t, judged[noClient].Err)
		assert.Equal(t, []string{"keda.metric-spec", "keda.spec-stream", "keda.push"}, with(judged[noClient].Results, contract.Fail))
	})
}

func TestRunRefusesAWrongConfiguration(t *testing.T) {
	tests := map[string]struct {
		change func(*contract.Config)
		want   string
	}{
		"address":     {func(c *contract.Config) { c.Address = "9090" }, `Address is "9090": it must be host:port`},
		"certificate": {func(c *contract.Config) { c.TLS = &contract.TLS{Certificate: "x"} }, "a certificate needs its key"},
		"authority":   {func(c *contract.Config) { c.TLS = &contract.TLS{CA: "x"} }, "it must hold a certificate in PEM form"},
		"server name": {func(c *contract.Config) { c.ServerName = "x" }, `ServerName is "x": it is checked with TLS alone`},
		"time":        {func(c *contract.Config) { c.Limits.Open = 0 }, `Open is "0s": it must be longer than 0`},
		"timeout":     {func(c *contract.Config) { c.Limits.Call = time.Second }, `Call is "1s": it must be longer than MaxLatency, 1s`},
		"repeats":     {func(c *contract.Config) { c.Limits.RepeatMin = time.Minute }, `RepeatMin is "1m0s": it must be shorter than RepeatMax, 1.2s`},
		"callers":     {func(c *contract.Config) { c.Limits.Callers = 0 }, `Callers is "0": it must be at least 1`},
		"nobody there": {func(c *contract.Config) { c.Address = "127.0.0.1:1" },
			`Address is "127.0.0.1:1": there must be a scaler; connecting without TLS (is it served with TLS?) failed`},
		"TLS to plaintext": {func(c *contract.Config) { c.TLS = model.Certificates().Client() }, "connecting with TLS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			results, err := model.Run(t.Context(), model.New(), nil, test.change)
			assert.ErrorContains(t, err, test.want)
			assert.Empty(t, results)
		})
	}
	t.Run("a certificate for another name", func(t *testing.T) {
		s := model.New()
		s.TLS = model.Certificates().Server(true)
		_, err := model.Run(t.Context(), s, nil, func(c *contract.Config) { c.ServerName = "another.test" })
		assert.ErrorContains(t, err, "another.test")
	})
}

func TestAnInterruptedRunJudgesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := model.New()
	s.Active = func(ctx context.Context, _ *externalscaler.ScaledObjectRef) (bool, error) {
		cancel()
		<-ctx.Done()
		return false, status.Error(codes.Canceled, "gone")
	}
	results, err := model.Run(ctx, s, nil, nil)
	require.NoError(t, err)
	assert.Empty(t, with(results, contract.Fail))
	assert.Equal(t, "interrupted", result(t, results, "activity.answers").Reason)
	assert.Equal(t, "interrupted", result(t, results, "shutdown.streams").Reason)
}

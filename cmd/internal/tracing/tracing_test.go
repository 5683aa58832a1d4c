package tracing

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/otlptest"
)

func TestOffUnlessAskedFor(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing is set":    {},
		"none":              {envExporter: "none", envEndpoint: "http://h:4318"},
		"disabled":          {envDisabled: "true", envExporter: "otlp"},
		"disabled, loudly":  {envDisabled: "TRUE", envExporter: "otlp"},
		"only the protocol": {envProtocol: "grpc"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := settingsOf(func(name string) string { return env[name] })
			require.NoError(t, err)
			assert.False(t, s.on)
		})
	}
	s, err := settingsOf(func(name string) string { return map[string]string{envDisabled: "1", envExporter: "otlp"}[name] })
	require.NoError(t, err)
	assert.True(t, s.on, "the specification has true alone")
	var off *Traces
	assert.Nil(t, off.Tracer())
	assert.Empty(t, off.ServerOptions())
	assert.Empty(t, off.DialOptions())
	off.Stop(t.Context())
}

func TestWrongVariablesAreNamedWithTheRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"exporter":        {map[string]string{envExporter: "zipkin"}, `OTEL_TRACES_EXPORTER is "zipkin": set it to otlp, or to none`},
		"protocol":        {map[string]string{envExporter: "otlp", envProtocol: "http/json"}, `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": set it to http/protobuf or grpc`},
		"traces protocol": {map[string]string{envExporter: "otlp", envTracesProtocol: "tcp"}, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "tcp"`},
		"endpoint":        {map[string]string{envEndpoint: "collector:4317"}, `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4317": set it to a URL such as http://`},
		"secret endpoint": {map[string]string{envEndpoint: "u:hunter2@collector"}, `OTEL_EXPORTER_OTLP_ENDPOINT`},
		"sampler":         {map[string]string{envExporter: "otlp", envSampler: "some"}, `OTEL_TRACES_SAMPLER is "some": set it to one of always_off, always_on`},
		"ratio":           {map[string]string{envExporter: "otlp", envSampler: "traceidratio", envSamplerArg: "2"}, `OTEL_TRACES_SAMPLER_ARG is "2": set it to the part`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := settingsOf(func(name string) string { return test.env[name] })
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// Both protocols, to a real receiver; what is left is sent at the end.
func TestSpansArrive(t *testing.T) {
	receiver := otlptest.Start(t)
	for protocol, endpoint := range map[string]string{grpcProtocol: receiver.GRPC, httpProtocol: receiver.HTTP} {
		t.Run(strings.ReplaceAll(protocol, "/", "-"), func(t *testing.T) {
			t.Setenv(envEndpoint, endpoint)
			t.Setenv(envProtocol, protocol)
			t.Setenv(envResource, "deployment.environment.name=test")
			traces, err := Start(t.Context(), "pubsub-test", "v1", slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			_, span := traces.Tracer().Start(t.Context(), "work over "+protocol)
			span.End()
			traces.Stop(t.Context())
			spans := receiver.Named("work over " + protocol)
			require.Len(t, spans, 1)
			assert.Equal(t, "pubsub-test", spans[0].Service)
		})
	}
}

// A collector that is away is told once in a while, not with each batch.
func TestErrorsAreToldOnceInAWhile(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	handler := &quietErrors{log: slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now }}
	for range 10 {
		handler.Handle(errors.New("refused"))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "refused"), log.String())
	now = now.Add(quietTime)
	handler.Handle(errors.New("refused"))
	assert.Equal(t, 2, strings.Count(log.String(), "refused"))
}

// A collector that takes connections and never answers holds up neither the work nor the program's end.
func TestACollectorThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // with the listener, and no sooner
		}
	}()
	for _, protocol := range []string{grpcProtocol, httpProtocol} {
		t.Run(strings.ReplaceAll(protocol, "/", "-"), func(t *testing.T) {
			t.Setenv(envEndpoint, "http://"+listener.Addr().String())
			t.Setenv(envProtocol, protocol)
			for _, name := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"} {
				t.Setenv(name, "3600000") // ms: nothing but flushTimeout ends it
			}
			traces, err := Start(t.Context(), "pubsub-test", "v1", slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			for range 10_000 { // more than the queue has room for
				_, span := traces.Tracer().Start(t.Context(), "work")
				span.End()
			}
			stopped := make(chan struct{})
			go func() {
				traces.Stop(t.Context())
				close(stopped)
			}()
			select {
			case <-stopped:
			case <-time.After(time.Minute):
				assert.Fail(t, "the end waits for the collector")
			}
		})
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

func TestParse(t *testing.T) {
	got, err := parse(nil)
	require.NoError(t, err)
	assert.Equal(t, options{grpcAddress: ":9090", metricsAddress: ":8080", probeAddress: ":8081", callers: scaler.DefaultCallers(), maxServers: 200, logFormat: "json", debugAddress: "0"}, got)
	got, err = parse([]string{"--keda-names", "keda, keda-2", "--people-names="})
	require.NoError(t, err)
	assert.Equal(t, scaler.Callers{KEDA: []string{"keda", "keda-2"}, Controller: []string{"pubsub-operator-controller"}}, got.callers)

	tests := map[string]struct {
		args []string
		want string
	}{
		"address":      {[]string{"--grpc-bind-address", "9090"}, `--grpc-bind-address is "9090": it must be host:port or :port`},
		"no grpc":      {[]string{"--grpc-bind-address", "0"}, `--grpc-bind-address is "0": it must be host:port or :port`},
		"no servers":   {[]string{"--max-servers-per-namespace", "0"}, `--max-servers-per-namespace is 0: it must be 1 or more`},
		"format":       {[]string{"--log-format", "xml"}, `--log-format is "xml": it must be json or text`},
		"level":        {[]string{"--log-level", "loud"}, `invalid value "loud" for flag -log-level`},
		"debug":        {[]string{"--debug-bind-address", ":6060"}, `--debug-bind-address is ":6060": it must be a loopback address`},
		"argument":     {[]string{"serve"}, `unexpected argument "serve": use flags only`},
		"names":        {[]string{"--keda-names=a,b", "--people-names=b"}, `"b" names both KEDA and people: give each a certificate with a name of its own`},
		"unknown flag": {[]string{"--port", "1"}, "flag provided but not defined: -port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args)
			assert.ErrorContains(t, err, test.want)
		})
	}
	t.Run("metrics and probes can be switched off", func(t *testing.T) {
		_, err := parse([]string{"--metrics-bind-address", "0", "--health-probe-bind-address", "0"})
		assert.NoError(t, err)
	})
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// The program without a cluster: what somebody meets who debugs or measures it.
func TestRunWithoutCluster(t *testing.T) {
	redis := redistest.Start(t)
	require.NoError(t, redis.Client().LPush(t.Context(), "q", "a", "b").Err())
	o := options{grpcAddress: freeAddress(t), metricsAddress: freeAddress(t), probeAddress: freeAddress(t), withoutCluster: true}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.DiscardHandler)) }()
	require.Eventually(t, func() bool { code, _ := get(t, "http://"+o.probeAddress+"/readyz"); return code == http.StatusOK }, time.Minute, 10*time.Millisecond)

	connection, err := grpc.NewClient(o.grpcAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	assert.Eventually(t, func() bool {
		health, err := healthpb.NewHealthClient(connection).Check(t.Context(), &healthpb.HealthCheckRequest{})
		return err == nil && health.GetStatus() == healthpb.HealthCheckResponse_SERVING
	}, time.Minute, 10*time.Millisecond)

	active, err := externalscaler.NewExternalScalerClient(connection).IsActive(t.Context(), &externalscaler.ScaledObjectRef{
		ScalerMetadata: map[string]string{"channelName": "q", "redisAddress": redis.Addr, "currentReplicas": "0", "minReplicas": "0"}})
	require.NoError(t, err)
	assert.True(t, active.GetResult())

	stream, err := reflectionpb.NewServerReflectionClient(connection).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	services, err := stream.Recv()
	require.NoError(t, err)
	for _, name := range []string{"externalscaler.ExternalScaler", "pubsub.inspect.v1.Inspector", "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} {
		assert.Contains(t, fmt.Sprint(services), name)
	}
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	require.ErrorIs(t, err, io.EOF)

	_, metrics := get(t, "http://"+o.metricsAddress+"/metrics")
	for _, want := range []string{
		`pubsub_scaler_grpc_handled_total{code="OK",method="/externalscaler.ExternalScaler/IsActive"} 1`,
		`pubsub_scaler_broker_reads_total{result="ok"}`, "pubsub_scaler_watched_queues 1", "pubsub_scaler_watched_servers 1",
	} {
		assert.Contains(t, metrics, want)
	}
	stop()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the scaler did not stop")
	}
}

func TestRunTellsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	tests := map[string]struct {
		mutate func(*options)
		want   string
	}{
		"address in use": {func(o *options) { o.grpcAddress = taken.Addr().String() }, "--grpc-bind-address: "},
		"metrics in use": {func(o *options) { o.metricsAddress = taken.Addr().String() }, "--metrics-bind-address: "},
		"certificates":   {func(o *options) { o.tlsCertDir = t.TempDir() }, "--tls-cert-dir: loading tls.crt and tls.key"},
		"kubeconfig":     {func(o *options) { o.withoutCluster = false; o.kubeconfig = "/nowhere" }, "finding the Kubernetes API (or use --without-cluster)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := options{grpcAddress: "127.0.0.1:0", metricsAddress: off, probeAddress: off, withoutCluster: true}
			test.mutate(&o)
			assert.ErrorContains(t, run(t.Context(), o, slog.New(slog.DiscardHandler)), test.want)
		})
	}
}

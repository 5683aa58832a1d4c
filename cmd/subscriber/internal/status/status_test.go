package status_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/status"
)

const patient = 2 * time.Minute // for what must happen

// serve serves until the end of the test, and returns the addresses by what is served there.
func serve(t *testing.T, o status.Options) map[string]string {
	t.Helper()
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("measures")) })
	lines, writer := io.Pipe()
	o.Log = slog.New(slog.NewTextHandler(writer, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- status.Serve(ctx, o)
		_ = writer.Close()
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	want := 1
	if o.MetricsPort != 0 && o.MetricsPort != o.HealthPort {
		want = 2
	}
	addresses := map[string]string{}
	line := make([]byte, 1024)
	for len(addresses) < want {
		n, err := lines.Read(line) // a line at once, as the log writes it
		require.NoError(t, err)
		found := regexp.MustCompile(`msg="serving (\w+)" address=\S*:(\d+)`).FindSubmatch(line[:n])
		require.NotNil(t, found, string(line[:n]))
		addresses[string(found[1])] = "http://127.0.0.1:" + string(found[2])
	}
	return addresses
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestAliveAndReadyAreTwoThings(t *testing.T) {
	var away atomic.Bool
	address := serve(t, status.Options{Ready: func() error {
		if away.Load() {
			return errors.New("the server of a queue does not answer")
		}
		return nil
	}})["health"]
	for _, path := range []string{"/healthz", "/readyz"} {
		code, body := get(t, address+path)
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "ok\n", body)
	}
	away.Store(true)
	code, _ := get(t, address+"/healthz")
	require.Equal(t, http.StatusOK, code, "a restart would not bring the server back")
	code, body := get(t, address+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "does not answer")
	code, _ = get(t, address+"/metrics")
	require.Equal(t, http.StatusNotFound, code, "metrics are for whom they are enabled")
}

func TestPorts(t *testing.T) {
	metrics, both := freePort(t), freePort(t)
	for name, o := range map[string]status.Options{
		"two ports": {MetricsPort: metrics},
		"one port":  {HealthPort: both, MetricsPort: both},
	} {
		t.Run(name, func(t *testing.T) {
			for served, address := range serve(t, o) {
				for path, want := range map[string]bool{"/healthz": true, "/readyz": true, "/metrics": served == "metrics"} {
					code, _ := get(t, address+path)
					require.Equal(t, want, code == http.StatusOK, address+path)
				}
			}
		})
	}
}

func TestAPortThatIsTakenIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	free := freePort(t)
	for name, o := range map[string]status.Options{
		status.EnvHealthPort:  {HealthPort: taken, MetricsPort: free},
		status.EnvMetricsPort: {HealthPort: free, MetricsPort: taken},
	} {
		o.Log, o.Metrics = slog.New(slog.DiscardHandler), http.NotFoundHandler()
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		err := status.Serve(ctx, o)
		require.ErrorContains(t, err, fmt.Sprintf("%s is %d", name, taken))
		require.True(t, strings.HasSuffix(err.Error(), "set it to a free port"), err)
		again, err := net.Listen("tcp", fmt.Sprintf(":%d", free))
		require.NoError(t, err, "the other port is given back")
		require.NoError(t, again.Close())
	}
}

// A sidecar may have the default port, as a second worker in a pod had: nobody chose it, so the
// worker does its work all the same.
func TestADefaultPortThatIsTakenEndsNothing(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.NoError(t, status.Serve(ctx, status.Options{
		HealthPort: taken, HealthOptional: true, Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: http.NotFoundHandler(),
	}))
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, "it goes on until it is told to stop")
	require.Contains(t, log.String(), fmt.Sprintf("HEALTH_PORT is %d", taken))
}

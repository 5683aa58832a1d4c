//go:build integration

package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// logBuffer is written by many.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// The program becomes the leader and ready, and ends cleanly when it is told to.
func TestServe(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	env := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "charts", "pubsub-operator", "files", "crds")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	_, err := env.Start()
	require.NoError(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	t.Setenv("KUBECONFIG", kubeconfig)

	probes, metrics := freeAddress(t), freeAddress(t)
	var out logBuffer
	o, err := parse([]string{
		"--scaler-address", "127.0.0.1:1", "--health-probe-bind-address", probes, "--metrics-bind-address", metrics,
		"--leader-elect", "--leader-election-namespace", "default",
	}, &out)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, o, newLogger(o, &out)) }()
	for _, url := range []string{"http://" + probes + "/healthz", "http://" + probes + "/readyz", "http://" + metrics + "/metrics"} {
		require.Eventually(t, func() bool {
			response, err := http.Get(url)
			if err != nil {
				return false
			}
			return response.Body.Close() == nil && response.StatusCode == http.StatusOK
		}, time.Minute, 50*time.Millisecond, url)
	}
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("Starting workers")) }, 30*time.Second, 50*time.Millisecond)
	assert.NotContains(t, out.String(), `"level":"ERROR"`)
	cancel()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(30 * time.Second):
		assert.Fail(t, "the controller did not end")
	}
}

//go:build integration

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
	"github.com/jawaracloud/pubsub-operator/internal/otlptest"
	"github.com/jawaracloud/pubsub-operator/translator"
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

// populate makes a channel, which can't be scaled without KEDA, and the Secret with KEDA's
// certificates.
func populate(t *testing.T, config *rest.Config, authority *certtest.Authority) {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, translator.AddToScheme(scheme))
	api, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	require.NoError(t, api.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keda-tls"}, Data: authority.Secret(authority.Client("keda"))}))
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orders"}}
	channel.Spec.ChannelName, channel.Spec.RedisAddress = "orders", "127.0.0.1:1"
	channel.Spec.AutoScaling = &v1.AutoScalingSpec{Enabled: true}
	require.NoError(t, api.Create(t.Context(), channel))
}

// The program becomes the leader and ready, and ends cleanly when it is told to.
func TestServe(t *testing.T) {
	env, config := startAPIServer(t)
	authority, certificates := certtest.New(t), t.TempDir()
	authority.Write(certificates, authority.Client("pubsub-operator-controller"))
	populate(t, config, authority)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	t.Setenv("KUBECONFIG", kubeconfig)

	probes, metrics := freeAddress(t), freeAddress(t)
	var out logBuffer
	o, err := parse([]string{
		"--scaler-address", "127.0.0.1:1", "--health-probe-bind-address", probes, "--metrics-bind-address", metrics,
		"--scaler-tls-cert-dir", certificates, "--scaler-authentication-ref", "scaler", "--keda-tls-secret", "default/keda-tls", "--leader-elect", "--leader-election-namespace", "default",
	}, &out)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	logger := newLogger(o, o.logLevel, &out)
	receiver := otlptest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.HTTP)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50") // ms
	go func() { ended <- serve(ctx, o, logger) }()
	for _, url := range []string{"http://" + probes + "/healthz", "http://" + probes + "/readyz", "http://" + metrics + "/metrics"} {
		require.Eventually(t, func() bool {
			response, err := http.Get(url)
			if err != nil {
				return false
			}
			return response.Body.Close() == nil && response.StatusCode == http.StatusOK
		}, time.Minute, 50*time.Millisecond, url)
	}
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("Starting workers")) }, time.Minute, 50*time.Millisecond)
	documented := metricsdoc.Documented(t, "../..", "all", "controller")
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		response, err := http.Get("http://" + metrics + "/metrics")
		if !assert.NoError(c, err) {
			return
		}
		text, err := io.ReadAll(response.Body)
		assert.NoError(c, errors.Join(err, response.Body.Close()))
		assert.Equal(c, documented, metricsdoc.Scraped(t, string(text)))
	}, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool { // it is not stopped before it has done anything with the channel
		return !slices.ContainsFunc([]string{"write status", "reconcile", "pubsub.inspect.v1.Inspector/Explain", "ask the scaler"}, func(name string) bool {
			return len(receiver.Named(name)) == 0
		})
	}, time.Minute, 50*time.Millisecond, "the channel is reconciled, and the scaler asked")
	assert.NotContains(t, out.String(), `"level":"ERROR"`)
	cancel()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(2 * time.Minute):
		assert.Fail(t, "the controller did not end")
	}
	checkTraces(t, receiver)
}

// checkTraces looks for what the controller did with the channel: it was reconciled, child by child, and the scaler was asked.
func checkTraces(t *testing.T, receiver *otlptest.Receiver) {
	t.Helper()
	for whole, parts := range map[string][]string{
		"reconcile":      {"Deployment", "PodDisruptionBudget", "ScaledObject", "write status"},
		"ask the scaler": {"pubsub.inspect.v1.Inspector/Explain"},
	} {
		spans := receiver.Named(whole)
		require.NotEmpty(t, spans, whole)
		assert.Equal(t, "pubsub-controller", spans[0].Service)
		assert.Equal(t, "orders", spans[0].Attribute("pubsub.channel.name"))
		for _, part := range parts {
			assert.True(t, slices.ContainsFunc(receiver.Named(part), func(s otlptest.Span) bool {
				return slices.ContainsFunc(spans, func(parent otlptest.Span) bool { return bytes.Equal(parent.GetSpanId(), s.GetParentSpanId()) })
			}), "no %s is a part of %s", part, whole)
		}
	}
}

package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

const root = "../.."

func TestMetricsDocument(t *testing.T) {
	authority, dir, registry := certtest.New(t), t.TempDir(), prometheus.NewRegistry()
	authority.Write(dir, authority.Server("127.0.0.1"))
	tlsConfig, err := scaler.TLSFromDir(dir, slog.New(slog.DiscardHandler), registry)
	require.NoError(t, err)
	samples := sampling.NewMetrics(registry)
	pool := sampling.NewPool(sampling.Options{Metrics: samples})
	t.Cleanup(pool.Close)
	samples.Watch(registry, pool)
	scaler.NewServer(scaler.New(scaler.Options{Pool: pool}), tlsConfig, registry)
	registry.MustRegister((*watched.Namespaces)(nil).Metric("scaler"))
	metricsdoc.Check(t, root, "scaler", registry)
}

// What the program serves is what docs/metrics.md has: no more, no less, with those types and labels.
func TestScrapeIsAsDocumented(t *testing.T) {
	server, authority, dir := redistest.Start(t), certtest.New(t), t.TempDir()
	authority.Write(dir, authority.Server("127.0.0.1"))
	require.NoError(t, server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "q", Values: []string{"a", "b"}}).Err())
	o := options{grpcAddress: freeAddress(t), metricsAddress: freeAddress(t), probeAddress: freeAddress(t), withoutCluster: true, tlsCertDir: dir, callers: scaler.DefaultCallers(), maxServers: 10}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-ended) })
	require.Eventually(t, func() bool { code, _ := get(t, "http://"+o.probeAddress+"/readyz"); return code == http.StatusOK }, time.Minute, 10*time.Millisecond)

	keda, err := grpc.NewClient(o.grpcAddress, grpc.WithTransportCredentials(credentials.NewTLS(authority.ClientTLS("127.0.0.1", authority.Client("pubsub-operator-keda")))))
	require.NoError(t, err)
	t.Cleanup(func() { _ = keda.Close() })
	stranger, err := net.Dial("tcp", o.grpcAddress)
	require.NoError(t, err)
	_, err = stranger.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = stranger.Close() })
	client := externalscaler.NewExternalScalerClient(keda)
	ref := &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: map[string]string{
		"channelName": "q", "queueType": "Stream", "redisAddress": server.Addr, "currentReplicas": "1", "maxAge": "1h", "policy": "Utilization"}}
	wrong := &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: map[string]string{"channelName": "q"}}
	_, err = client.StreamIsActive(t.Context(), ref)
	require.NoError(t, err)

	documented := metricsdoc.Documented(t, root, "all", "scaler")
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := client.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: wrong})
		assert.Error(c, err)
		_, err = client.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
		if !assert.NoError(c, err) {
			return
		}
		code, text := get(t, "http://"+o.metricsAddress+"/metrics")
		if !assert.Equal(c, http.StatusOK, code, text) {
			return
		}
		assert.Equal(c, documented, metricsdoc.Scraped(t, text))
	}, 2*time.Minute, 200*time.Millisecond)
}

package metrics_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
)

func TestMetricsDocument(t *testing.T) {
	authority, dir := certtest.New(t), t.TempDir()
	authority.Write(dir, authority.Server("127.0.0.1"))
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewBuildInfo("scaler", ""), metrics.NewCertificateExpiry(dir))
	metricsdoc.Check(t, "../../..", "all", registry)
}

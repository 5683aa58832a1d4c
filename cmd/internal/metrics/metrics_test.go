package metrics_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// gathered is the values of a collector by the values of their labels.
func gathered(t *testing.T, collector prometheus.Collector) map[string]float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := family.GetName()
			for _, label := range metric.GetLabel() {
				key += " " + label.GetName() + "=" + label.GetValue()
			}
			values[key] = metric.GetGauge().GetValue()
		}
	}
	return values
}

func TestBuildInfo(t *testing.T) {
	got := gathered(t, metrics.NewBuildInfo("scaler", "v1.2.3"))
	require.Len(t, got, 1)
	for key, value := range got {
		assert.Contains(t, key, "pubsub_build_info goversion="+runtime.Version()+" program=scaler version=v1.2.3")
		assert.InDelta(t, 1, value, 0)
	}
}

func TestCertificateExpiry(t *testing.T) {
	authority, dir := certtest.New(t), t.TempDir()
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	authority.Write(dir, authority.ServerUntil(soon, "127.0.0.1"))
	collector := metrics.NewCertificateExpiry(dir)
	const server, ca = "pubsub_tls_certificate_expiry_timestamp_seconds file=tls.crt", "pubsub_tls_certificate_expiry_timestamp_seconds file=ca.crt"
	got := gathered(t, collector)
	assert.InDelta(t, float64(soon.Unix()), got[server], 0)
	assert.Greater(t, got[ca], float64(time.Now().Unix()))

	later := soon.Add(time.Hour)
	authority.Write(dir, authority.ServerUntil(later, "127.0.0.1"))
	assert.InDelta(t, float64(later.Unix()), gathered(t, collector)[server], 0, "a renewed certificate shows at once")

	require.NoError(t, os.Remove(filepath.Join(dir, "ca.crt")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("no certificate"), 0o600))
	assert.Empty(t, gathered(t, collector), "what is not known is absent")
}

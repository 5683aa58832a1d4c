package scaler_test

import (
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
)

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

// scraped is what Prometheus would get.
func scraped(t require.TestingT, registry *prometheus.Registry) string {
	recorder := httptest.NewRecorder()
	request, err := http.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	require.NoError(t, err)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, request)
	return recorder.Body.String()
}

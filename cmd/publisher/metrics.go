package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	programmetrics "github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
)

// measures are what a scrape gets: the totals as they were last told. It is a prometheus.Collector.
type measures struct {
	now func() time.Time

	mu     sync.Mutex
	totals totals
	failed bool      // the last exchange, so that messages become ever later
	at     time.Time // when they were told, or the first exchange failed of those that have failed since
}

// tell takes the totals.
func (m *measures) tell(t totals, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !failed || !m.failed {
		m.at = m.now()
	}
	m.totals, m.failed = t, failed
}

var (
	publishedDesc = prometheus.NewDesc("pubsub_publisher_messages_published_total", "Messages that the server has taken.", nil, nil)
	unknownDesc   = prometheus.NewDesc("pubsub_publisher_messages_unanswered_total", "Messages that were sent and got no reply: they may be in the queue or not, and are not sent again.", nil, nil)
	againDesc     = prometheus.NewDesc("pubsub_publisher_messages_retried_total", "Messages that were sent again, because the server had not taken them; each time counts.", nil, nil)
	missedDesc    = prometheus.NewDesc("pubsub_publisher_messages_missed_total", "Messages that were given up, because they could not be sent when they were due.", nil, nil)
	errorsDesc    = prometheus.NewDesc("pubsub_publisher_errors_total", "Exchanges with the server that failed.", nil, nil)
	behindDesc    = prometheus.NewDesc("pubsub_publisher_behind_seconds", "For how long the next message has been due; 0 while the rate is kept, and without a rate.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *measures) Describe(descriptions chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(m, descriptions)
}

// Collect implements prometheus.Collector.
func (m *measures) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	t, behind := m.totals, m.totals.lag
	if m.failed { // nothing is sent meanwhile
		behind += m.now().Sub(m.at)
	}
	m.mu.Unlock()
	for desc, value := range map[*prometheus.Desc]int64{publishedDesc: t.sent, unknownDesc: t.unknown, againDesc: t.again, missedDesc: t.missed, errorsDesc: t.errors} {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
	metrics <- prometheus.MustNewConstMetric(behindDesc, prometheus.GaugeValue, behind.Seconds())
}

func (m *measures) registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), programmetrics.NewBuildInfo("publisher", version))
	return registry
}

const headerTimeout = 5 * time.Second

// serve serves /metrics at an address until ctx ends. The error names the flag.
func (m *measures) serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("--metrics-address is %q: %w: set it to a free host:port, or leave it out", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry(), promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // a scrape that is cut short is repeated
	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			_ = listener.Close() // scrapes fail, which is how Prometheus tells
		}
	}()
	return nil
}

// Package metrics counts what a worker does, for Prometheus.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Values of the label result of pubsub_subscriber_deliveries_total.
const (
	ResultAcknowledged = "acknowledged" // the work was done
	ResultFailed       = "failed"       // it failed or took too long
	ResultUnreached    = "unreached"    // the handler could not be reached
)

// Metrics of one worker. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	// Deliveries counts attempts by their result.
	Deliveries *prometheus.CounterVec
	// Seconds is how long the work on a message took.
	Seconds prometheus.Histogram
	// InWork is how many messages are in work now.
	InWork prometheus.Gauge
	// HandlerReachable is 1 until the handler can't be reached, and again once it can.
	HandlerReachable prometheus.Gauge
	// Connected is 1 while the servers of all queues answer, else 0.
	Connected prometheus.Gauge
	// Events counts messages that went another way than delivery: reclaimed from a
	// worker that is gone or failed, dead-lettered, or (Pub/Sub) dropped.
	Events *prometheus.CounterVec
}

// New returns metrics that start at 0.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		Deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_subscriber_deliveries_total", Help: "Attempts to deliver a message, by result.",
		}, []string{"result"}),
		Seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pubsub_subscriber_delivery_seconds", Help: "Time that the work on a message took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
		}),
		InWork: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_in_work", Help: "Messages in work.",
		}),
		HandlerReachable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_handler_reachable", Help: "0 while the handler can't be reached and no messages are taken, else 1.",
		}),
		Connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_connected", Help: "1 while the server answers, else 0.",
		}),
		Events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_subscriber_events_total", Help: "Messages reclaimed from a worker that is gone or failed, dead-lettered, or (Pub/Sub) dropped.",
		}, []string{"event"}),
	}
	m.registry.MustRegister(m.Deliveries, m.Seconds, m.InWork, m.HandlerReachable, m.Connected, m.Events,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

const (
	headerTimeout = 5 * time.Second
	closeTimeout  = time.Second
)

// Serve serves /metrics and /healthz on that port until ctx ends. /healthz says that the
// process runs, and depends on nothing outside of it. listening is told the address.
func (m *Metrics) Serve(ctx context.Context, port int, listening func(net.Addr)) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("METRICS_PORT is %d: %w: set it to a free port", port, err)
	}
	listening(listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = server.Shutdown(ctx) // a scrape that is cut short is repeated
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

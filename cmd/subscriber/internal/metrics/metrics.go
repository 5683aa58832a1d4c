// Package metrics counts what a worker does, for Prometheus.
package metrics

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Values of the label result of pubsub_subscriber_deliveries_total.
const (
	ResultAcknowledged = "acknowledged" // the work was done
	ResultFailed       = "failed"       // it failed or took too long
	ResultUnavailable  = "unavailable"  // the handler was away or overloaded
)

// Metrics of one worker. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	// Deliveries counts attempts by their result.
	Deliveries *prometheus.CounterVec
	// Seconds is how long the work on a message took.
	Seconds prometheus.Histogram
	// InWork is how many messages are in flight now.
	InWork prometheus.Gauge
	// HandlerAvailable is 0 while the handler is away or overloaded, otherwise 1.
	HandlerAvailable prometheus.Gauge
	// Connected is 1 while the servers of all queues answer, else 0.
	Connected *Connection
	// Events counts messages that went another way than delivery: reclaimed from a
	// worker that is gone or failed, dead-lettered, discarded dead letters, entries trimmed from a
	// stream, or (Pub/Sub) dropped.
	Events *prometheus.CounterVec
}

// New returns metrics that start at 0. The series of all events are there from the start: of one
// that begins with its first event, Prometheus does not see that event as an increase.
func New(events ...string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		Deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_subscriber_deliveries_total", Help: "Attempts to deliver a message, by result.",
		}, []string{"result"}),
		Seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pubsub_subscriber_delivery_seconds", Help: "Duration of the work on a message.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
		}),
		InWork: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_in_work", Help: "Messages in flight.",
		}),
		HandlerAvailable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_handler_available", Help: "0 while the handler is away or overloaded and no messages are taken, otherwise 1.",
		}),
		Connected: &Connection{Gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pubsub_subscriber_connected", Help: "1 while the server answers, otherwise 0.",
		})},
		Events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_subscriber_events_total", Help: "Messages reclaimed from a worker that is gone or failed, dead-lettered, discarded dead letters, entries trimmed from a stream, or (Pub/Sub) messages dropped.",
		}, []string{"event"}),
	}
	for _, result := range []string{ResultAcknowledged, ResultFailed, ResultUnavailable} {
		m.Deliveries.WithLabelValues(result)
	}
	for _, event := range events {
		m.Events.WithLabelValues(event)
	}
	m.registry.MustRegister(m.Deliveries, m.Seconds, m.InWork, m.HandlerAvailable, m.Connected, m.Events,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Register adds what the program itself tells, such as its build.
func (m *Metrics) Register(collector prometheus.Collector) { m.registry.MustRegister(collector) }

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Connection is the gauge Connected, and remembers what it was set to. It is safe for
// concurrent use.
type Connection struct {
	prometheus.Gauge
	up atomic.Bool
}

// Set sets the gauge: 1 while the servers of all queues answer, else 0.
func (c *Connection) Set(value float64) {
	c.up.Store(value == 1)
	c.Gauge.Set(value)
}

// Up tells whether the servers of all queues answered when that was last known; false at
// first.
func (c *Connection) Up() bool { return c.up.Load() }

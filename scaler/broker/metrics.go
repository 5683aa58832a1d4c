package broker

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the samplers do.
type Metrics struct {
	reads *prometheus.CounterVec
}

// NewMetrics registers the metrics; a nil registerer registers nothing.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{reads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_scaler_broker_reads_total",
		Help: "Reads of a DragonFly or Redis server, all of its queues at once, by result.",
	}, []string{"result"})}
	if registerer != nil {
		registerer.MustRegister(m.reads)
	}
	return m
}

// Watch registers gauges of what the pool watches.
func (m *Metrics) Watch(registerer prometheus.Registerer, pool *Pool) {
	registerer.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pubsub_scaler_watched_servers",
			Help: "DragonFly and Redis servers that are read.",
		}, func() float64 { servers, _ := pool.Size(); return float64(servers) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pubsub_scaler_watched_queues",
			Help: "Queues that are read.",
		}, func() float64 { _, queues := pool.Size(); return float64(queues) }),
	)
}

func (m *Metrics) countRead(failure error) {
	if failure != nil {
		m.reads.WithLabelValues("error").Inc()
		return
	}
	m.reads.WithLabelValues("ok").Inc()
}

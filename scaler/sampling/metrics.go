package sampling

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the samplers do.
type Metrics struct {
	reads  *prometheus.CounterVec
	panics prometheus.Counter
}

// NewMetrics registers the metrics; a nil registerer registers nothing.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{reads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_scaler_broker_reads_total",
		Help: "Reads of a DragonFly or Redis server (or of a cluster's node), all of its queues at once, by result.",
	}, []string{"result"}), panics: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pubsub_scaler_panics_total",
		Help: "Faults of the scaler itself that ended one read of a server; each is a bug to report.",
	})}
	if registerer != nil {
		registerer.MustRegister(m.reads, m.panics)
	}
	return m
}

// Watch registers gauges of what the pool watches, and of each queue.
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
		queueCollector{pool},
	)
}

func (m *Metrics) countRead(failure error) {
	if failure != nil {
		m.reads.WithLabelValues("error").Inc()
		return
	}
	m.reads.WithLabelValues("ok").Inc()
}

var (
	queueLabels = []string{"server", "queue", "kind"}
	depthDesc   = prometheus.NewDesc("pubsub_scaler_queue_depth",
		"Messages that wait or are being worked on; absent while it is unknown.", queueLabels, nil)
	rateDesc = prometheus.NewDesc("pubsub_scaler_queue_messages_per_second",
		"Messages that arrive, over the last 15 seconds; where the server does not count them, the growth of the depth. Absent while it is unknown.", queueLabels, nil)
	ageDesc = prometheus.NewDesc("pubsub_scaler_queue_oldest_message_seconds",
		"Age of the oldest message that waits; absent while none waits or it is unknown.", queueLabels, nil)
)

// queueCollector collects the samples that there are when it is asked: a queue that is not
// watched any more leaves no series.
type queueCollector struct{ pool *Pool }

func (queueCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- depthDesc
	descriptions <- rateDesc
	descriptions <- ageDesc
}

func (c queueCollector) Collect(metrics chan<- prometheus.Metric) {
	now := c.pool.options.Now()
	// The same queue may be watched twice: by two users of a server, or as two kinds.
	seen := map[[3]string]bool{}
	for _, s := range c.pool.all() {
		for _, q := range s.samples(now) {
			labels := [3]string{q.server, q.name, string(q.sample.Kind)}
			if seen[labels] {
				continue
			}
			seen[labels] = true
			gauge := func(desc *prometheus.Desc, value float64) {
				metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels[:]...)
			}
			gauge(depthDesc, float64(q.sample.Total()))
			if q.sample.Rate != nil {
				gauge(rateDesc, *q.sample.Rate)
			}
			if !q.sample.Oldest.IsZero() {
				gauge(ageDesc, max(0, now.Sub(q.sample.Oldest).Seconds()))
			}
		}
	}
}

// all is the samplers that there are.
func (p *Pool) all() []*sampler {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*sampler, 0, len(p.samplers))
	for _, s := range p.samplers {
		all = append(all, s)
	}
	return all
}

// knownQueue is a queue whose depth is known.
type knownQueue struct {
	server, name string
	sample       Sample
}

// samples are those that are good now.
func (s *sampler) samples(now time.Time) []knownQueue {
	server := s.server.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make([]knownQueue, 0, len(s.queues))
	for q, w := range s.queues {
		if w.err != nil || w.validUntil.IsZero() || now.After(w.validUntil) {
			continue
		}
		name := q.Key
		if q.Prefix != "" {
			name = q.Prefix + "/" + name
		}
		if q.Group != "" {
			name += "/" + q.Group
		}
		known = append(known, knownQueue{server: server, name: name, sample: w.sample})
	}
	return known
}

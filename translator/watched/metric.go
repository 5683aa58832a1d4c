package watched

import "github.com/prometheus/client_golang/prometheus"

// Metric is pubsub_<program>_unreadable_namespaces.
func (n *Namespaces) Metric(program string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pubsub_" + program + "_unreadable_namespaces",
		Help: "Watched namespaces that can't be read, for example because they have no Role; 0 if none are named (watchNamespaces).",
	}, func() float64 { return float64(n.Unreadable()) })
}

package scaler

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The series of a ScaledObject, with its namespace and name as labels. They are computed from
// what was answered to KEDA, so they cost no read of a queue. If the last question about a
// queue failed, what the answer would tell is absent, never 0.
var (
	objectLabels = []string{"namespace", "name"}

	objectAnswered = objectDesc("answered", "1 if KEDA's last question about the ScaledObject was answered, 0 if it failed, for example because the queue can't be read.")
	objectAsked    = objectDesc("last_asked_timestamp_seconds", "When KEDA last asked this scaler about the ScaledObject, in Unix time.")
	objectErrors   = prometheus.NewDesc("pubsub_scaled_object_errors_total", "Questions of KEDA about the ScaledObject that failed, by the reason of the error; an open stream asks at each tick.", slices.Concat(objectLabels, []string{"reason"}), nil)
	objectDecision = prometheus.NewDesc("pubsub_scaled_object_decision_info", "1, with the reason for the newest decision; absent while the queue can't be read.", slices.Concat(objectLabels, []string{"reason"}), nil)
)

// objectGauge is one series of a ScaledObject that an answer tells.
type objectGauge struct {
	desc *prometheus.Desc
	// value of an answer; absent if the second result is false.
	value func(t *told, now float64) (float64, bool)
}

func objectDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("pubsub_scaled_object_"+name, help, objectLabels, nil)
}

func objectValue(name, help string, value func(t *told) float64) objectGauge {
	return objectGauge{objectDesc(name, help), func(t *told, _ float64) (float64, bool) { return value(t), true }}
}

var objectGauges = []objectGauge{
	objectValue("queue_depth", "Messages of the ScaledObject's queues, waiting and in flight, by which it was decided.", func(t *told) float64 { return float64(t.ready) + float64(t.inFlight) }),
	objectValue("queue_depth_is_lower_bound", "1 if there may be more messages than the depth says, otherwise 0.", func(t *told) float64 { return number(t.lowerBound) }),
	objectValue("ready_messages", "Messages that wait for a worker.", func(t *told) float64 { return float64(t.ready) }),
	objectValue("in_flight_messages", "Messages that workers have taken and not acknowledged, as far as the server tells.", func(t *told) float64 { return float64(t.inFlight) }),
	objectValue("target_queue_depth", "Messages per replica that the policy aims at.", func(t *told) float64 { return float64(t.target) }),
	objectValue("lower_bound_messages", "Lower bound of the band: below this depth the number of replicas shrinks.", func(t *told) float64 { return float64(t.lower) }),
	objectValue("upper_bound_messages", "Upper bound of the band: above this depth the number of replicas grows.", func(t *told) float64 { return float64(t.upper) }),
	objectValue("replicas", "Replicas of the target when it was decided.", func(t *told) float64 { return float64(t.replicas) }),
	objectValue("desired_replicas", "Replicas that the newest decision asks for.", func(t *told) float64 { return float64(t.desired) }),
	objectValue("min_replicas", "The policy's minReplicas.", func(t *told) float64 { return float64(t.minReplicas) }),
	objectValue("max_replicas", "The policy's maxReplicas.", func(t *told) float64 { return float64(t.maxReplicas) }),
	objectValue("active", "1 if the target must not be scaled to 0, otherwise 0.", func(t *told) float64 { return number(t.active) }),
	{objectDesc("cooldown_remaining_seconds", "How long the cooldown still runs; 0 if it does not."), func(t *told, now float64) (float64, bool) {
		return max(0, unix(t.cooldownEnd)-now), true
	}},
	{objectDesc("sample_age_seconds", "Age of the sample by which it was decided; of several queues, of the oldest."), func(t *told, now float64) (float64, bool) {
		return max(0, now-unix(t.sampled)), true
	}},
	{objectDesc("arriving_messages_per_second", "Messages that arrive, over the last 15 seconds; absent while it is unknown."), func(t *told, _ float64) (float64, bool) {
		return t.rate, t.rateKnown
	}},
	{objectDesc("oldest_message_age_seconds", "Age of the oldest message that waits; absent while none waits or it is not read (maxAge)."), func(t *told, now float64) (float64, bool) {
		return max(0, now-unix(t.oldest)), !t.oldest.IsZero()
	}},
	{objectDesc("worker_slots", "Messages that the replicas work on at once (workerConcurrency); absent but for the policy Utilization."), func(t *told, _ float64) (float64, bool) {
		return float64(t.slots), t.slots > 0
	}},
	{objectDesc("busy_slots", "Messages in flight on average over the last 15 seconds, by which the policy Utilization decides; absent for other policies, and while it is not known."), func(t *told, _ float64) (float64, bool) {
		return t.busy, t.busyKnown
	}},
}

// Describe implements prometheus.Collector.
func (a *answers) Describe(descriptions chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{objectAnswered, objectAsked, objectErrors, objectDecision} {
		descriptions <- desc
	}
	for _, gauge := range objectGauges {
		descriptions <- gauge.desc
	}
}

// Collect implements prometheus.Collector.
func (a *answers) Collect(metrics chan<- prometheus.Metric) {
	now := unix(a.now())
	all := a.all()
	for i := range all {
		t := &all[i]
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{t.namespace, t.name}, labels...)...)
		}
		gauge(objectAnswered, number(!t.failing))
		gauge(objectAsked, unix(t.asked))
		for reason, count := range t.failures {
			metrics <- prometheus.MustNewConstMetric(objectErrors, prometheus.CounterValue, float64(count), t.namespace, t.name, string(reason))
		}
		if !t.known {
			continue
		}
		gauge(objectDecision, 1, string(t.reason))
		for _, g := range objectGauges {
			if value, known := g.value(t, now); known {
				gauge(g.desc, value)
			}
		}
	}
}

// number is how Prometheus tells true and false.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// unix is a time in seconds, as Prometheus has it.
func unix(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }

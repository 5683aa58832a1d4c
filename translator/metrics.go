package translator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// The children, as the label kind of pubsub_controller_apply_errors_total.
const (
	kindDeployment   = "Deployment"
	kindScaledObject = "ScaledObject"
	kindBudget       = "PodDisruptionBudget"
)

// The label direction of pubsub_channel_scalings_total.
const (
	directionUp   = "up"
	directionDown = "down"
)

// counters count what the controller does.
type counters struct {
	scalings    *prometheus.CounterVec
	applyErrors *prometheus.CounterVec
}

func newCounters() *counters {
	return &counters{
		scalings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_channel_scalings_total",
			Help: "Changes of the channel's number of workers that its status tells of, by direction (up, down).",
		}, []string{"namespace", "name", "direction"}),
		applyErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_controller_apply_errors_total",
			Help: "Failures to make, change or remove a child, by its kind and the reason of the API server or of the Ready condition; each retry counts, races do not.",
		}, []string{"kind", "reason"}),
	}
}

func (c *counters) scaled(channel types.NamespacedName, from, to int32) {
	direction := directionUp
	if to < from {
		direction = directionDown
	}
	c.scalings.WithLabelValues(channel.Namespace, channel.Name, direction).Inc()
}

// begin has a channel's series begin with 0: of one that begins with the first scaling, Prometheus
// does not see that scaling as an increase.
func (c *counters) begin(channel types.NamespacedName) {
	for _, direction := range []string{directionUp, directionDown} {
		c.scalings.WithLabelValues(channel.Namespace, channel.Name, direction)
	}
}

func (c *counters) forget(channel types.NamespacedName) {
	c.scalings.DeletePartialMatch(prometheus.Labels{"namespace": channel.Namespace, "name": channel.Name})
}

// failed counts an error of the work on a child, if it is one.
func (c *counters) failed(kind string, err error) {
	if err == nil || apply.Raced(err) || errors.Is(err, context.Canceled) {
		return
	}
	reason := string(apierrors.ReasonForError(err))
	if problem := (*plan.Problem)(nil); errors.As(err, &problem) {
		reason = problem.Reason
	}
	if reason == "" {
		reason = "Unknown"
	}
	c.applyErrors.WithLabelValues(kind, reason).Inc()
}

// collectTimeout bounds the look into the cache of channels, which is filled as a rule.
const collectTimeout = 2 * time.Second

var (
	phaseDesc = prometheus.NewDesc("pubsub_channel_status_phase",
		"1, with the phase of the channel.", []string{"namespace", "name", "phase"}, nil)
	conditionDesc = prometheus.NewDesc("pubsub_channel_status_condition",
		"1, with the status (True, False, Unknown) and the reason of the channel's condition.", []string{"namespace", "name", "condition", "status", "reason"}, nil)
	kedaExpiryDesc = prometheus.NewDesc("pubsub_controller_keda_certificate_expiry_timestamp_seconds",
		"When the first certificate in the file of KEDA's Secret for the scaler expires, in Unix time; absent while it is not known.", []string{"file"}, nil)
)

// channelCollector tells of the channels that there are when it is asked, so a deleted channel
// leaves no series. Only the leader tells, so that each channel is told once.
type channelCollector struct {
	reader       client.Reader
	elected      <-chan struct{}
	certificates *certificates // nil: KEDA's are not followed
}

// Describe implements prometheus.Collector.
func (channelCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{phaseDesc, conditionDesc, kedaExpiryDesc} {
		descriptions <- desc
	}
}

// Collect implements prometheus.Collector.
func (c channelCollector) Collect(metrics chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	c.collectCertificates(metrics)
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var channels v1.PubSubChannelList
	if err := c.reader.List(ctx, &channels, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not filled yet
	}
	for i := range channels.Items {
		channel := &channels.Items[i]
		one := func(desc *prometheus.Desc, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, append([]string{channel.Namespace, channel.Name}, labels...)...)
		}
		if channel.Status.Phase != "" {
			one(phaseDesc, string(channel.Status.Phase))
		}
		for _, condition := range channel.Status.Conditions {
			one(conditionDesc, condition.Type, string(condition.Status), condition.Reason)
		}
	}
}

func (c channelCollector) collectCertificates(metrics chan<- prometheus.Metric) {
	if c.certificates == nil {
		return
	}
	for file, end := range c.certificates.ends() {
		metrics <- prometheus.MustNewConstMetric(kedaExpiryDesc, prometheus.GaugeValue, float64(end.Unix()), file)
	}
}

// register has the metrics collected; a nil registerer registers nothing.
func (r *Reconciler) register(registerer prometheus.Registerer, mgr manager.Manager, namespaces *watched.Namespaces) error {
	if registerer == nil {
		return nil
	}
	channels := channelCollector{reader: mgr.GetClient(), elected: mgr.Elected(), certificates: r.certificates}
	for _, collector := range []prometheus.Collector{r.counters.scalings, r.counters.applyErrors, channels, namespaces.Metric("controller")} {
		if err := registerer.Register(collector); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

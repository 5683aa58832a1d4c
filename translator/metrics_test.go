package translator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// channelList is a cache of channels.
type channelList struct {
	client.Reader
	channels []v1.PubSubChannel
	err      error
}

func (l channelList) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if into, ok := list.(*v1.PubSubChannelList); ok {
		into.Items = l.channels
	}
	return l.err
}

// series are the values of collectors by their names and labels.
func series(t *testing.T, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors...)
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	all := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := family.GetName()
			for _, label := range metric.GetLabel() {
				key += fmt.Sprintf(" %s=%s", label.GetName(), label.GetValue())
			}
			all[key] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return all
}

func TestChannelsAreTold(t *testing.T) {
	channel := v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}}
	channel.Status.Phase = v1.PhaseFailed
	channel.Status.Conditions = []metav1.Condition{
		{Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1.ReasonInvalidSpec},
		{Type: v1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1.ReasonInvalidSpec},
	}
	unseen := v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "new"}}
	elected := make(chan struct{})
	collector := channelCollector{reader: channelList{channels: []v1.PubSubChannel{channel, unseen}}, elected: elected}
	assert.Empty(t, series(t, collector), "another replica leads, and tells")
	close(elected)
	assert.Equal(t, map[string]float64{
		"pubsub_channel_status_phase name=orders namespace=shop phase=Failed":                                         1,
		"pubsub_channel_status_condition condition=Ready name=orders namespace=shop reason=InvalidSpec status=False":  1,
		"pubsub_channel_status_condition condition=Stalled name=orders namespace=shop reason=InvalidSpec status=True": 1,
	}, series(t, collector))
	collector.reader = channelList{err: errors.New("the cache is not filled")}
	assert.Empty(t, series(t, collector))
}

func TestKEDAsCertificatesAreTold(t *testing.T) {
	authority, end := certtest.New(t), time.Now().Add(time.Hour)
	data := authority.Secret(authority.ServerUntil(end, "keda"))
	elected := make(chan struct{})
	close(elected)
	certificates := &certificates{expiries: endsOf(data)}
	got := series(t, channelCollector{reader: channelList{}, elected: elected, certificates: certificates})
	assert.InDelta(t, float64(end.Unix()), got["pubsub_controller_keda_certificate_expiry_timestamp_seconds file=tls.crt"], 0)
	assert.Len(t, got, 2, "and that of ca.crt")
	certificates.fault = "it is gone"
	assert.Empty(t, series(t, channelCollector{reader: channelList{}, elected: elected, certificates: certificates}))
}

func TestWhatTheControllerDoesIsCounted(t *testing.T) {
	c := newCounters()
	orders, mails := types.NamespacedName{Namespace: "shop", Name: "orders"}, types.NamespacedName{Namespace: "shop", Name: "mails"}
	c.begin(orders)
	assert.Equal(t, map[string]float64{
		"pubsub_channel_scalings_total direction=up name=orders namespace=shop":   0,
		"pubsub_channel_scalings_total direction=down name=orders namespace=shop": 0,
	}, series(t, c.scalings), "the first scaling is an increase, too")
	c.scaled(orders, 1, 3)
	c.scaled(orders, 3, 2)
	c.begin(orders)
	c.scaled(mails, 0, 1)
	c.forget(mails)
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for _, err := range []error{
		nil, apierrors.NewConflict(deployments, "orders", nil), apierrors.NewNotFound(deployments, "orders"), context.Canceled,
	} {
		c.failed(kindDeployment, err)
	}
	c.failed(kindDeployment, fmt.Errorf("applying: %w", apierrors.NewForbidden(deployments, "orders", nil)))
	c.failed(kindScaledObject, &plan.Problem{Reason: v1.ReasonAdoptionRefused})
	c.failed(kindBudget, errors.New("a connection broke"))
	assert.Equal(t, map[string]float64{
		"pubsub_channel_scalings_total direction=up name=orders namespace=shop":         1,
		"pubsub_channel_scalings_total direction=down name=orders namespace=shop":       1,
		"pubsub_controller_apply_errors_total kind=Deployment reason=Forbidden":         1,
		"pubsub_controller_apply_errors_total kind=ScaledObject reason=AdoptionRefused": 1,
		"pubsub_controller_apply_errors_total kind=PodDisruptionBudget reason=Unknown":  1,
	}, series(t, c.scalings, c.applyErrors), "races are no errors, and a channel that is gone leaves nothing")
}

func TestMetricsDocument(t *testing.T) {
	c, registry := newCounters(), prometheus.NewRegistry()
	registry.MustRegister(c.scalings, c.applyErrors, channelCollector{}, (*watched.Namespaces)(nil).Metric("controller"))
	metricsdoc.Check(t, "..", "controller", registry)
}

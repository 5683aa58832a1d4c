//go:build integration

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
)

// decision tells one in a channel's status, as the controller does.
func (c *cluster) decision(t *testing.T, channel *v1.PubSubChannel, depth int64) {
	t.Helper()
	q := resource.MustParse("6400m")
	channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead, LastTransitionTime: metav1.Now()}}
	channel.Status.Decision = &v1.ScalingDecision{
		ObservedTime: metav1.Now(), Action: v1.ScalingUp, Reason: "AboveUpperBound", Message: "words", Remarks: "; more", Arithmetic: "ceil(500 ÷ (100 × 150 %)) = 4",
		Replicas: 3, DesiredReplicas: 4, QueueDepth: depth, Ready: depth - 20, InFlight: new(int64(20)), QueueType: "stream", LowerBound: 150, UpperBound: 450, Active: true,
		LastScaleTime: new(metav1.NewTime(time.Now().Add(-time.Hour))), OldestMessageTime: new(metav1.Now()), Busy: &q, BusyOverWindow: &q,
		Window: &metav1.Duration{Duration: 2 * time.Minute}, WindowSeen: &metav1.Duration{Duration: 119_500 * time.Millisecond}, FallbackReason: "hidden", ToleranceIgnored: true, DepthIsLowerBound: true, MessageRateIsLowerBound: true,
	}
	require.NoError(t, c.Status().Update(t.Context(), channel))
}

// Whoever may read the channels of a namespace may ask there why, and what if, and follow the
// decisions; of other namespaces it is said which right is missing. The operator is not asked.
func TestWhoeverMayReadChannelsMayAskWhy(t *testing.T) {
	c := sharedCluster(t)
	namespace, other := c.namespace(t), c.namespace(t)
	orders := c.channel(t, namespace, "orders", true)
	c.decision(t, orders, 500)
	c.channel(t, namespace, "mails", false)
	c.channel(t, other, "bills", true)
	bills := c.channel(t, namespace, "bills", true)
	file, _ := c.reader(t, namespace)
	t.Setenv("KUBECONFIG", file)

	var out string
	require.Eventually(t, func() (ok bool) { // the authorizer follows a little later
		var err error
		out, _, err = kubectl(t, "explain", "orders", "-n", namespace)
		return err == nil
	}, soon, tick)
	assert.Contains(t, out, namespace+"/orders: scale up, 3 → 4 replicas\nqueue depth of at least 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas; more\nas of ")
	assert.Contains(t, out, "500 messages = 480 ready + 20 in flight")
	out, _, err := kubectl(t, "explain", "orders", "-n", namespace, "--queue-depth", "300", "--set", "targetQueueDepth=50", "--set", "maxScaleUpStep=50%")
	require.NoError(t, err)
	assert.Contains(t, out, "queue depth 300 is above 225 = 50 × 3 × 150 %: 3 → 4 replicas")
	assert.Contains(t, out, "what if: queue depth 300, targetQueueDepth 50, maxScaleUpStep 50%; the rest is as it is")
	out, _, err = kubectl(t, "explain", "orders", "-n", namespace, "-o", "json")
	require.NoError(t, err)
	assert.Contains(t, out, `"desiredReplicas": 4`)

	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"not decided yet":    {[]string{"explain", "bills", "-n", namespace}, "the status of PubSubChannel " + namespace + "/bills has no decision (NotObserved): no controller has looked at the channel yet: see kubectl pubsub doctor; --live asks the scaler itself"},
		"autoscaling is off": {[]string{"explain", "mails", "-n", namespace}, "autoscaling of PubSubChannel " + namespace + "/mails is off"},
		"a slip":             {[]string{"explain", "ordres", "-n", namespace}, "did you mean orders?"},
		"another namespace":  {[]string{"explain", "bills", "-n", other}, `you need the right to get pubsubchannels.pubsub.jawaracloud.io in namespace "` + other + `"`},
		"watching it":        {[]string{"watch", "-n", other}, `you need the right to list pubsubchannels.pubsub.jawaracloud.io in namespace "` + other + `"`},
		"watching all":       {[]string{"watch", "-A"}, "you need the right to list pubsubchannels.pubsub.jawaracloud.io in all namespaces"},
		"asking the scaler":  {[]string{"explain", "orders", "-n", namespace, "--live"}, "you need the right to list pods in all namespaces"},
		"a bad setting":      {[]string{"explain", "orders", "-n", namespace, "--set", "minReplicas=11"}, "minReplicas is 11, greater than maxReplicas 10"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := kubectl(t, test.args...)
			require.ErrorContains(t, err, test.want)
		})
	}

	r := c.watch(t, "-n", namespace)
	r.until("orders ", "ScaleUp", "3 → 4 replicas; more")
	r.until("bills ", "NotObserved", "no controller has looked at the channel yet")
	c.decision(t, orders, 800)
	r.until("orders ", "≥800", "3 → 6 replicas")
	c.decision(t, bills, 500)
	r.until("bills ", "≥500", "ScaleUp")
	require.NoError(t, c.Delete(t.Context(), bills))
	r.until("bills ", "Deleted", "the channel was deleted")
	assert.NotContains(t, r.out.String(), "mails")
	require.NoError(t, r.end())
}

// What the plugin takes as a setting the API server takes as well, and the other way round.
func TestWhatIfTakesTheSettingsThatTheAPIServerTakes(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	plain := c.channel(t, namespace, "orders", true)
	busy := c.channel(t, namespace, "busy", true)
	busy.Spec.AutoScaling.Policy, busy.Spec.AutoScaling.Utilization = v1.PolicyUtilization, &v1.UtilizationSpec{Target: 75}
	require.NoError(t, c.Update(t.Context(), busy))
	for _, channel := range []*v1.PubSubChannel{plain, busy} {
		c.decision(t, channel, 500)
	}
	taken := 0
	for _, changes := range []string{
		`{"targetQueueDepth":0}`, `{"targetQueueDepth":1000000000}`, `{"targetQueueDepth":1000000001}`, `{"targetQueueDepth":1.5}`, `{"targetQueueDepth":"5"}`, `{"targetQueueDepth":null}`,
		`{"minReplicas":11}`, `{"minReplicas":0}`, `{"maxReplicas":0}`, `{"scaleUpThreshold":50}`, `{"scaleDownThreshold":100}`, `{"scaleDownThreshold":101}`,
		`{"cooldownPeriod":0}`, `{"cooldownPeriod":-1}`, `{"cooldownPeriod":86401}`, `{"activationQueueDepth":5}`, `{"workerConcurrency":0}`, `{"workerConcurrency":4}`,
		`{"maxScaleUpStep":"9999%"}`, `{"maxScaleUpStep":"0%"}`, `{"maxScaleUpStep":0}`, `{"maxScaleUpStep":1000001}`, `{"maxScaleUpStep":"5"}`, `{"maxScaleUpStep":null}`,
		`{"maxScaleDownStep":"100%"}`, `{"maxScaleDownStep":"101%"}`, `{"maxScaleDownStep":7}`, `{"enabled":false}`, `{"enabled":"yes"}`,
		`{"policy":"Threshold"}`, `{"policy":"Threshold","utilization":null}`, `{"policy":"Utilization"}`, `{"policy":"Best"}`, `{"policy":null}`, `{"utilization":null}`,
		`{"utilization":{"target":95}}`, `{"utilization":{"target":85}}`, `{"policy":"Utilization","utilization":{"target":85}}`, `{"policy":"Utilization","utilization":{"scaleUp":80}}`,
		`{"policy":"Utilization","utilization":{"window":"14s"}}`, `{"policy":"Utilization","utilization":{"window":"1h"}}`, `{"policy":"Utilization","utilization":{"window":"1.5m"}}`,
		`{"policy":"Utilization","utilization":{"window":"-20s"}}`, `{"policy":"Utilization","utilization":{"window":60}}`, `{"policy":"Utilization","utilization":{"window":null}}`,
	} {
		for _, channel := range []*v1.PubSubChannel{plain, busy} {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(changes), &fields))
			_, err := decide.Explain(channel, decide.Overrides{Changes: fields}, time.Now())
			if err != nil && strings.Contains(err.Error(), "is off, so nothing decides") {
				err = nil
			}
			patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"autoScaling":`+changes+`}}`))
			refused := c.Patch(t.Context(), channel.DeepCopy(), patch, client.DryRunAll)
			assert.Equal(t, refused == nil, err == nil, "%s of %s: the API server says %v, the plugin %v", changes, channel.Name, refused, err)
			if refused == nil {
				taken++
			}
		}
	}
	assert.Greater(t, taken, 20)
}

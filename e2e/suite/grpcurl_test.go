//go:build e2e

package suite

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// grpcurl can ask the scaler what KEDA asks, with nothing but a ScaledObject's name and
// namespace, and KEDA's certificate; and what people ask, with theirs.
func TestGrpcurl(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "grpcurl")
	channel := newChannel("orders")
	setCooldown(channel, 2)
	park(channel)
	s.setDepth("orders", 300)
	s.createAndSettle(channel)
	scaler := s.connectScaler("service/" + release + "-scaler")

	services, err := scaler.grpcurl(t.Context(), peopleClient, nil, "list")
	require.NoError(t, err)
	for _, service := range []string{"externalscaler.ExternalScaler", "pubsub.inspect.v1.Inspector", "grpc.health.v1.Health"} {
		require.Contains(t, services, service)
	}
	described, err := scaler.grpcurl(t.Context(), kedaClient, nil, "describe", "externalscaler.ExternalScaler")
	require.NoError(t, err)
	require.Contains(t, described, "rpc GetMetrics ( .externalscaler.GetMetricsRequest )")

	var active struct{ Result bool }
	scaler.mustCall(isActive, s.byName(isActive, "orders"), &active)
	require.True(t, active.Result)
	var spec struct {
		MetricSpecs []struct{ TargetSizeFloat float64 }
	}
	scaler.mustCall(getMetricSpec, s.byName(getMetricSpec, "orders"), &spec)
	require.Len(t, spec.MetricSpecs, 1)
	require.InDelta(t, 100, spec.MetricSpecs[0].TargetSizeFloat, 0)
	var metrics struct {
		MetricValues []struct{ MetricValueFloat float64 }
	}
	scaler.mustCall(getMetrics, s.byName(getMetrics, "orders"), &metrics)
	require.Len(t, metrics.MetricValues, 1)
	require.InDelta(t, 300, metrics.MetricValues[0].MetricValueFloat, 0, "3 replicas × target 100")
	s.eachScalerExplains()

	whatIf := s.byName(explain, "orders").(map[string]any)
	whatIf["queueDepth"] = 500
	var then explanation
	scaler.mustCall(explain, whatIf, &then)
	require.Equal(t, int32(4), then.DesiredReplicas, "%+v", then)
	require.Equal(t, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas", then.Explanation)

	s.eachClientKeepsToItsOwn(scaler)
	_, err = run(t.Context(), "grpcurl", "-cacert", scaler.certificates+"/people/ca.crt", "-max-time", "10", scaler.address, "list")
	require.Error(t, err, "the scaler answers without a client certificate")
	_, err = run(t.Context(), "grpcurl", "-plaintext", "-max-time", "10", scaler.address, "list")
	require.Error(t, err, "the scaler answers in clear text")
}

// eachClientKeepsToItsOwn: KEDA's certificate asks no Inspector, people's plays no KEDA and
// names neither a server nor a Secret; and nobody sends the scaler elsewhere.
func (s *space) eachClientKeepsToItsOwn(scaler connection) {
	s.t.Helper()
	forged := map[string]any{"name": "orders", "namespace": s.name, "scalerMetadata": map[string]string{
		"channelName": "orders", "redisAddress": "dragonfly:6379", "passwordFromSecret": "stripe/api-key",
	}}
	for _, refused := range []struct {
		as, method string
		request    any
		words      string
	}{
		{kedaClient, explain, s.byName(explain, "orders"), "pubsub.inspect.v1.Inspector is for the controller and people"},
		{peopleClient, isActive, s.byName(isActive, "orders"), "externalscaler.ExternalScaler is for KEDA and the controller"},
		{peopleClient, explain, forged, "people may ask by name only"},
		{kedaClient, isActive, forged, "differs from ScaledObject " + s.name + "/orders in the cluster (passwordFromSecret)"},
	} {
		data, err := json.Marshal(refused.request)
		require.NoError(s.t, err)
		_, err = scaler.grpcurl(s.t.Context(), refused.as, []string{"-d", string(data)}, refused.method)
		var failed *commandError
		require.ErrorAs(s.t, err, &failed, "%s as %s", refused.method, refused.as)
		require.Contains(s.t, failed.stderr, "PermissionDenied", "%s as %s", refused.method, refused.as)
		require.Contains(s.t, failed.stderr, refused.words, "%s as %s", refused.method, refused.as)
	}
}

// eachScalerExplains asks every replica of the scaler: all give the same answer.
func (s *space) eachScalerExplains() {
	s.t.Helper()
	pods := &corev1.PodList{}
	require.NoError(s.t, env.client.List(s.t.Context(), pods, client.InNamespace(systemNamespace),
		client.MatchingLabels{"app": pubsubOperatorApp, "app.kubernetes.io/component": "scaler"}))
	require.NotEmpty(s.t, pods.Items)
	for _, pod := range pods.Items {
		var now explanation
		s.connectScaler("pod/"+pod.Name).mustCall(explain, s.byName(explain, "orders"), &now)
		s.logf("%s: %s", pod.Name, now.Explanation)
		require.Equal(s.t, explanation{
			QueueDepth: 300, Ready: 300, LowerBound: 150, UpperBound: 450, QueueType: "list",
			Replicas: 3, DesiredReplicas: 3, Reason: "REASON_WITHIN_BAND", Active: true, MetricValue: 300,
			Explanation:       "queue depth 300 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3",
			ToleranceHonoured: now.ToleranceHonoured, // by the API server's version
		}, now)
	}
}

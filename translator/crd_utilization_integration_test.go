//go:build integration

package translator

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// byUtilization chooses the policy, with fields of spec.autoScaling.utilization in turn.
func byUtilization(fields ...any) func(*string, map[string]any, map[string]any) {
	return func(_ *string, _, auto map[string]any) {
		values := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			values[fields[i].(string)] = fields[i+1]
		}
		auto["policy"], auto["utilization"] = "Utilization", values
	}
}

// ofQueue chooses the policy for a queue.
func ofQueue(fields ...any) func(*string, map[string]any, map[string]any) {
	return both(inAutoScaling("policy", "Utilization"), both(mine, in("queue", fields...)))
}

const neverShown = "the policy Utilization needs work in flight, which a SortedSet, PubSub, Arq, and Celery with inFlight None never show"

// utilizationRules are the CRD's about the policy Utilization.
var utilizationRules = map[string]rule{
	"policy of none":                         {inAutoScaling("policy", "Fastest"), "Unsupported value"},
	"policy Threshold":                       {inAutoScaling("policy", "Threshold"), ""},
	"policy Utilization":                     {inAutoScaling("policy", "Utilization"), ""},
	"utilization, with nothing in it":        {byUtilization(), ""},
	"utilization with everything":            {byUtilization("target", int64(60), "scaleUp", int64(75), "scaleDown", int64(40), "window", "10m"), ""},
	"utilization without its policy":         {inAutoScaling("utilization", map[string]any{}), "utilization configures the policy Utilization: set policy to Utilization"},
	"utilization of policy Threshold":        {both(byUtilization(), inAutoScaling("policy", "Threshold")), "utilization configures the policy Utilization"},
	"utilization target at scaleUp":          {byUtilization("target", int64(90)), "target must be more than scaleDown (default 70) and less than scaleUp (default 90)"},
	"utilization target at scaleDown":        {byUtilization("target", int64(70)), "target must be more than scaleDown"},
	"utilization of the least numbers":       {byUtilization("scaleDown", int64(1), "target", int64(2), "scaleUp", int64(3), "window", "15s"), ""},
	"utilization of the greatest numbers":    {byUtilization("scaleDown", int64(98), "target", int64(99), "scaleUp", int64(100), "window", "1h"), ""},
	"utilization scaleUp over 100":           {byUtilization("scaleUp", int64(101)), "spec.autoScaling.utilization.scaleUp"},
	"utilization scaleUp below 3":            {byUtilization("scaleUp", int64(2)), "spec.autoScaling.utilization.scaleUp"},
	"utilization target over 99":             {byUtilization("target", int64(100)), "spec.autoScaling.utilization.target"},
	"utilization target below 2":             {byUtilization("target", int64(1)), "spec.autoScaling.utilization.target"},
	"utilization scaleDown over 98":          {byUtilization("scaleDown", int64(99)), "spec.autoScaling.utilization.scaleDown"},
	"utilization scaleDown 0":                {byUtilization("scaleDown", int64(0)), "spec.autoScaling.utilization.scaleDown"},
	"utilization window too short":           {byUtilization("window", "14.9s"), "window must be a duration from 15s to 1h"},
	"utilization window too long":            {byUtilization("window", "1h1s"), "window must be a duration from 15s to 1h"},
	"utilization window of a word":           {byUtilization("window", "long"), "window must be a duration from 15s to 1h"},
	"utilization window as a number":         {byUtilization("window", int64(120)), "spec.autoScaling.utilization.window"},
	"utilization window, very long text":     {byUtilization("window", "1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s"), "spec.autoScaling.utilization.window"},
	"workerConcurrency":                      {both(inAutoScaling("policy", "Utilization"), inAutoScaling("workerConcurrency", int64(10000))), ""},
	"workerConcurrency of policy Threshold":  {inAutoScaling("workerConcurrency", int64(4)), ""},
	"workerConcurrency 0":                    {inAutoScaling("workerConcurrency", int64(0)), "spec.autoScaling.workerConcurrency"},
	"workerConcurrency 10001":                {inAutoScaling("workerConcurrency", int64(10001)), "spec.autoScaling.workerConcurrency"},
	"Utilization of a list":                  {ofQueue("type", "List"), ""},
	"Utilization of a stream":                {ofQueue("type", "Stream"), ""},
	"Utilization of a sorted set":            {ofQueue("type", "SortedSet"), neverShown},
	"Utilization of a sorted set with times": {ofQueue("type", "SortedSet", "score", "UnixSeconds"), neverShown},
	"Utilization of PubSub":                  {ofQueue("type", "PubSub"), neverShown},
	"Utilization of Celery's own tasks":      {ofQueue("preset", "Celery", "inFlight", "Queue"), ""},
	"Utilization of Celery without tasks":    {ofQueue("preset", "Celery", "inFlight", "None"), neverShown},
	"Threshold of Celery without tasks":      {both(mine, in("queue", "preset", "Celery", "inFlight", "None")), ""},
}

func TestDefaultsOfUtilization(t *testing.T) {
	s := sharedServer(t)
	u := object(s.namespace(t), byUtilization())
	require.NoError(t, s.Create(t.Context(), u, client.DryRunAll))
	auto := u.Object["spec"].(map[string]any)["autoScaling"].(map[string]any)
	assert.Equal(t, map[string]any{"target": int64(80), "scaleUp": int64(90), "scaleDown": int64(70), "window": "120s"}, auto["utilization"])
	assert.NotContains(t, auto, "workerConcurrency", "the controller knows the default, from env")
}

// The CRD refuses the policy Utilization for the queues for which the scaler would, and for no
// others.
func TestTheCRDRefusesUtilizationWhereTheScalerWould(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	var queues []v1.QueueSpec
	for _, kind := range declared.Values[v1.QueueType](t) {
		queues = append(queues, v1.QueueSpec{Type: kind})
	}
	for _, preset := range declared.Values[v1.QueuePreset](t) {
		queues = append(queues, v1.QueueSpec{Preset: preset})
	}
	for _, inFlight := range declared.Values[v1.InFlight](t) {
		queues = append(queues, v1.QueueSpec{Preset: v1.PresetCelery, InFlight: inFlight})
	}
	refused := 0
	for _, queue := range queues {
		channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.Policy = v1.PolicyUtilization }))
		channel.Namespace, channel.UID = namespace, ""
		channel.Spec.Image, channel.Spec.Queue = "mine", &queue
		problem := testWorkers.Plan(channel).Invalid
		err := s.Create(t.Context(), channel, client.DryRunAll)
		if problem == nil {
			assert.NoError(t, err, "%+v", queue)
			continue
		}
		refused++
		require.ErrorContains(t, problem, "policy is", "%+v", queue)
		assert.ErrorContains(t, err, neverShown, "%+v", queue)
	}
	assert.Equal(t, 4, refused, "SortedSet, PubSub, Arq, and Celery with inFlight None")
}

package sampling_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

func TestGaugesOfQueues(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "a", "b").Err())
	require.NoError(t, client.SAdd(t.Context(), "set", "a").Err())
	registry := prometheus.NewRegistry()
	metrics := sampling.NewMetrics(registry)
	pool := newPool(t, sampling.Options{Tick: time.Hour, Metrics: metrics})
	metrics.Watch(registry, pool)
	wanted := broker.Server{Address: server.Addr}
	other := wanted
	other.Namespace = "team-b" // the same queue, watched twice
	for _, s := range []broker.Server{wanted, other} {
		_, err := pool.Depth(t.Context(), s, list("q"))
		require.NoError(t, err)
	}
	_, err := pool.Depth(t.Context(), wanted, list("set"))
	require.Error(t, err, "what can't be read has no depth, not 0")
	families, err := registry.Gather()
	require.NoError(t, err)
	var told []string
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "pubsub_scaler_queue_") {
			for _, metric := range family.GetMetric() {
				told = append(told, family.GetName()+" "+metric.String())
			}
		}
	}
	require.Len(t, told, 1, "no rate and no age yet")
	for _, want := range []string{"pubsub_scaler_queue_depth ", `"redis://` + server.Addr + `"`, `"q"`, `"list"`, "value:2"} {
		assert.Contains(t, told[0], want)
	}
}

func TestSeveralQueuesAtOnce(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "a", "x").Err())
	require.NoError(t, client.LPush(t.Context(), "b", "x", "y").Err())
	require.NoError(t, client.SAdd(t.Context(), "set", "x").Err())
	require.NoError(t, client.SAdd(t.Context(), "other", "x").Err())
	pool := newPool(t, sampling.Options{})
	wanted := broker.Server{Address: server.Addr}
	samples, err := pool.Depths(t.Context(), wanted, []queue.Queue{list("a"), list("b"), list("a")})
	require.NoError(t, err)
	require.Len(t, samples, 3)
	assert.EqualValues(t, 1, samples[0].Total())
	assert.EqualValues(t, 2, samples[1].Total())
	assert.Equal(t, samples[0].Total(), samples[2].Total())
	for range 20 {
		_, err = pool.Depths(t.Context(), wanted, []queue.Queue{list("a"), list("set"), list("other")})
		assert.ErrorContains(t, err, `"set"`, "the first in their order")
	}
	samples, err = pool.Depths(t.Context(), wanted, nil)
	require.NoError(t, err)
	assert.Empty(t, samples)
}

func TestASubscriptionOfSeveralQueues(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{Tick: time.Hour, IdleTimeout: time.Nanosecond})
	subscription, err := pool.Subscribe(broker.Server{Address: server.Addr}, list("a"), list("b"), list("a"))
	require.NoError(t, err)
	awaitUpdate(t, subscription)
	_, queues := pool.Size()
	assert.Equal(t, 2, queues)
	subscription.Await(true)
	subscription.Close()
	subscription.Close()
}

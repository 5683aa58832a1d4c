package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

func TestCauses(t *testing.T) {
	server := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "secret")
	client := server.Client()
	require.NoError(t, client.SAdd(t.Context(), "set", "a").Err())
	require.NoError(t, client.XGroupCreateMkStream(t.Context(), "stream", "a", "0").Err())
	require.NoError(t, client.XGroupCreate(t.Context(), "stream", "b", "0").Err())
	tests := map[string]struct {
		address string
		queue   queue.Queue
		cause   broker.Cause
		words   string
	}{
		"wrong type":   {server.Addr, queue.Queue{Key: "set", Kind: queue.Auto}, broker.WrongType, "name a list, a stream or a sorted set as channelName"},
		"two groups":   {server.Addr, queue.Queue{Key: "stream", Kind: queue.Auto}, broker.NoGroup, "set consumerGroup to one of them"},
		"refused":      {"127.0.0.1:1", list("q"), broker.Unreachable, "check that the server runs and accepts connections there, or correct redisAddress"},
		"not accepted": {redistest.StartFull(t), list("q"), broker.Unreachable, "check that the server runs and accepts connections there, or correct redisAddress"},
		"unknown host": {"no-such-host.invalid:6379", list("q"), broker.UnknownHost, "no such host: correct redisAddress"},
		"silent":       {redistest.StartSilent(t), list("q"), broker.Slow, "the server accepts connections but does not answer"},
		"password":     {locked.Addr, list("q"), broker.Unauthorized, "the server wants other credentials"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := patient
			if name == "silent" || name == "not accepted" {
				timeout = 2 * time.Second
			}
			pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: timeout, Resolver: redistest.Zone{}.Resolver(t)}})
			ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
			defer cancel()
			sample, err := pool.Depth(ctx, broker.Server{Address: test.address}, test.queue)
			var read *broker.ReadError
			require.ErrorAs(t, err, &read)
			assert.Equal(t, test.cause, read.Cause(), "%v", err)
			assert.ErrorContains(t, err, test.words)
			assert.ErrorContains(t, err, test.address)
			assert.Zero(t, sample)
		})
	}
}

func TestModesThatAreNotSo(t *testing.T) {
	single := redistest.Start(t)
	cluster := redistest.StartCluster(t, 3)
	tests := map[string]struct {
		server broker.Server
		words  string
	}{
		"Cluster for a single server":  {broker.Server{Mode: broker.Cluster, Address: single.Addr}, "the server is not in a cluster: leave redisMode out"},
		"Standalone for a cluster":     {broker.Server{Address: cluster.Addrs()[0]}, "the server is one of a cluster: set redisMode to Cluster"},
		"Sentinel for a single server": {broker.Server{Mode: broker.Sentinel, Address: single.Addr, SentinelMaster: "mymaster"}, "the server is not a sentinel"},
	}
	key := cluster.Keys()[2]
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, sampling.Options{})
			_, err := pool.Depth(t.Context(), test.server, list(key))
			assert.ErrorContains(t, err, test.words)
		})
	}
}

// A mode that is not known is no reason to read the first server that is named as if it stood
// alone: its depth may be another's.
func TestAModeThatIsNotKnownIsAnError(t *testing.T) {
	pool := newPool(t, sampling.Options{})
	_, err := pool.Depth(t.Context(), broker.Server{Mode: "Ring", Address: "127.0.0.1:1"}, list("q"))
	var failure *broker.ReadError
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, broker.Fault, failure.Cause())
	assert.ErrorAs(t, err, new(*broker.ModeError))
	assert.ErrorContains(t, err, `"Ring"`)
}

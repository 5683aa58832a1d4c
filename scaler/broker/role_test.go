package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A failover as an operator does it: the master is demoted, and the Service moves on. What
// the old one answers on the connections that there are does not count. The time is a
// bubble's, the servers are not: it counts the ticks.
func TestADemotedMasterIsLeft(t *testing.T) {
	old, successor := redistest.Start(t), redistest.Start(t)
	client := old.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "a").Err())
	require.NoError(t, successor.Client().LPush(t.Context(), "q", "a", "b").Err())
	service := redistest.StartProxy(t, old.Addr)
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, sampling.Options{})
		server := broker.Server{Address: service.Addr}
		subscription, err := pool.Subscribe(server, list("q"))
		require.NoError(t, err)
		defer subscription.Close()
		read := func() (sampling.Sample, error) {
			<-subscription.Updates()
			return pool.Depth(t.Context(), server, list("q"))
		}
		sample, err := read()
		require.NoError(t, err)
		require.EqualValues(t, 1, sample.Total())

		// It goes on answering with what it has: its new master is not there.
		require.NoError(t, client.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
		_, err = read()
		require.Equal(t, broker.StaleReplica, causeOf(err), "the next read notices: %v", err)
		assert.ErrorContains(t, err, "is a replica of 127.0.0.1:1 now")

		service.LeadTo(successor.Addr)
		moved := time.Now()
		sample, err = read()
		if err != nil { // of the connections that were made before
			sample, err = read()
		}
		require.NoError(t, err, "the old connections were not kept")
		assert.EqualValues(t, 2, sample.Total())
		assert.Less(t, time.Since(moved), 3*tick, "nor was there a back-off")
	})
}

// A user who may not run ROLE: that is noted once, and the depths are read.
func TestARoleThatIsNotTold(t *testing.T) {
	server := redistest.Start(t)
	require.NoError(t, server.Client().Do(t.Context(), "ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+hello", "+auth").Err())
	require.NoError(t, server.Client().LPush(t.Context(), "q", "a").Err())
	var log log
	pool := newPool(t, sampling.Options{Options: broker.Options{Logger: log.logger()}})
	wanted := broker.Server{Address: server.Addr, Username: broker.Secret{Value: "reader"}, Password: broker.Secret{Value: "pw"}}
	becomes(t, pool, wanted, "q", 1)
	before := redistest.Calls(t, server.Client(), "llen")
	require.Eventually(t, func() bool {
		_, err := pool.Depth(t.Context(), wanted, list("q"))
		require.NoError(t, err)
		return redistest.Calls(t, server.Client(), "llen") > before+10
	}, deadline, tick)
	assert.Equal(t, 1, strings.Count(log.String(), "let its user run ROLE"), log.String())
}

func TestALoadingServerIsNotEmpty(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "a").Err())
	pool := newPool(t, sampling.Options{})
	becomes(t, pool, broker.Server{Address: server.Addr}, "q", 1)
	// A replica that may not serve what it has says MASTERDOWN, and that it is a replica.
	require.NoError(t, client.ConfigSet(t.Context(), "replica-serve-stale-data", "no").Err())
	require.NoError(t, client.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	becomes(t, pool, broker.Server{Address: server.Addr}, "q", broker.StaleReplica)
	require.NoError(t, client.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	becomes(t, pool, broker.Server{Address: server.Addr}, "q", 1)
}

package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

func TestSentinelsLeadToTheMaster(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	require.NoError(t, sentinel.Client().LPush(t.Context(), "q", "a", "b").Err())
	server := broker.Server{Mode: broker.Sentinel, SentinelMaster: sentinel.MasterName, Address: strings.Join(sentinel.SentinelAddrs(), ",")}
	pool := newPool(t, sampling.Options{Tick: 100 * time.Millisecond})
	becomes(t, pool, server, "q", 2)

	unknown := server
	unknown.SentinelMaster = "other"
	_, err := pool.Depth(t.Context(), unknown, list("q"))
	assert.ErrorContains(t, err, `no sentinel knows a master "other": correct sentinelMaster`)

	old := sentinel.Master()
	master := sentinel.Failover(t)
	require.NotEqual(t, old.Addr, master.Addr)
	require.NoError(t, master.Client().LPush(t.Context(), "q", "c").Err())
	becomes(t, pool, server, "q", 3)

	// Both others have it, and are replicas.
	require.Eventually(t, func() bool {
		replicas, err := master.Client().Wait(t.Context(), 2, time.Second).Result()
		return err == nil && replicas == 2
	}, deadline, tick)

	// A sentinel that does not answer is left for another, and a master that does not for
	// the one that takes its place.
	sentinel.Sentinels[0].Pause()
	defer sentinel.Sentinels[0].Resume()
	master.Pause()
	defer master.Resume()
	next := sentinel2(t, sentinel, master)
	require.NoError(t, next.Client().LPush(t.Context(), "q", "d").Err())
	switched := time.Now()
	becomes(t, pool, server, "q", 4)
	t.Logf("the new master was read %s after it was one", time.Since(switched))
}

// sentinel2 waits for another master than old, where the first sentinel does not answer.
func sentinel2(t *testing.T, sentinel *redistest.Sentinel, old *redistest.Server) *redistest.Server {
	t.Helper()
	var master *redistest.Server
	require.Eventually(t, func() bool {
		for _, server := range sentinel.Data {
			if server == old {
				continue
			}
			role, err := server.Client().Do(t.Context(), "ROLE").Slice()
			if err == nil && role[0] == "master" {
				master = server
			}
		}
		return master != nil
	}, deadline, 100*time.Millisecond)
	return master
}

// Sentinels are spoken to by TLS or not, whichever way their servers are.
func TestSentinelsWithAndWithoutTLS(t *testing.T) {
	for name, serversTLS := range map[string]bool{"plain sentinels, servers with TLS": true, "sentinels with TLS, plain servers": false} {
		t.Run(name, func(t *testing.T) {
			authority := redistest.TLS(t)
			sentinel := redistest.StartSentinelOfBoth(t, authority, serversTLS)
			require.NoError(t, sentinel.Client().LPush(t.Context(), "q", "a", "b").Err())
			source := newSecrets()
			source.setTLS(authority, authority)
			server := tlsServer(strings.Join(sentinel.OtherAddrs(), ","))
			server.Mode, server.SentinelMaster = broker.Sentinel, sentinel.MasterName
			server.TLS.Enabled, server.TLS.Sentinels = serversTLS, !serversTLS
			pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source}})
			becomes(t, pool, server, "q", 2)

			// Spoken to like the servers, they do not answer, and it is told what to set.
			server.TLS.Enabled, server.TLS.Sentinels = serversTLS, serversTLS
			if serversTLS {
				_, err := read(t, pool, server, list("q"))
				assert.Equal(t, broker.TLSFailed, causeOf(err), "%v", err)
				assert.ErrorContains(t, err, "expect TLS there: set sentinelTLS to false")
				return
			}
			_, err := read(t, pool, server, list("q"))
			assert.ErrorContains(t, err, "expects TLS there: set sentinelTLS to true")
		})
	}
}

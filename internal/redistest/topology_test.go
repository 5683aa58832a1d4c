package redistest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// secured are the arguments of servers that are plain, or take TLS and ACL users only.
func secured(t *testing.T) map[string][]string {
	return map[string][]string{
		"plain":       nil,
		"password":    {"--requirepass", "secret"},
		"TLS and ACL": append(redistest.TLS(t).Args(), redistest.ACLArgs()...),
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	for name, args := range secured(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, args...)
			require.NoError(t, server.Client().Set(t.Context(), "k", "v", 0).Err())
			bare := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
			defer bare.Close()
			assert.Equal(t, args == nil, bare.Ping(t.Context()).Err() == nil, "a connection without credentials")
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	for name, args := range secured(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, 3, args...)
			require.Len(t, cluster.Addrs(), 3)
			client := cluster.Client()
			owners := map[string]bool{}
			for i := range 30 {
				key := fmt.Sprint("k", i)
				require.NoError(t, client.Set(t.Context(), key, "v", 0).Err())
				owners[cluster.Owner(key).Addr] = true
			}
			assert.Len(t, owners, 3)

			from := cluster.Owner("k1")
			to := cluster.Nodes[0]
			if to == from {
				to = cluster.Nodes[1]
			}
			cluster.MigrateSlotWith(t, "k1", to, func() {
				assert.True(t, redis.HasErrorPrefix(from.Client().Get(t.Context(), "k1").Err(), "ASK"))
			})
			assert.Equal(t, to, cluster.Owner("k1"))
			assert.True(t, redis.HasErrorPrefix(from.Client().Get(t.Context(), "k1").Err(), "MOVED"))
			assert.Equal(t, "v", client.Get(t.Context(), "k1").Val())
			assert.Equal(t, "v", to.Client().Get(t.Context(), "k1").Val())
		})
	}
}

func TestClusterWithReplicas(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartClusterWithReplicas(t, 3, 1, append(redistest.TLS(t).Args(), redistest.ACLArgs()...)...)
	require.Len(t, cluster.Nodes, 6)
	old := cluster.Owner("k")
	require.NoError(t, old.Client().Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, old.Client().Wait(t.Context(), 1, 10*time.Second).Err())
	old.Kill()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		value, err := cluster.Client().Get(t.Context(), "k").Result()
		assert.NoError(c, err)
		assert.Equal(c, "v", value)
	}, time.Minute, 100*time.Millisecond, "its replica takes over")
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	for name, args := range secured(t) {
		if name == "plain" {
			continue // the test of samplingtest's failover
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sentinel := redistest.StartSentinel(t, args...)
			require.Len(t, sentinel.SentinelAddrs(), 3)
			client := sentinel.Client()
			require.NoError(t, client.Set(t.Context(), "k", "v", 0).Err())
			require.EqualValues(t, 2, client.Wait(t.Context(), 2, 10*time.Second).Val())

			first := sentinel.Master()
			second := sentinel.Failover(t)
			assert.NotEqual(t, first.Addr, second.Addr)
			assert.Equal(t, second, sentinel.Master())

			// The first is a replica of the second's now; the second dies.
			require.Eventually(t, func() bool {
				role, err := first.Client().Do(t.Context(), "ROLE").Slice()
				return err == nil && role[0] == "slave" && role[3] == "connected"
			}, time.Minute, 50*time.Millisecond)
			second.Pause()
			third := sentinel.AwaitMaster(t, second)
			assert.Equal(t, "v", third.Client().Get(t.Context(), "k").Val())
			second.Resume()
			assert.Eventually(t, func() bool {
				role, err := second.Client().Do(t.Context(), "ROLE").Slice()
				return err == nil && role[0] == "slave"
			}, time.Minute, 50*time.Millisecond, "the sentinels demote it")
		})
	}
}

func TestReadOnlyUser(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.ACLArgs()...)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, Username: redistest.ReaderUser, Password: redistest.ReaderPassword})
	defer client.Close()
	assert.NoError(t, client.LLen(t.Context(), "q").Err())
	for name, err := range map[string]error{
		"writing":                   client.LPush(t.Context(), "q", "x").Err(),
		"reading a list's messages": client.LRange(t.Context(), "q", 0, -1).Err(),
		"keys":                      client.Keys(t.Context(), "*").Err(),
		"a script":                  client.Eval(t.Context(), "return 1", nil).Err(),
	} {
		assert.True(t, redis.HasErrorPrefix(err, "NOPERM"), "%s: %v", name, err)
	}
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	for name, args := range secured(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, args...)
			monitor := server.Monitor(t)
			key := "a \"quoted\"\n\x00\x06\xffkey"
			require.NoError(t, server.Client().LPush(t.Context(), key, "x").Err())
			user := "default"
			if name == "TLS and ACL" {
				user = redistest.AdminUser
			}
			last := func(commands []redistest.Command) redistest.Command {
				require.NotEmpty(t, commands)
				return commands[len(commands)-1]
			}
			assert.Equal(t, []string{"lpush", key, "x"}, last(monitor.Commands()).Args)
			assert.Equal(t, user, last(monitor.Of(user)).User)
			assert.Empty(t, monitor.Of("nobody"))
			monitor.Reset()
			assert.Empty(t, monitor.Commands())
		})
	}
}

package broker_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

func allowing(t *testing.T, list string) broker.Allowlist {
	t.Helper()
	allowed, err := broker.ParseAllowlist(list)
	require.NoError(t, err)
	return allowed
}

func TestParseAllowlistRefuses(t *testing.T) {
	for _, list := range []string{"*", "*.", "a b", "redis://a", "a:6379", "10.0.0.0/33", "*.*.svc", "a.*", "..svc", "a,*:1"} {
		_, err := broker.ParseAllowlist(list)
		assert.ErrorContains(t, err, "all without a port", "%q", list)
	}
}

// Which of these servers are connected to: none of them is there, but that is another error.
func TestAllowlist(t *testing.T) {
	tests := map[string]struct {
		list    string
		address string
		allowed bool
	}{
		"all":                           {"", "127.0.0.1:1", true},
		"a name":                        {"localhost", "localhost:1", true},
		"a name in other letters":       {"LocalHost", "LOCALHOST.:1", true},
		"another name":                  {"dragonfly.team-a.svc", "localhost:1", false},
		"a name that only ends so":      {"dragonfly", "mydragonfly:1", false},
		"a suffix":                      {"*.invalid", "dragonfly.team-a.invalid:1", true},
		"a suffix itself":               {"*.invalid", "invalid:1", false},
		"not a whole label":             {"*.team-a.invalid", "dragonfly.other-team-a.invalid:1", false},
		"an address":                    {"127.0.0.1", "127.0.0.1:1", true},
		"an address in a network":       {"10.0.0.0/8, 127.0.0.0/8", "127.0.0.1:1", true},
		"an address in none":            {"10.0.0.0/8", "127.0.0.1:1", false},
		"an address where names are":    {"localhost", "127.0.0.1:1", false},
		"a name in a network":           {"127.0.0.0/8,::1", "localhost:1", true},
		"a name in none":                {"10.0.0.0/8", "localhost:1", false},
		"an address written in IPv6":    {"127.0.0.0/8", "[::ffff:127.0.0.1]:1", true},
		"an IPv6 address in no network": {"127.0.0.0/8", "[::1]:1", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, sampling.Options{Options: broker.Options{Allowed: allowing(t, test.list), ReadTimeout: time.Second}})
			_, err := pool.Depth(t.Context(), broker.Server{Address: test.address}, list("q"))
			require.Error(t, err)
			assert.Equal(t, test.allowed, causeOf(err) != broker.NotAllowed, "%v", err)
			if !test.allowed {
				assert.ErrorContains(t, err, "is not allowed: the administrator of the scaler decides")
			}
		})
	}
}

// What is certain is told before anything is connected to.
func TestWhatIsNotAllowedIsNotAsked(t *testing.T) {
	address, connections := redistest.StartHangingUp(t)
	pool := newPool(t, sampling.Options{Options: broker.Options{Allowed: allowing(t, "10.0.0.0/8,*.svc")}})
	for _, mode := range []broker.Mode{"", broker.Standalone, broker.Sentinel, broker.Cluster} {
		server := broker.Server{Mode: mode, Address: "10.0.0.1:6379," + address}
		_, err := pool.Depth(t.Context(), server, list("q"))
		assert.Equal(t, broker.NotAllowed, causeOf(err), "%v", err)
		_, err = pool.Subscribe(server, list("q"))
		assert.Equal(t, broker.NotAllowed, causeOf(err), "%v", err)
	}
	_, port, _ := net.SplitHostPort(address)
	_, err := pool.Depth(t.Context(), broker.Server{Address: "localhost:" + port}, list("q"))
	assert.Equal(t, broker.NotAllowed, causeOf(err), "%v", err)
	assert.ErrorContains(t, err, "localhost:"+port+" (", "the address that the name has")
	assert.Zero(t, connections.Load())
	servers, _ := pool.Size()
	assert.Equal(t, 1, servers, "what is certain needs no sampler")
}

// A server that is allowed must not lead the scaler to one that is not.
func TestAClusterLeadsNowhereForbidden(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	keys := cluster.Keys()
	forbidden := cluster.Nodes[2]
	// The others tell their clients another name for it, that is not allowed.
	require.NoError(t, forbidden.Client().ConfigSet(t.Context(), "cluster-announce-hostname", "elsewhere.localhost").Err())
	for _, node := range cluster.Nodes {
		client := node.Client()
		require.NoError(t, client.ConfigSet(t.Context(), "cluster-preferred-endpoint-type", "hostname").Err())
		require.NoError(t, cluster.Nodes[0].Client().ConfigSet(t.Context(), "cluster-announce-hostname", "localhost").Err())
		require.NoError(t, cluster.Nodes[1].Client().ConfigSet(t.Context(), "cluster-announce-hostname", "localhost").Err())
		require.Eventually(t, func() bool {
			slots, err := client.Do(t.Context(), "CLUSTER", "NODES").Text()
			return err == nil && strings.Contains(slots, ",elsewhere.localhost") && strings.Count(slots, ",localhost") == 2
		}, deadline, tick)
	}
	_, port, _ := net.SplitHostPort(cluster.Nodes[0].Addr)
	pool := newPool(t, sampling.Options{Options: broker.Options{Allowed: allowing(t, "localhost")}})
	server := broker.Server{Mode: broker.Cluster, Address: "localhost:" + port}
	becomes(t, pool, server, keys[0], 0)
	becomes(t, pool, server, keys[1], 0)
	_, err := pool.Depth(t.Context(), server, list(keys[2]))
	assert.Equal(t, broker.NotAllowed, causeOf(err), "%v", err)
	assert.ErrorContains(t, err, "elsewhere.localhost")
}

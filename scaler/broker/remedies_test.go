package broker_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// What real servers answer to a wrong setting names the setting, and what to make of it.
func TestRemediesNameTheSetting(t *testing.T) {
	server := redistest.Start(t)
	full := redistest.Start(t)
	require.NoError(t, full.Client().ConfigSet(t.Context(), "maxclients", "1").Err())
	locked := redistest.Start(t, "--requirepass", "right")
	cluster := redistest.StartCluster(t, 1)
	sentinels := redistest.StartSentinel(t, "--requirepass", "right")
	open := redistest.StartSentinel(t)
	at := strings.Join(sentinels.SentinelAddrs(), ",")
	wrong := broker.Secret{Value: "wrong"}
	tests := map[string]struct {
		server broker.Server
		cause  broker.Cause
		words  string
	}{
		"sentinels without their password": {broker.Server{Mode: broker.Sentinel, Address: at, SentinelMaster: sentinels.MasterName, Password: broker.Secret{Value: "right"}},
			broker.Unauthorized, "NOAUTH Authentication required.: the sentinels want other credentials: correct what sentinelUsernameFromSecret and sentinelPasswordFromSecret name, or set them"},
		"sentinels with a wrong password": {broker.Server{Mode: broker.Sentinel, Address: at, SentinelMaster: sentinels.MasterName, SentinelPassword: wrong},
			broker.Unauthorized, "correct what sentinelUsernameFromSecret and sentinelPasswordFromSecret name"},
		"the master without its password": {broker.Server{Mode: broker.Sentinel, Address: at, SentinelMaster: sentinels.MasterName, SentinelPassword: broker.Secret{Value: "right"}},
			broker.Unauthorized, "the server wants other credentials: correct what usernameFromSecret and passwordFromSecret name"},
		"Standalone at a sentinel": {broker.Server{Address: open.SentinelAddrs()[0]},
			broker.NotRedis, "is a sentinel: set redisMode to Sentinel, and sentinelMaster to the name under which it knows the master, one of: mymaster"},
		"Standalone at a sentinel, with a database": {broker.Server{Address: open.SentinelAddrs()[0], Database: 1},
			broker.Unreadable, "if it is a sentinel, set redisMode to Sentinel and sentinelMaster"},
		"Cluster at a sentinel": {broker.Server{Mode: broker.Cluster, Address: open.SentinelAddrs()[0]},
			broker.Unreadable, "if it is a sentinel, set redisMode to Sentinel and sentinelMaster"},
		"Sentinel at a server": {broker.Server{Mode: broker.Sentinel, Address: server.Addr, SentinelMaster: "mymaster"},
			broker.Unreadable, "the server is not a sentinel: correct redisAddress, or leave redisMode and sentinelMaster out"},
		"as many clients as there may be": {broker.Server{Address: full.Addr},
			broker.Unreachable, "the server takes no more connections: raise its maxclients"},
		"a wrong password": {broker.Server{Address: locked.Addr, Password: wrong},
			broker.Unauthorized, "a Secret's value is sent as it is, and must not end in a space"},
		"a database that there is not": {broker.Server{Address: server.Addr, Database: 99},
			broker.Unreadable, "database is 99, and the server has fewer: lower it, or give the server more"},
		"a database of a cluster's node": {broker.Server{Address: cluster.Addrs()[0], Database: 1},
			broker.Unreadable, "the server is one of a cluster: set redisMode to Cluster and leave database out"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: patient}})
			_, err := read(t, pool, test.server, list("q"))
			assert.Equal(t, test.cause, causeOf(err), "%v", err)
			assert.ErrorContains(t, err, test.words)
		})
	}
}

// A master that only the sentinels can reach is not mended by another redisAddress.
func TestAMasterThatCantBeReached(t *testing.T) {
	sentinel := redistest.StartScripted(t, redistest.AfterHello(func(to io.Writer, _ []string, _ <-chan struct{}) {
		_, _ = io.WriteString(to, redistest.Array(redistest.Bulk("127.0.0.1"), redistest.Bulk("1"))) // the client may be gone
	}))
	pool := newPool(t, sampling.Options{})
	_, err := read(t, pool, broker.Server{Mode: broker.Sentinel, Address: sentinel.Addr, SentinelMaster: "main"}, list("q"))
	assert.Equal(t, broker.Unreachable, causeOf(err), "%v", err)
	assert.ErrorContains(t, err, "dial tcp 127.0.0.1:1")
	assert.ErrorContains(t, err, "at the address that it announces to them (replica-announce-ip)")

	_, err = read(t, pool, broker.Server{Mode: broker.Sentinel, Address: "127.0.0.1:1", SentinelMaster: "main"}, list("q"))
	assert.ErrorContains(t, err, "check that the sentinels run and accept connections there, or correct redisAddress")
}

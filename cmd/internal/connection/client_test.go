package connection_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

func open(t *testing.T, s connection.Settings) redis.UniversalClient {
	t.Helper()
	client := s.New(connection.Options{PoolSize: 4})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

func TestDatabaseAndName(t *testing.T) {
	server := redistest.Start(t)
	client := connection.Settings{Addresses: []string{server.Addr}, Database: 3}.New(connection.Options{PoolSize: 1, Name: "worker"})
	defer client.Close()
	require.NoError(t, client.Set(t.Context(), "k", "v", 0).Err())
	require.Contains(t, server.Client().Info(t.Context(), "keyspace").Val(), "db3:keys=1")
	require.Contains(t, server.Client().ClientList(t.Context()).Val(), "name=worker ")
}

// A Secret that changes under a running process is used for the next connection.
func TestFilesAreReadForEachConnection(t *testing.T) {
	old, renewed := redistest.TLS(t), redistest.TLS(t)
	server := redistest.Start(t, append(old.Args(), redistest.ACLArgs()...)...)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	secret := func(a *redistest.Authority, user, password string) {
		write(t, file("ca.crt"), a.CA)
		write(t, file("tls.crt"), a.ClientCert)
		write(t, file("tls.key"), a.ClientKey)
		write(t, file("username"), []byte(user))
		write(t, file("password"), []byte(password+"\n"))
	}
	settings := connection.Settings{
		Addresses: []string{server.Addr}, UsernameFile: file("username"), PasswordFile: file("password"),
		TLS: &connection.TLS{CAFile: file("ca.crt"), CertFile: file("tls.crt"), KeyFile: file("tls.key"), ServerName: "localhost"},
	}
	client := open(t, settings)
	ping := func() error { return client.Ping(t.Context()).Err() }

	err := ping()
	require.ErrorContains(t, err, "ca.crt", "there is no file yet")
	require.False(t, connection.MayHaveHappened(err))
	secret(renewed, redistest.AdminUser, redistest.AdminPassword)
	err = ping()
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	require.False(t, connection.MayHaveHappened(err))
	secret(old, redistest.AdminUser, "wrong")
	err = ping()
	require.True(t, redis.IsAuthError(err), err)
	secret(old, redistest.AdminUser, redistest.AdminPassword)
	require.NoError(t, ping())

	write(t, file("ca.crt"), []byte("nothing"))
	require.NoError(t, ping(), "a connection that stands needs no file")
	killed, err := server.Client().ClientKillByFilter(t.Context(), "TYPE", "normal").Result()
	require.NoError(t, err)
	require.NotZero(t, killed)
	require.Eventually(t, func() bool {
		err := ping()
		return err != nil && strings.Contains(err.Error(), "holds no certificate")
	}, time.Minute, 10*time.Millisecond)

	settings.TLS = &connection.TLS{CAFile: old.CAFile, CertFile: old.ClientCertFile, KeyFile: old.ClientKeyFile, ServerName: "elsewhere"}
	require.ErrorContains(t, open(t, settings).Ping(t.Context()).Err(), "not elsewhere")
}

func TestUnknownSentinelMaster(t *testing.T) {
	s := redistest.StartSentinel(t)
	settings := connection.Settings{Mode: connection.Sentinel, Addresses: s.SentinelAddrs(), SentinelMaster: s.MasterName}
	require.NoError(t, open(t, settings).Ping(t.Context()).Err())
	settings.SentinelMaster = "other"
	err := open(t, settings).LMove(t.Context(), "a", "b", "LEFT", "RIGHT").Err()
	require.ErrorContains(t, err, `REDIS_SENTINEL_MASTER is "other", and the sentinels know no master of that name`)
	require.NotErrorIs(t, err, redis.Nil)
	require.False(t, connection.MayHaveHappened(err))
}

// startRelay starts a proxy. Once lose is set it cuts the next connection on which a reply
// comes, which so is lost.
func startRelay(t *testing.T, to string) (relay *redistest.Proxy, lose *atomic.Bool) {
	t.Helper()
	lose = &atomic.Bool{}
	relay = redistest.StartProxyWith(t, to, func() (requests, replies redistest.Pump) {
		return nil, redistest.Tap(func([]byte) error {
			if lose.CompareAndSwap(true, false) {
				return errors.New("it is lost")
			}
			return nil
		})
	})
	return relay, lose
}

// A command whose reply is lost must not be repeated behind the caller's back: it would
// take a second message. go-redis would in a cluster.
func TestClusterRepeatsNothing(t *testing.T) {
	cluster := redistest.StartCluster(t, 1)
	relay, lose := startRelay(t, cluster.Nodes[0].Addr)
	host, port, err := net.SplitHostPort(relay.Addr)
	require.NoError(t, err)
	node := cluster.Nodes[0].Client()
	// The node tells clients the relay's address in place of its own.
	require.NoError(t, node.ConfigSet(t.Context(), "cluster-announce-ip", host).Err())
	require.NoError(t, node.ConfigSet(t.Context(), "cluster-announce-port", port).Err())
	client := open(t, connection.Settings{Mode: connection.Cluster, Addresses: []string{relay.Addr}})
	for name, command := range map[string]func(ctx context.Context) error{
		"INCR": func(ctx context.Context) error { return client.Incr(ctx, "INCR").Err() },
		"MULTI": func(ctx context.Context) error {
			_, err := client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
				tx.Incr(ctx, "MULTI")
				return nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, command(t.Context()))
			lose.Store(true)
			err := command(t.Context())
			require.Error(t, err)
			require.True(t, connection.MayHaveHappened(err), err)
			require.False(t, lose.Load())
			require.Equal(t, "2", node.Get(t.Context(), name).Val())
			require.Eventually(t, func() bool { return client.Ping(t.Context()).Err() == nil }, time.Minute, 10*time.Millisecond)
		})
	}
}

func TestClusterFollowsMovedSlots(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	client := open(t, connection.Settings{Mode: connection.Cluster, Addresses: cluster.Addrs()[:1]})
	require.NoError(t, client.RPush(t.Context(), "q", "m").Err())
	to := cluster.Nodes[0]
	if cluster.Owner("q") == to {
		to = cluster.Nodes[1]
	}
	cluster.MigrateSlotWith(t, "q", to, func() {
		require.NoError(t, client.RPush(t.Context(), "q", "while it moves").Err())
	})
	require.EqualValues(t, 2, client.LLen(t.Context(), "q").Val())
}

func TestMayHaveHappened(t *testing.T) {
	server := redistest.Start(t)
	nobody := open(t, connection.Settings{Addresses: []string{"127.0.0.1:1"}})
	require.False(t, connection.MayHaveHappened(nobody.Ping(t.Context()).Err()), "no connection")
	require.False(t, connection.MayHaveHappened(server.Client().Do(t.Context(), "NOSUCH").Err()), "refused")
	require.False(t, connection.MayHaveHappened(redis.ErrPoolTimeout))
	require.True(t, connection.MayHaveHappened(errors.New("EOF")))
	require.True(t, connection.MayHaveHappened(io.EOF))
}

func TestEveryTopologyWithTLSAndACL(t *testing.T) {
	authority := redistest.TLS(t)
	args := append(authority.Args(), redistest.ACLArgs()...)
	settings := connection.Settings{
		Username: redistest.AdminUser, Password: redistest.AdminPassword,
		TLS: &connection.TLS{CAFile: authority.CAFile, CertFile: authority.ClientCertFile, KeyFile: authority.ClientKeyFile},
	}
	for name, start := range map[string]func(t *testing.T) connection.Settings{
		"Standalone": func(t *testing.T) connection.Settings {
			s := settings
			s.Mode, s.Addresses = connection.Standalone, []string{redistest.Start(t, args...).Addr}
			return s
		},
		"Sentinel": func(t *testing.T) connection.Settings {
			sentinel := redistest.StartSentinel(t, args...)
			s := settings
			s.Mode, s.Addresses, s.SentinelMaster = connection.Sentinel, sentinel.SentinelAddrs(), sentinel.MasterName
			s.SentinelUsername, s.SentinelPassword, s.SentinelTLS = redistest.AdminUser, redistest.AdminPassword, s.TLS
			return s
		},
		"Cluster": func(t *testing.T) connection.Settings {
			s := settings
			s.Mode, s.Addresses = connection.Cluster, redistest.StartCluster(t, 3, args...).Addrs()[:1]
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			client := open(t, s)
			for _, key := range []string{"a", "b", "c", "d", "e"} {
				require.NoError(t, client.Set(t.Context(), key, "v", 0).Err())
			}
			sub := client.Subscribe(t.Context(), "channel")
			defer sub.Close()
			_, err := sub.Receive(t.Context())
			require.NoError(t, err)
			s.Password = "wrong"
			err = open(t, s).Set(t.Context(), "a", "v", 0).Err()
			require.True(t, redis.IsAuthError(err), err)
		})
	}
}

// Sentinels are spoken to by TLS or not, whichever way the servers are: commands, subscriptions, and after a failover.
func TestSentinelsWithAndWithoutTLS(t *testing.T) {
	for name, serversTLS := range map[string]bool{"plain sentinels, servers with TLS": true, "sentinels with TLS, plain servers": false} {
		t.Run(name, func(t *testing.T) {
			authority := redistest.TLS(t)
			sentinel := redistest.StartSentinelOfBoth(t, authority, serversTLS)
			s := connection.Settings{Mode: connection.Sentinel, Addresses: sentinel.OtherAddrs(), SentinelMaster: sentinel.MasterName}
			encryption := &connection.TLS{CAFile: authority.CAFile, CertFile: authority.ClientCertFile, KeyFile: authority.ClientKeyFile}
			if serversTLS {
				s.TLS = encryption
			} else {
				s.SentinelTLS = encryption
			}
			client := open(t, s)
			require.NoError(t, client.Set(t.Context(), "a", "v", 0).Err())
			sub := client.Subscribe(t.Context(), "channel")
			defer sub.Close()
			_, err := sub.Receive(t.Context())
			require.NoError(t, err)
			master := sentinel.Failover(t)
			require.Eventually(t, func() bool {
				return client.Set(t.Context(), "b", "v", 0).Err() == nil && master.Client().Get(t.Context(), "b").Val() == "v"
			}, 2*time.Minute, 100*time.Millisecond)
		})
	}
}

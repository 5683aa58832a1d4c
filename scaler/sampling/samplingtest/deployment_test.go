//go:build integration

// Package samplingtest holds sampling.Pool against real servers: each kind of queue, in each
// topology; each trap of DragonFly and Redis; a failover; and what the servers saw.
package samplingtest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	tick     = 50 * time.Millisecond
	deadline = time.Minute // for whatever must happen, on a machine that is busy
	poll     = 10 * time.Millisecond
)

const (
	namespace  = "team-a"
	authSecret = "redis-auth"
	tlsSecret  = "redis-tls"
)

// secrets are Kubernetes Secrets, by their names.
type secrets struct {
	mu   sync.Mutex
	data map[string]map[string][]byte
}

func (s *secrets) Secret(_ context.Context, from, name string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.data[name]
	if from != namespace || !ok {
		return nil, fmt.Errorf("secrets %q not found", from+"/"+name)
	}
	return maps.Clone(data), nil
}

func (s *secrets) set(name, key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[name][key] = []byte(value)
}

// deployment is servers in one topology, and how the pool is to reach them.
type deployment struct {
	server   broker.Server
	secrets  *secrets
	client   redis.UniversalClient // with all rights
	nodes    []*redistest.Server   // that hold data, or may come to
	nodeOf   func(key string) *redistest.Server
	cluster  *redistest.Cluster
	sentinel *redistest.Sentinel
}

// unlimited lets a subscriber lag behind as far as a test wants.
var unlimited = []string{"--client-output-buffer-limit", "pubsub", "0", "0", "0"}

func deploy(t *testing.T, mode broker.Mode, withTLS, withACL bool) *deployment {
	t.Helper()
	d := &deployment{server: broker.Server{Mode: mode, Namespace: namespace}, secrets: &secrets{data: map[string]map[string][]byte{}}}
	args := unlimited
	if withTLS {
		authority := redistest.TLS(t)
		args = append(authority.Args(), args...)
		d.secrets.data[tlsSecret] = map[string][]byte{"ca.crt": authority.CA, "tls.crt": authority.ClientCert, "tls.key": authority.ClientKey}
		d.server.TLS = broker.TLS{
			Enabled: true, Sentinels: mode == broker.Sentinel, CA: broker.Secret{Name: tlsSecret, Key: "ca.crt"}, Certificate: broker.Secret{Name: tlsSecret},
		}
	}
	if withACL {
		args = append(redistest.ACLArgs(), args...)
		d.secrets.data[authSecret] = map[string][]byte{"username": []byte(redistest.ReaderUser), "password": []byte(redistest.ReaderPassword)}
		d.server.Username = broker.Secret{Name: authSecret, Key: "username"}
		d.server.Password = broker.Secret{Name: authSecret, Key: "password"}
		if mode == broker.Sentinel {
			d.server.SentinelUsername, d.server.SentinelPassword = d.server.Username, d.server.Password
		}
	}
	d.start(t, args)
	return d
}

func (d *deployment) start(t *testing.T, args []string) {
	t.Helper()
	switch d.server.Mode {
	case broker.Sentinel:
		d.sentinel = redistest.StartSentinel(t, args...)
		d.server.Address, d.server.SentinelMaster = join(d.sentinel.SentinelAddrs()), d.sentinel.MasterName
		d.client, d.nodes = d.sentinel.Client(), d.sentinel.Data
		d.nodeOf = func(string) *redistest.Server { return d.sentinel.Master() }
	case broker.Cluster:
		d.cluster = redistest.StartCluster(t, 3, args...)
		d.server.Address = join(d.cluster.Addrs())
		d.client, d.nodes = d.cluster.Client(), d.cluster.Nodes
		d.nodeOf = d.cluster.Owner
	default:
		server := redistest.Start(t, args...)
		d.server.Address = server.Addr
		d.client, d.nodes = server.Client(), []*redistest.Server{server}
		d.nodeOf = func(string) *redistest.Server { return server }
	}
}

func join(addresses []string) string {
	text := addresses[0]
	for _, address := range addresses[1:] {
		text += "," + address
	}
	return text
}

// pool returns a pool that ends with the test.
func (d *deployment) pool(t *testing.T, options sampling.Options) *sampling.Pool {
	t.Helper()
	if options.Tick == 0 {
		options.Tick = tick
	}
	options.Secrets = d.secrets
	pool := sampling.NewPool(options)
	t.Cleanup(pool.Close)
	return pool
}

// depths is what a pool reads of several queues, with time enough for a busy machine.
func depths(t *testing.T, pool *sampling.Pool, server broker.Server, queues ...queue.Queue) ([]sampling.Sample, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return pool.Depths(ctx, server, queues)
}

// depth is that of one queue, which must be readable.
func depth(t *testing.T, pool *sampling.Pool, server broker.Server, q queue.Queue) sampling.Sample {
	t.Helper()
	samples, err := depths(t, pool, server, q)
	require.NoError(t, err)
	return samples[0]
}

// run executes commands of one word an argument.
func run(t *testing.T, client redis.UniversalClient, commands ...[]any) {
	t.Helper()
	for _, command := range commands {
		require.NoError(t, client.Do(t.Context(), command...).Err(), "%q", command)
	}
}

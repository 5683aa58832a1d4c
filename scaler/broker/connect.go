package broker

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

const (
	// connectionLife bounds how long a connection is used. A demoted server keeps
	// answering on old ones when a Service moves on to another.
	connectionLife = time.Minute
	// sentinelConnectionLife is that in mode Sentinel: each new connection asks a sentinel
	// who the master is, so that a master that only the sentinels gave up is left soon.
	sentinelConnectionLife = 2 * time.Second
	// sentinelShare is the part of the read timeout that one question to a sentinel may
	// take: another must have its turn, and the master, before the read is over.
	sentinelShare = 4
	// slotsShare is the same for a question about a cluster's slots.
	slotsShare = 3
	// topologyAge is how old the knowledge of a cluster's slots may become. Redis tells of a
	// slot that moved when it is asked; DragonFly does not in answer to XINFO.
	topologyAge = 10 * time.Second
	// clusterCommand is the name of the command that go-redis asks for the slots with.
	clusterCommand = "cluster"
)

// link is the connections to a server with one set of credentials.
type link struct {
	server   Server
	material material
	words    words
	client   *redis.Client        // nil in mode Cluster
	cluster  *redis.ClusterClient // nil in the others
	// stop keeps the end of the sampler from closing a link that was closed before.
	stop func() bool

	roleRefused atomic.Bool // the server does not tell its role

	dialing sync.Map // by the node's address ("" for all in other modes): *atomic.Bool

	// Guarded by the mutex of links.
	users   int
	retired bool
}

// open readies connections; none is made before the first command. ctx ends them.
func open(ctx context.Context, server Server, m material, options Options) (*link, error) {
	config, err := m.tlsConfig(server)
	if err != nil {
		return nil, err
	}
	l := &link{server: server, material: m, words: newWords(server, m)}
	d := &dialer{
		allowed: options.Allowed, resolver: options.Resolver, search: options.SearchDomains,
		tls: config, timeout: options.ReadTimeout * 3 / 4,
	}
	switch server.Mode {
	case Sentinel:
		err = l.openSentinel(d, options.ReadTimeout)
	case Cluster:
		err = l.openCluster(d, options.ReadTimeout)
	default:
		o := l.options(d, "", options.ReadTimeout)
		o.Addr = server.Address
		l.client = redis.NewClient(o)
	}
	if err != nil {
		return nil, err
	}
	// go-redis does not end a read when its context is cancelled; closing does.
	l.stop = context.AfterFunc(ctx, func() { _ = l.closeClients() })
	return l, nil
}

// options are those of a connection to a server that holds data.
func (l *link) options(d *dialer, node string, timeout time.Duration) *redis.Options {
	return &redis.Options{
		Protocol: 2,
		Username: l.material.username,
		Password: l.material.password,
		DB:       l.server.Database,
		PoolSize: 2, // reads follow each other; the other is for when one is replaced
		// A pool for pipelines alone would have buffers of 256 KiB for each connection.
		PipelinePoolSize: -1,
		Dialer:           l.noting(d, node),
		DialTimeout:      timeout,
		ReadTimeout:      timeout,
		// A read of several rounds has one deadline for all of them.
		ContextTimeoutEnabled: true,
		// The reads are retried a tick later anyway, and an error is to be told soon.
		MaxRetries:            1,
		DialerRetries:         1,
		ConnMaxLifetime:       connectionLife,
		ConnMaxLifetimeJitter: connectionLife / 10,
		// DragonFly does not know these.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (l *link) openSentinel(d *dialer, timeout time.Duration) error {
	addresses, err := address.ParseList(l.server.Address)
	if err != nil {
		return err
	}
	d.timeout = timeout / sentinelShare
	o := l.options(d, "", timeout)
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            l.server.SentinelMaster,
		SentinelAddrs:         addresses,
		SentinelUsername:      l.material.sentinelUsername,
		SentinelPassword:      l.material.sentinelPassword,
		Protocol:              o.Protocol,
		Username:              o.Username,
		Password:              o.Password,
		DB:                    o.DB,
		PoolSize:              o.PoolSize,
		PipelinePoolSize:      o.PipelinePoolSize,
		Dialer:                o.Dialer,
		DialTimeout:           timeout,                 // of all that it takes to reach the master
		ReadTimeout:           timeout / sentinelShare, // of a sentinel's answer
		ContextTimeoutEnabled: true,
		MaxRetries:            -1, // another sentinel is asked
		DialerRetries:         o.DialerRetries,
		ConnMaxLifetime:       sentinelConnectionLife,
		ConnMaxLifetimeJitter: sentinelConnectionLife / 10,
		DisableIdentity:       true,
	})
	l.client = client.WithTimeout(timeout) // of the master's answer
	return nil
}

func (l *link) openCluster(d *dialer, timeout time.Duration) error {
	addresses, err := address.ParseList(l.server.Address)
	if err != nil {
		return err
	}
	l.cluster = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addresses,
		NewClient: func(given *redis.Options) *redis.Client {
			o := l.options(d, given.Addr, timeout)
			o.Addr, o.NodeAddress = given.Addr, given.NodeAddress
			client := redis.NewClient(o)
			client.AddHook(hasty{timeout / slotsShare})
			return client
		},
		ReadTimeout:                timeout,
		ContextTimeoutEnabled:      true,
		MaxRedirects:               1,
		DisableRoutingPolicies:     true,
		ClusterStateReloadInterval: topologyAge,
		MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return nil
}

// noting notes when a connection was tried and none has been made since.
func (l *link) noting(d *dialer, node string) func(context.Context, string, string) (net.Conn, error) {
	value, _ := l.dialing.LoadOrStore(node, new(atomic.Bool))
	dialing := value.(*atomic.Bool)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		dialing.Store(true)
		connection, err := d.dial(ctx, network, address)
		if err == nil {
			dialing.Store(false)
		}
		return connection, err
	}
}

// told makes an error of dialling of a deadline that passed while no connection could be
// made: go-redis does not tell it from one that passed while the server did not answer.
func (l *link) told(node string, err error) error {
	dialing, ok := l.dialing.Load(node)
	if ok && dialing.(*atomic.Bool).Load() && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*TLSError)) {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return err
}

// try finds out whether the server takes the connections.
func (l *link) try(ctx context.Context) error {
	var err error
	if l.cluster != nil {
		_, err = l.cluster.MasterForKey(ctx, "") // which loads the slots
	} else {
		err = l.client.Ping(ctx).Err()
	}
	if errors.As(err, new(redis.Error)) && causeOf(err) != Unauthorized {
		return nil // it may not want to answer PING, but it took the connection
	}
	return l.words.safe(err)
}

func (l *link) closeClients() error {
	if l.cluster != nil {
		return l.cluster.Close()
	}
	return l.client.Close()
}

// close ends the connections.
func (l *link) close() {
	if l.stop() {
		_ = l.closeClients() // they hold nothing that could be lost
	}
}

// hasty bounds the time of a node's answer about the slots: go-redis asks one node after
// the other, and one that is silent must not take the time of all.
type hasty struct{ timeout time.Duration }

func (hasty) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hasty) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h hasty) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if command.Name() == clusterCommand {
			bounded, cancel := context.WithTimeout(ctx, h.timeout)
			defer cancel()
			ctx = bounded
		}
		return next(ctx, command)
	}
}

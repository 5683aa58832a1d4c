package broker

import (
	"context"
	"errors"
	"log/slog"
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
	// bufferBytes is the size of each connection's two buffers. go-redis's own are of 32 KiB,
	// and make no pipeline faster that could be measured, be it one of 5,000 lists.
	bufferBytes = 4 << 10
	// maxDials bounds the connections to one server that are being made at once: those to a
	// large cluster, some of whose nodes don't answer, fit in; what a server names that lies
	// about its nodes does not.
	maxDials = 64
	// clusterCommand is the name of the command that go-redis asks for the slots with.
	clusterCommand = "cluster"
)

// Link is the connections to a server with one set of credentials. It is safe for concurrent
// use, but for Round, which is for one at a time for each node.
type Link struct {
	server   Server
	material material
	redactor redactor
	client   *redis.Client        // nil in mode Cluster
	cluster  *redis.ClusterClient // nil in the others
	logger   *slog.Logger
	// sentinels is nil in the other modes.
	sentinels *sentinels
	// stop keeps the end of the sampler from closing a link that was closed before.
	stop func() bool

	roleRefused atomic.Bool // the server does not tell its role

	nodes sync.Map // by the node's address ("" for all in other modes): *node
	// made is how many nodes of a cluster were named so far.
	made atomic.Int64
	// dials has room for the connections that are being made.
	dials chan struct{}

	// Guarded by the mutex of Connections.
	users   int
	retired bool
}

// open readies connections; none is made before the first command. ctx ends them.
func open(ctx context.Context, server Server, m material, options Options, share *share) (*Link, error) {
	config, err := m.tlsConfig(server)
	if err != nil {
		return nil, err
	}
	l := &Link{server: server, material: m, redactor: newRedactor(server, m), logger: options.Logger, dials: make(chan struct{}, maxDials)}
	d := &dialer{
		allowed: options.Allowed, resolver: options.Resolver, search: options.SearchDomains,
		timeout: options.ReadTimeout * 3 / 4, share: share, setting: "tls",
	}
	if server.TLS.Enabled {
		d.tls = config
	}
	switch server.Mode {
	case Sentinel:
		toSentinels := *d
		toSentinels.setting, toSentinels.tls = "sentinelTLS", nil
		if server.TLS.Sentinels {
			toSentinels.tls = config
		}
		err = l.openSentinel(d, &toSentinels, options.ReadTimeout)
	case Cluster:
		err = l.openCluster(d, options.ReadTimeout)
	case Standalone, "":
		o := l.options(d, "", options.ReadTimeout)
		o.Addr = server.Address
		l.client = redis.NewClient(o)
	default:
		err = &ModeError{Mode: server.Mode}
	}
	if err != nil {
		return nil, err
	}
	// go-redis does not end a read when its context is cancelled; closing does.
	l.stop = context.AfterFunc(ctx, func() { _ = l.closeClients() })
	return l, nil
}

// options are those of a connection to a server that holds data.
func (l *Link) options(d *dialer, node string, timeout time.Duration) *redis.Options {
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
		ReadBufferSize:   bufferBytes,
		WriteBufferSize:  bufferBytes,
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

func (l *Link) openSentinel(d, toSentinels *dialer, timeout time.Duration) error {
	addresses, err := address.ParseList(l.server.Address)
	if err != nil {
		return err
	}
	d.timeout = timeout / sentinelShare
	toSentinels.timeout = d.timeout * 3 / 4 // why there is no connection is to be told before the question's time is up
	o := l.options(d, "", timeout)
	connect := o.Dialer
	connectToSentinel := l.noting(toSentinels, "")
	l.sentinels = &sentinels{
		master: l.server.SentinelMaster, addresses: addresses, timeout: timeout / sentinelShare,
		client: func(at string) *redis.SentinelClient {
			return redis.NewSentinelClient(l.sentinelOptions(connectToSentinel, at, timeout))
		},
	}
	o.Dialer = func(ctx context.Context, network, _ string) (connection net.Conn, err error) {
		defer func() { Recovered(recover(), &err) }()
		master, err := l.sentinels.where(ctx)
		if err != nil {
			return nil, err
		}
		return connect(ctx, network, master)
	}
	o.MaxRetries = -1 // the next read asks the sentinels anew
	o.ConnMaxLifetime = sentinelConnectionLife
	o.ConnMaxLifetimeJitter = sentinelConnectionLife / 10
	l.client = redis.NewClient(o)
	return nil
}

// sentinelOptions are those of a connection to a sentinel.
func (l *Link) sentinelOptions(connect dial, at string, timeout time.Duration) *redis.Options {
	return &redis.Options{
		Addr:                     at,
		Protocol:                 2,
		Username:                 l.material.sentinelUsername,
		Password:                 l.material.sentinelPassword,
		PoolSize:                 2, // the connections to the master are two, and each asks
		PipelinePoolSize:         -1,
		Dialer:                   connect,
		DialTimeout:              timeout / sentinelShare,
		ReadTimeout:              timeout / sentinelShare,
		ReadBufferSize:           bufferBytes,
		WriteBufferSize:          bufferBytes,
		ContextTimeoutEnabled:    true,
		MaxRetries:               -1, // another sentinel is asked
		DialerRetries:            1,
		ConnMaxLifetime:          connectionLife,
		ConnMaxLifetimeJitter:    connectionLife / 10,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (l *Link) openCluster(d *dialer, timeout time.Duration) error {
	addresses, err := address.ParseList(l.server.Address)
	if err != nil {
		return err
	}
	l.cluster = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addresses,
		NewClient: func(given *redis.Options) *redis.Client {
			l.made.Add(1)
			o := l.options(d, given.Addr, timeout)
			o.Addr, o.NodeAddress = given.Addr, given.NodeAddress
			client := redis.NewClient(o)
			client.AddHook(slotsHook{timeout: timeout / slotsShare, address: given.Addr})
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

// node is what is known of the connections to one server or node.
type node struct {
	dialing atomic.Bool // a connection was tried and none has been made since
	guards  guards
	role    *redis.SliceCmd // asks for the role; nil: it was not asked yet
}

func (l *Link) node(address string) *node {
	value, ok := l.nodes.Load(address)
	if !ok {
		value, _ = l.nodes.LoadOrStore(address, new(node))
	}
	return value.(*node)
}

// Settle gives back what the replies of a node held, once they were used.
func (l *Link) Settle(address string) { l.node(address).guards.settle() }

// dial makes a connection, as redis.Options want it.
type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// noting notes when a connection was tried and none has been made since. It bounds how many
// are being made at once.
func (l *Link) noting(d *dialer, name string) dial {
	n := l.node(name)
	return func(ctx context.Context, _, address string) (connection net.Conn, err error) {
		defer func() { Recovered(recover(), &err) }() // go-redis dials in goroutines of its own
		n.dialing.Store(true)
		select {
		case l.dials <- struct{}{}:
			defer func() { <-l.dials }()
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
		}
		connection, err = d.dial(ctx, address, &n.guards)
		if err == nil {
			n.dialing.Store(false)
		}
		return connection, err
	}
}

// Diagnose makes an error of dialling of a deadline that passed while no connection could be
// made: go-redis does not tell it from one that passed while the server did not answer.
func (l *Link) Diagnose(name string, err error) error {
	var known *net.OpError
	if errors.As(err, &known) && known.Op == "dial" {
		return err
	}
	value, ok := l.nodes.Load(name)
	if ok && value.(*node).dialing.Load() && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*TLSError)) {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return err
}

// Redact is a text with parts that the server sent, in one line and without credentials.
func (l *Link) Redact(text string) string { return l.redactor.line(text) }

// ReadError is an error of a read of a node, without secrets; Diagnose has been applied to it.
func (l *Link) ReadError(node string, err error) *ReadError {
	return &ReadError{Server: l.server, Node: l.redactor.name(node), Err: l.redactor.values(l.Diagnose(node, err))}
}

// try finds out whether the server takes the connections.
func (l *Link) try(ctx context.Context) error {
	var err error
	if l.cluster != nil {
		_, err = l.cluster.MasterForKey(ctx, "") // which loads the slots
	} else {
		err = l.client.Ping(ctx).Err()
	}
	if errors.As(err, new(redis.Error)) && causeOf(err) != Unauthorized {
		return nil // it may not want to answer PING, but it took the connection
	}
	return l.redactor.safe(err)
}

func (l *Link) closeClients() error {
	if l.cluster != nil {
		return l.cluster.Close()
	}
	if l.sentinels != nil {
		l.sentinels.close()
	}
	return l.client.Close()
}

// close ends the connections.
func (l *Link) close() {
	if l.stop() {
		_ = l.closeClients() // they hold nothing that could be lost
	}
}

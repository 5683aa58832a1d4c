package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialTimeout = 2 * time.Second
	// maxLifetime bounds a connection's life: a demoted server keeps answering on old
	// connections when a Service moves on to another.
	maxLifetime = 5 * time.Minute
)

// Options of one client.
type Options struct {
	// PoolSize is how many connections there may be, to each node in a cluster.
	PoolSize int
	// Name is what the connections are called on the server (CLIENT SETNAME); empty: nothing.
	Name string
}

// New returns a client. It opens no connection yet. The client never repeats a command: if the
// reply is lost, the command may have been executed (MayHaveHappened).
func (s Settings) New(o Options) redis.UniversalClient {
	options := &redis.UniversalOptions{
		Addrs: s.Addresses, DB: s.Database, ClientName: o.Name,
		MasterName: s.SentinelMaster, SentinelUsername: s.SentinelUsername, SentinelPassword: s.SentinelPassword,
		IsClusterMode: s.Mode == Cluster,
		Username:      s.Username, Password: s.Password,
		Dialer:                s.dial,
		Protocol:              2,
		PoolSize:              o.PoolSize,
		DialTimeout:           dialTimeout,
		DialerRetries:         1,
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
		ConnMaxLifetime:       maxLifetime,
		// DragonFly does not know these.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.CredentialsFromFiles() {
		options.CredentialsProviderContext = s.credentials
	}
	client := redis.NewUniversalClient(options)
	switch client := client.(type) {
	case *redis.ClusterClient:
		client.OnNewNode(func(node *redis.Client) { node.AddHook(once{reload: client.ReloadState}) })
	case *redis.Client:
		if s.Mode == Sentinel {
			client.AddHook(masterKnown{name: s.SentinelMaster})
		}
	}
	return client
}

// MayHaveHappened reports whether a command that failed may have been executed, or may still
// be. It was not if the server refused it, or if there was no connection to send it on.
func MayHaveHappened(err error) bool {
	var refused redis.Error
	var network *net.OpError
	return !errors.As(err, &refused) && !(errors.As(err, &network) && network.Op == "dial") && !errors.Is(err, redis.ErrPoolTimeout)
}

// once keeps a cluster's client from repeating a command whose reply was lost. The client does
// that even without retries (go-redis 9.23, ClusterClient.process), so once hides the kind of
// the error. Redirections are still followed. It does not reach pipelines, except transactions,
// which the client does not repeat by itself.
type once struct {
	passOn
	reload func(context.Context) // has the cluster's state read again, in the background
}

func (o once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil || !MayHaveHappened(err) {
			return err
		}
		o.reload(ctx)
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err // never repeated
		}
		return lostReplyError{err}
	}
}

type lostReplyError struct{ cause error }

func (e lostReplyError) Error() string { return e.cause.Error() }

// masterKnown makes the error for a name that the sentinels don't know. go-redis returns their
// nil, which elsewhere means an empty reply. It also tells Settings.dial which connections are
// the master's.
type masterKnown struct {
	passOn
	name string
}

func (m masterKnown) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		conn, err := next(ctx, networkOfMaster, addr)
		if errors.Is(err, redis.Nil) {
			err = notDialed(fmt.Errorf("%s is %q, and the sentinels know no master of that name: correct it", EnvSentinelMaster, m.name))
		}
		return conn, err
	}
}

// passOn is a redis.Hook that does nothing.
type passOn struct{}

func (passOn) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (passOn) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (passOn) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

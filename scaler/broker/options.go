// Package broker holds the connections to DragonFly and Redis servers: how a server is named,
// which may be connected to, with which credentials and certificates (renewed while in use),
// through Sentinel or to the nodes of a Cluster, what of a reply is accepted, and what a
// failure means, with its remedy and without secrets. It does not know who reads what when:
// that is scaler/sampling's.
//
// A Connector makes the Connections to a server. Acquire gives the present Link, whose Round
// sends commands in one pipeline.
package broker

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultReadTimeout    = 1500 * time.Millisecond
	DefaultSecretInterval = 30 * time.Second
)

// Options configure connections; the zero value of each field means its default.
type Options struct {
	ReadTimeout time.Duration // for one read of a server, and to read its Secrets
	// Secrets reads the Secrets that servers refer to; nil: none can be read.
	Secrets        Secrets
	SecretInterval time.Duration // between two reads of a server's Secrets
	// Allowed is the servers that may be connected to; by default, all.
	Allowed Allowlist
	// Resolver finds the addresses of servers; by default net.DefaultResolver does.
	Resolver *net.Resolver
	// SearchDomains are those with which it completes names; by default the ones in /etc/resolv.conf.
	SearchDomains []string
	Now           func() time.Time // by default time.Now
	Logger        *slog.Logger     // by default nothing is logged
}

// WithDefaults returns the options with each zero value replaced by its default.
func (o Options) WithDefaults() Options {
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.SecretInterval == 0 {
		o.SecretInterval = DefaultSecretInterval
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.SearchDomains == nil {
		o.SearchDomains = systemSearchDomains()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Connector makes the connections to all servers. They share one budget for what replies may
// hold, and one reader of Secrets.
type Connector struct {
	options  Options
	running  *sync.WaitGroup
	panicked func()
	budget   *budget
	secrets  *secretReads
}

// NewConnector returns a connector. What it does in the background ends with ctx, and is
// counted in running; panicked is called once for each panic that was recovered.
func NewConnector(ctx context.Context, options Options, running *sync.WaitGroup, panicked func()) *Connector {
	options = options.WithDefaults()
	return &Connector{
		options: options, running: running, panicked: panicked,
		budget: newBudget(), secrets: newSecretReads(ctx, options, running),
	}
}

// Connect returns connections to a server, of which none is made before the first command.
// They end with ctx. What the server's replies hold counts for the namespace. renewed is called after new credentials or certificates came into use.
func (c *Connector) Connect(ctx context.Context, server Server, namespace string, renewed func()) *Connections {
	return &Connections{connector: c, options: c.options, server: server, ctx: ctx, share: newShare(c.budget, namespace), renewed: renewed}
}

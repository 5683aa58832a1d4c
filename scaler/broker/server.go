package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// Mode is how the servers are set up. The zero value is Standalone.
type Mode = address.Mode

// The modes.
const (
	Standalone = address.Standalone
	Sentinel   = address.Sentinel
	Cluster    = address.Cluster
)

// ModeError is a Mode that the scaler does not know: a fault of its own.
type ModeError struct{ Mode Mode }

func (e *ModeError) Error() string {
	return fmt.Sprintf("the scaler does not know how to connect to servers of redisMode %q: report it as a fault", e.Mode)
}

// Secret is a reference to a key of a Kubernetes Secret in Server.Namespace, or the value
// itself. Its text never has the value.
type Secret struct {
	Name, Key string
	Value     string
}

// String is the reference.
func (s Secret) String() string {
	switch {
	case s.Name != "":
		return s.Name + "/" + s.Key
	case s.Value != "":
		return "(hidden)"
	default:
		return ""
	}
}

// GoString is String: %#v shows no value either.
func (s Secret) GoString() string { return fmt.Sprintf("broker.Secret(%q)", s.String()) }

// MarshalText is String: encoders show no value either.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// TLS says which connections are encrypted, and how. TLS 1.2 is the least.
type TLS struct {
	Enabled   bool // those to servers that hold data
	Sentinels bool // those to sentinels
	// ServerName is the name in the server's certificate; by default it is the host that
	// is connected to.
	ServerName string
	CA         Secret // PEM; by default, the system's authorities are trusted
	// Certificate names the Secret with the client's certificate, in tls.crt and tls.key.
	Certificate Secret
}

// Server names a server, or several that belong together. It is comparable: what differs
// in any field is another server with connections of its own.
type Server struct {
	Mode Mode
	// Address is host:port. In modes Sentinel and Cluster it may name several, separated
	// by commas: sentinels, or some of the cluster's nodes.
	Address        string
	SentinelMaster string // the name under which sentinels know the master
	Database       int    // 0 in mode Cluster
	Namespace      string // of the Secrets

	Username, Password                 Secret
	SentinelUsername, SentinelPassword Secret
	TLS                                TLS
}

// used reports whether any connection is encrypted.
func (t TLS) used() bool { return t.Enabled || t.Sentinels }

// String tells mode, addresses and database, and no secret.
func (s Server) String() string {
	var text strings.Builder
	text.WriteString("redis")
	if s.TLS.Enabled {
		text.WriteString("s")
	}
	switch s.Mode {
	case Sentinel:
		text.WriteString("+sentinel")
	case Cluster:
		text.WriteString("+cluster")
	case Standalone:
	}
	text.WriteString("://" + s.Address)
	if s.SentinelMaster != "" {
		text.WriteString("/" + s.SentinelMaster)
	}
	if s.Database != 0 {
		fmt.Fprintf(&text, "/%d", s.Database)
	}
	return text.String()
}

// GoString is String.
func (s Server) GoString() string { return fmt.Sprintf("broker.Server(%q)", s.String()) }

// LogValue is String.
func (s Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Secrets reads Kubernetes Secrets.
type Secrets interface {
	// Secret returns the data of a Secret. Where the scaler has no right to it, the error
	// wraps ErrForbidden.
	Secret(ctx context.Context, namespace, name string) (map[string][]byte, error)
}

// secrets are all that may refer to a Kubernetes Secret, with what each is for.
func (s Server) secrets() []namedSecret {
	return []namedSecret{
		{"the username", s.Username}, {"the password", s.Password},
		{"the sentinels' username", s.SentinelUsername}, {"the sentinels' password", s.SentinelPassword},
		{"the CA", s.TLS.CA}, {"the client certificate", s.TLS.Certificate},
	}
}

type namedSecret struct {
	purpose string
	Secret
}

// refers reports whether any Kubernetes Secret is needed.
func (s Server) refers() bool {
	for _, secret := range s.secrets() {
		if secret.Name != "" {
			return true
		}
	}
	return false
}

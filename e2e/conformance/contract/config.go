package contract

import (
	"context"
	"fmt"
	"maps"
	"net"
	"time"
)

// Config says which scaler to check, and how.
type Config struct {
	Address    string // host:port of the scaler
	ServerName string // the name on its certificate, where that is not Address's host
	TLS        *TLS   // nil: plaintext

	// Name and Namespace are those of the ScaledObject that the calls are for. A scaler
	// that reads the cluster needs one that exists.
	Name, Namespace string
	// Metadata is the trigger's, as in a ScaledObject. What it points to should have work
	// waiting, so that the scaler is active.
	Metadata map[string]string
	// DeadBackend replaces keys of Metadata so that it points to a backend that is down.
	DeadBackend map[string]string
	// Broken are keys that must be refused, each on its own in place of Metadata's.
	Broken []KeyValue
	// Unsteady is a backend whose figures change meanwhile: answers are not compared.
	Unsteady bool

	Limits Limits

	// KEDA makes KEDA's own client; nil skips the checks that need it.
	KEDA func(Trigger) (KEDA, error)
	// Shutdown ends the scaler for the last check; nil skips it.
	Shutdown func(context.Context) error
	// ShutdownWait is how long Shutdown may take to begin; 0 where it begins at once.
	ShutdownWait time.Duration
}

// KeyValue is one key of a trigger's metadata.
type KeyValue struct{ Key, Value string }

// TLS holds certificates in PEM form, as KEDA takes them from a TriggerAuthentication.
type TLS struct {
	CA          string // empty: the system's authorities
	Certificate string // of the client; empty: none
	Key         string
}

// Trigger is what KEDA knows of a trigger.
type Trigger struct {
	Name, Namespace string
	Metadata        map[string]string // with KEDA's own keys
	TLS             *TLS
}

// Limits are the contract's figures.
type Limits struct {
	Call       time.Duration // after which a call counts as not answered; the contract's limit is MaxLatency
	MaxLatency time.Duration // of a unary call
	Open       time.Duration // until a stream's first message
	Stream     time.Duration // how long streams are observed
	RepeatMin  time.Duration // between two equal messages of a stream
	RepeatMax  time.Duration // between two messages while active
	Shutdown   time.Duration // until every stream has ended
	Callers    int           // at once
	Streams    int           // at once, on one connection
}

// DefaultLimits are for a scaler in production. KEDA 2.21 sets no deadlines of its own.
func DefaultLimits() Limits {
	return Limits{
		Call:       5 * time.Second,
		MaxLatency: 2 * time.Second,
		Open:       time.Second,
		Stream:     35 * time.Second,
		RepeatMin:  5 * time.Second,
		RepeatMax:  30 * time.Second,
		Shutdown:   5 * time.Second,
		Callers:    64,
		Streams:    100,
	}
}

// FieldError is a setting that is wrong.
type FieldError struct {
	Field  string // of Config or Limits
	Value  string
	Remedy string
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s is %q: %s", e.Field, e.Value, e.Remedy) }

func (c Config) validate() error {
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		return &FieldError{"Address", c.Address, "it must be host:port"}
	}
	if c.TLS != nil && (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return &FieldError{"TLS", "half of a pair", "a certificate needs its key, and a key its certificate"}
	}
	if c.ServerName != "" && c.TLS == nil {
		return &FieldError{"ServerName", c.ServerName, "it is checked with TLS alone: give TLS too, or leave it out"}
	}
	return c.Limits.validate()
}

func (l Limits) validate() error {
	for field, value := range map[string]time.Duration{
		"Call": l.Call, "MaxLatency": l.MaxLatency, "Open": l.Open, "Stream": l.Stream,
		"RepeatMin": l.RepeatMin, "RepeatMax": l.RepeatMax, "Shutdown": l.Shutdown,
	} {
		if value <= 0 {
			return &FieldError{field, value.String(), "it must be longer than 0, like 2s"}
		}
	}
	if l.Call <= l.MaxLatency {
		return &FieldError{"Call", l.Call.String(), fmt.Sprintf("it must be longer than MaxLatency, %s, so that a slow answer can be told from none", l.MaxLatency)}
	}
	if l.RepeatMin >= l.RepeatMax {
		return &FieldError{"RepeatMin", l.RepeatMin.String(), fmt.Sprintf("it must be shorter than RepeatMax, %s", l.RepeatMax)}
	}
	for field, value := range map[string]int{"Callers": l.Callers, "Streams": l.Streams} {
		if value < 1 {
			return &FieldError{field, fmt.Sprint(value), "it must be at least 1"}
		}
	}
	return nil
}

// target is the address for grpc.NewClient, and the scalerAddress that KEDA is told.
func (c Config) target() string {
	if c.ServerName == "" {
		return c.Address
	}
	_, port, _ := net.SplitHostPort(c.Address) // validate has seen it
	return viaScheme + "://" + c.Address + "/" + net.JoinHostPort(c.ServerName, port)
}

// sent is the metadata that reaches the scaler: KEDA sends its own keys along
// (pkg/scalers/external_scaler.go: parseExternalScalerMetadata).
func (c Config) sent(changes map[string]string) map[string]string {
	sent := maps.Clone(c.Metadata)
	if sent == nil {
		sent = map[string]string{}
	}
	sent["scalerAddress"] = c.target()
	if c.TLS != nil {
		sent["enableTLS"] = "true"
	}
	maps.Copy(sent, changes)
	return sent
}

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// dialer makes the connections to a server, and to those that a sentinel or a cluster names.
type dialer struct {
	allowed  Allowlist
	resolver *net.Resolver
	search   []string      // the resolver's search domains
	tls      *tls.Config   // nil: not encrypted
	setting  string        // the trigger's key that says whether it is
	timeout  time.Duration // to connect, with the lookup of the name and the TLS handshake
	share    *share        // of what replies may hold
}

func (d *dialer) dial(ctx context.Context, address string, guards *guards) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	// Who waits for the connection waits no longer than that, and is to be told why.
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	dialer := net.Dialer{Resolver: d.resolver}
	if !d.allowed.empty() {
		if dialer.ControlContext, err = d.control(ctx, address, host); err != nil {
			return nil, err
		}
	}
	// A node that a cluster names, and that begins with "/", would be a socket of this host.
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if d.tls == nil {
		return &plainConn{Conn: connection, guard: guards.add(address, d.share), setting: d.setting}, nil
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	encrypted := tls.Client(connection, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = connection.Close() // it was never used
		return nil, d.handshakeError(address, err)
	}
	return &tlsConn{Conn: encrypted, guard: guards.add(address, d.share), certified: len(config.Certificates) > 0}, nil
}

// control returns what looks at each address that the host has before it is connected to: what
// a name resolves to is known, and can't change any more, only there.
func (d *dialer) control(ctx context.Context, address, host string) (func(context.Context, string, string, syscall.RawConn) error, error) {
	_, err := netip.ParseAddr(host)
	byName := err != nil && d.allowed.allowsName(host)
	alias := ""
	if byName {
		if alias, err = d.leadsToAllowed(ctx, host); err != nil {
			return nil, err
		}
	}
	byName = byName && alias == ""
	if !byName && len(d.allowed.networks) == 0 {
		return nil, &NotAllowedError{Address: address, Alias: alias}
	}
	return func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		ip, err := netip.ParseAddrPort(resolved)
		switch {
		case err == nil && d.allowed.allowsIP(ip.Addr()):
			return nil
		case err == nil && byName && (!isLocal(ip.Addr()) || canonical(host) == localhost && ip.Addr().Unmap().IsLoopback()):
			return nil
		}
		return &NotAllowedError{Address: address, IP: ip.Addr().String(), Alias: alias}
	}, nil
}

// TLSError is a connection that could not be encrypted as it should be, or that should have
// been encrypted.
type TLSError struct {
	Address string
	Err     error
	Hint    string // what it probably means; may be empty
}

func (e *TLSError) Unwrap() error { return e.Err }

func (e *TLSError) Error() string {
	text := fmt.Sprintf("TLS with %s: %v", e.Address, e.Err)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// handshakeError tells what a failed handshake probably means.
func (d *dialer) handshakeError(address string, err error) error {
	failure := &TLSError{Address: address, Err: err}
	remedy := ": set " + d.setting + " to false"
	switch {
	case errors.As(err, new(tls.RecordHeaderError)):
		failure.Hint = "the server does not expect TLS there" + remedy
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		failure.Hint = "it took the connection and did not answer: perhaps it does not expect TLS there" + remedy
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		failure.Hint = "it ended the connection: perhaps it takes no more clients (its maxclients), or does not expect TLS there" + remedy
	}
	return failure
}

// tlsConn is an encrypted connection. With TLS 1.3 a client hears only after the handshake,
// instead of its first reply, that the server refuses its certificate.
type tlsConn struct {
	*tls.Conn
	guard     *guard
	certified bool        // a client certificate was at hand
	answered  atomic.Bool // something was received
}

func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if refused := c.guard.received(p[:n]); refused != nil {
		_ = c.Close() // nothing of it is good any more
		return 0, refused
	}
	return n, c.seen(n, err)
}

func (c *tlsConn) Write(p []byte) (int, error) {
	c.guard.sending()
	n, err := c.Conn.Write(p)
	return n, c.seen(0, err)
}

func (c *tlsConn) Close() error {
	c.guard.closed()
	return c.Conn.Close()
}

func (c *tlsConn) seen(received int, err error) error {
	if received > 0 {
		c.answered.Store(true)
	}
	if err == nil || c.answered.Load() {
		return err
	}
	var network *net.OpError
	refused := errors.As(err, &network) && network.Op == "remote error" // an alert, says crypto/tls
	if !refused && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	hint := "the server wants a client certificate, it seems, and none is named"
	if c.certified {
		hint = "the server does not accept the client certificate, it seems"
	}
	return outer(&TLSError{Address: c.guard.address, Err: err, Hint: hint})
}

// outer wraps an error once more: go-redis takes one wrapping off what a new connection's
// first reply came to.
func outer(err error) error { return fmt.Errorf("%w", err) }

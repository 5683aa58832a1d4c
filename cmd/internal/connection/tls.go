package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// TLS says which certificates to trust, and which client certificate to use. Its files are read
// for each new connection, so a Secret may be rotated while the process runs.
type TLS struct {
	CAFile            string // empty: the system's authorities
	CertFile, KeyFile string // empty: no client certificate
	ServerName        string // empty: the address's host
}

func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvTLSCAFile, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s is %q, which holds no certificate in PEM", EnvTLSCAFile, t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", EnvTLSCertFile, EnvTLSKeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// keepAlive is go-redis's own policy (NewDialer): it notices within 45 s that a peer is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// networkOfMaster is what a client of sentinels calls the network of the master. go-redis has one dialer for the
// master and for the sentinels, which get "tcp" (go-redis 9.23, masterReplicaDialer).
const networkOfMaster = "tcp to the master"

// dial opens a connection. Its errors are *net.OpError of a dial: nothing was sent.
func (s Settings) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	encryption := s.TLS
	switch {
	case network == networkOfMaster:
		network = "tcp"
	case s.Mode == Sentinel:
		encryption = s.SentinelTLS
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &net.Dialer{KeepAliveConfig: keepAlive}
	if encryption == nil {
		return dialer.DialContext(ctx, network, addr)
	}
	config, err := encryption.config()
	if err != nil {
		return nil, notDialed(err)
	}
	conn, err := (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, notDialed(fmt.Errorf("%s: %w", addr, err))
	}
	return conn, nil
}

func notDialed(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }

// credentials reads the files that the settings name.
func (s Settings) credentials(context.Context) (username, password string, err error) {
	if username, err = valueOrFile(s.Username, EnvUsernameFile, s.UsernameFile); err != nil {
		return "", "", err
	}
	if password, err = valueOrFile(s.Password, EnvPasswordFile, s.PasswordFile); err != nil {
		return "", "", err
	}
	return username, password, nil
}

// valueOrFile removes the line end at the end of a file.
func valueOrFile(value, env, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", notDialed(fmt.Errorf("%s: %w", env, err))
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

package delivery

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

// The environment variables that name files of the handler's TLS.
const (
	EnvTLSCAFile   = "HANDLER_TLS_CA_FILE"
	EnvTLSCertFile = "HANDLER_TLS_CERT_FILE"
	EnvTLSKeyFile  = "HANDLER_TLS_KEY_FILE"
)

// TLS says whom to trust, and who the worker is. Its files may be replaced while it runs.
type TLS struct {
	CAFile            string // PEM; empty: the system's authorities
	CertFile, KeyFile string // PEM; empty: no client certificate
	ServerName        string // empty: the URL's host
}

// Protocol is the version of HTTP.
type Protocol string

// The protocols.
const (
	// Auto is HTTP/2 where TLS agrees on it (ALPN), else HTTP/1.1.
	Auto  Protocol = "Auto"
	HTTP1 Protocol = "HTTP1"
	// HTTP2 is that alone: without TLS by prior knowledge (h2c).
	HTTP2 Protocol = "HTTP2"
)

// protocols are what a transport may speak.
func (p Protocol) protocols() (*http.Protocols, error) {
	allowed := new(http.Protocols)
	switch p {
	case Auto:
		allowed.SetHTTP1(true)
		allowed.SetHTTP2(true)
	case HTTP1:
		allowed.SetHTTP1(true)
	case HTTP2:
		allowed.SetHTTP2(true)
		allowed.SetUnencryptedHTTP2(true)
	default:
		return nil, fmt.Errorf("the protocol %q is unknown: report it as a fault", p)
	}
	return allowed, nil
}

// pingAfter and pingTimeout bound how long a connection of HTTP/2 whose handler is gone
// without a word holds up all requests: HTTP/1.1 loses one for each connection.
const (
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// maxReplyHeaders bounds an answer's status and headers, in bytes, those of 1xx included. By default it would be
// 10 MiB for each request on its way (Go 1.26, net/http.Transport.MaxResponseHeaderBytes).
const maxReplyHeaders = 256 << 10

// material is what TLS' files hold.
type material struct{ ca, cert, key []byte }

func (m material) equal(other material) bool {
	return bytes.Equal(m.ca, other.ca) && bytes.Equal(m.cert, other.cert) && bytes.Equal(m.key, other.key)
}

func (t TLS) read() (m material, err error) {
	for _, file := range []struct {
		env, path string
		content   *[]byte
	}{{EnvTLSCAFile, t.CAFile, &m.ca}, {EnvTLSCertFile, t.CertFile, &m.cert}, {EnvTLSKeyFile, t.KeyFile, &m.key}} {
		if file.path == "" {
			continue
		}
		if *file.content, err = os.ReadFile(file.path); err != nil {
			return m, fmt.Errorf("%s: %w", file.env, err)
		}
	}
	return m, nil
}

func (t TLS) config(m material) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(m.ca) {
			return nil, fmt.Errorf("%s is %q, which holds no certificate in PEM", EnvTLSCAFile, t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.X509KeyPair(m.cert, m.key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", EnvTLSCertFile, EnvTLSKeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// client is what requests are sent with, and the files that it was made of.
type client struct {
	http.Client
	made material
}

// newClient returns the client for what the files hold now, which is the previous one where
// they have not changed. With others new connections are made; requests on the way are
// finished on the old ones.
func (d *Deliverer) newClient(previous *client) (*client, error) {
	read, err := d.TLS.read()
	if err != nil {
		return nil, err
	}
	if previous != nil && previous.made.equal(read) {
		return previous, nil
	}
	protocols, err := d.Protocol.protocols()
	if err != nil {
		return nil, err
	}
	config, err := d.TLS.config(read)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, d.Concurrency
	transport.TLSClientConfig, transport.Protocols = config, protocols
	transport.MaxResponseHeaderBytes = maxReplyHeaders
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	if previous != nil {
		previous.CloseIdleConnections()
	}
	return &client{made: read, Client: http.Client{
		Transport: transport,
		// A redirect is an answer other than 2xx, and so a failure.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

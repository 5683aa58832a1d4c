package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Keys of a Kubernetes TLS Secret.
const (
	keyCA   = "ca.crt"
	keyCert = corev1.TLSCertKey
	keyKey  = corev1.TLSPrivateKeyKey
)

// secure shakes hands where the scaler has TLS. It closes the connection where that fails.
func (s *Scaler) secure(ctx context.Context, conn net.Conn, way endpoint) (net.Conn, error) {
	if s.flags.Plaintext || !way.tls {
		return conn, nil
	}
	config, err := s.tlsConfig(ctx, way)
	if err != nil {
		_ = conn.Close() // the error counts
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the error counts
		return nil, handshakeError(err, config.ServerName)
	}
	begun, err := begin(secured)
	if err != nil {
		_ = conn.Close() // the error counts
		return nil, handshakeError(err, config.ServerName)
	}
	return begun, nil
}

// firstByteTimeout bounds the wait below. A gRPC server speaks first, so it is seldom
// waited for longer than the way there and back takes.
const firstByteTimeout = 5 * time.Second

// begin waits for the server's first byte: with TLS 1.3 a client whose certificate is
// refused hears of it only when it reads, and gRPC might have written before and seen no
// more than a broken connection.
func begin(conn net.Conn) (net.Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(firstByteTimeout)); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, err := conn.Read(first)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &begunConn{Conn: conn, first: first[:n]}, nil
}

// begunConn is a connection of which the first bytes were read.
type begunConn struct {
	net.Conn
	first []byte
}

func (c *begunConn) Read(data []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(data, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(data)
}

// tlsConfig is made of the flags' files, and of the operator's Secret for what they leave
// out. It is read again for each connection, so a renewed certificate needs no restart.
func (s *Scaler) tlsConfig(ctx context.Context, way endpoint) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		ServerName: cmp.Or(s.flags.ServerName, way.serverName),
		Time:       s.cluster.Now, // certificates are made and renewed by the cluster's clock
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(s.flags.Address) // Check has let it through
	}
	source := pemSource{}
	if s.flags.Address == "" && (s.flags.CACert == "" || s.flags.Cert == "") {
		var err error
		if source, err = s.cluster.readSecret(ctx, way); err != nil {
			return nil, err
		}
	}
	if err := source.override(s.flags); err != nil {
		return nil, err
	}
	if source.ca != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(source.ca) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", source.caFrom)
		}
	}
	if source.cert != nil {
		certificate, err := tls.X509KeyPair(source.cert, source.key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate and its key in %s: %w", source.certFrom, err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

// pemSource is a CA and a client certificate, and where they are from.
type pemSource struct {
	ca, cert, key    []byte
	caFrom, certFrom string
}

// override takes what the flags name.
func (p *pemSource) override(flags ScalerFlags) error {
	var err error
	if flags.CACert != "" {
		p.caFrom = "--cacert " + flags.CACert
		if p.ca, err = readFile("cacert", flags.CACert); err != nil {
			return err
		}
	}
	if flags.Cert == "" {
		return nil
	}
	p.certFrom = "--cert and --key"
	if p.cert, err = readFile("cert", flags.Cert); err != nil {
		return err
	}
	p.key, err = readFile("key", flags.Key)
	return err
}

// readSecret reads the Secret that the scaler's pods name.
func (c *Cluster) readSecret(ctx context.Context, way endpoint) (pemSource, error) {
	const remedy = "give the files with --cacert, --cert and --key"
	if way.clientSecret == "" {
		return pemSource{}, fmt.Errorf("the scaler in namespace %q wants TLS, but no pod of it names the Secret with people's certificate (annotation pubsub.jawaracloud.io/people-secret): %s", way.namespace, remedy)
	}
	ctx, cancel := c.Bounded(ctx)
	defer cancel()
	secret := &corev1.Secret{}
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: way.namespace, Name: way.clientSecret}, secret)
	if apierrors.IsNotFound(err) {
		return pemSource{}, fmt.Errorf("the scaler wants a client certificate, but there is no Secret %s/%s: %s", way.namespace, way.clientSecret, remedy)
	}
	if err != nil {
		access := Access{Verb: "get", Resource: "secrets", Name: way.clientSecret, Namespace: way.namespace}
		return pemSource{}, fmt.Errorf("reading Secret %s/%s with the client certificate: %w", way.namespace, way.clientSecret, RequestError(ctx, err, access, remedy))
	}
	for _, key := range []string{keyCA, keyCert, keyKey} {
		if len(secret.Data[key]) == 0 {
			return pemSource{}, fmt.Errorf("Secret %s/%s has no %s: %s", way.namespace, way.clientSecret, key, remedy)
		}
	}
	from := fmt.Sprintf("Secret %s/%s", way.namespace, way.clientSecret)
	return pemSource{ca: secret.Data[keyCA], cert: secret.Data[keyCert], key: secret.Data[keyKey], caFrom: from, certFrom: from}, nil
}

// handshakeError puts a failed handshake into words.
func handshakeError(err error, serverName string) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("the scaler's certificate is of an unknown CA: name its CA with --cacert: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the scaler's certificate is not for %q: name another one with --server-name: %w", serverName, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the scaler's certificate is not valid at this time: renew it (helm upgrade does, in its last 30 days), or check this machine's clock: %w", err)
	case errors.As(err, &header):
		return fmt.Errorf("the scaler does not speak TLS: try --plaintext: %w", err)
	case isAlert(err):
		return fmt.Errorf("the scaler refuses the client certificate, or the lack of one: set one that its CA signed with --cert and --key: %w", err)
	default:
		return fmt.Errorf("the TLS handshake with the scaler: %w", err)
	}
}

// isAlert tells an alert of the other side; crypto/tls has no exported type for it.
func isAlert(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "remote error"
}

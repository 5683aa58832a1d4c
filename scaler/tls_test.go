package scaler_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// handshake returns the name on the server's certificate.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (string, error) {
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	ended := make(chan error, 1)
	go func() {
		connection := tls.Server(far, server)
		err := connection.HandshakeContext(t.Context())
		if err == nil {
			_, err = connection.Write([]byte("x")) // with TLS 1.3 a refused client hears of it only when it reads
		}
		ended <- err
		_ = far.Close()
	}()
	connection := tls.Client(near, client)
	if err := connection.HandshakeContext(t.Context()); err != nil {
		return "", err
	}
	if _, err := connection.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	require.NoError(t, <-ended)
	return connection.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestTLSFromDir(t *testing.T) {
	ca := certtest.New(t)
	client := ca.Client("keda")

	dir := t.TempDir()
	files := ca.Write(dir, ca.Server("first"))
	require.NoError(t, os.Remove(files.CA))
	config, err := scaler.TLSFromDir(dir, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	name, err := handshake(t, config, ca.ClientTLS("first"))
	require.NoError(t, err)
	assert.Equal(t, "first", name)

	ca.Write(dir, ca.Server("renewed"))
	require.NoError(t, os.Remove(files.CA))
	name, err = handshake(t, config, ca.ClientTLS("renewed"))
	require.NoError(t, err, "a renewed certificate needs no restart")
	assert.Equal(t, "renewed", name)

	ca.Write(dir, ca.Server("mutual"))
	_, err = handshake(t, config, ca.ClientTLS("mutual"))
	require.Error(t, err, "with ca.crt a client needs a certificate")
	_, err = handshake(t, config, ca.ClientTLS("mutual", client))
	require.NoError(t, err)

	_, err = scaler.TLSFromDir(t.TempDir(), slog.New(slog.DiscardHandler), nil)
	assert.ErrorContains(t, err, "loading tls.crt and tls.key")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("nonsense"), 0o600))
	_, err = scaler.TLSFromDir(dir, slog.New(slog.DiscardHandler), nil)
	assert.ErrorContains(t, err, "holds no certificate in PEM form")
}

// A ca.crt that goes missing must not open the scaler to everybody: a Secret that is renewed
// without one is a fault like any other.
func TestAMissingAuthorityOpensNothing(t *testing.T) {
	ca := certtest.New(t)
	dir := t.TempDir()
	files := ca.Write(dir, ca.Server("first"))
	log := &lines{}
	registry := newRegistry()
	config, err := scaler.TLSFromDir(dir, slog.New(slog.NewJSONHandler(log, nil)), registry)
	require.NoError(t, err)
	assert.Empty(t, log.String())

	ca.Write(dir, ca.Server("first"))
	require.NoError(t, os.Remove(files.CA))
	_, err = handshake(t, config, ca.ClientTLS("first"))
	require.Error(t, err, "a client needs a certificate as before")
	assert.Contains(t, log.String(), "ca.crt is gone")
	assert.Contains(t, scraped(t, registry), "pubsub_scaler_tls_reload_failures_total 1")
	_, err = handshake(t, config, ca.ClientTLS("first", ca.Client("keda")))
	require.NoError(t, err)

	_, err = scaler.TLSFromDir(dir, slog.New(slog.NewJSONHandler(log, nil)), nil)
	require.NoError(t, err)
	assert.Contains(t, log.String(), "nobody is asked for a certificate", "who means it is told at start what it means")
}

package scaler_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler"
)

// authority is a CA that writes certificates as a Kubernetes TLS Secret has them.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

func (a authority) write(t *testing.T, dir, name string, withCA bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	put := func(file, kind string, der []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	put("tls.crt", "CERTIFICATE", der)
	put("tls.key", "PRIVATE KEY", private)
	if withCA {
		put("ca.crt", "CERTIFICATE", a.certificate.Raw)
	}
}

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
	ca := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	clientDir := t.TempDir()
	ca.write(t, clientDir, "keda", false)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(clientDir, "tls.crt"), filepath.Join(clientDir, "tls.key"))
	require.NoError(t, err)
	client := func(name string, certificates ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: roots, ServerName: name, Certificates: certificates}
	}

	dir := t.TempDir()
	ca.write(t, dir, "first", false)
	config, err := scaler.TLSFromDir(dir)
	require.NoError(t, err)
	name, err := handshake(t, config, client("first"))
	require.NoError(t, err)
	assert.Equal(t, "first", name)

	ca.write(t, dir, "renewed", false)
	name, err = handshake(t, config, client("renewed"))
	require.NoError(t, err, "a renewed certificate needs no restart")
	assert.Equal(t, "renewed", name)

	ca.write(t, dir, "mutual", true)
	_, err = handshake(t, config, client("mutual"))
	require.Error(t, err, "with ca.crt a client needs a certificate")
	_, err = handshake(t, config, client("mutual", certificate))
	require.NoError(t, err)

	_, err = scaler.TLSFromDir(t.TempDir())
	assert.ErrorContains(t, err, "loading tls.crt and tls.key")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("nonsense"), 0o600))
	_, err = scaler.TLSFromDir(dir)
	assert.ErrorContains(t, err, "holds no certificate in PEM form")
}

package main

import (
	"context"
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

// issue writes ca.crt, tls.crt and tls.key for a name into a folder.
func (a authority) issue(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		caFile:   {Type: "CERTIFICATE", Bytes: a.certificate.Raw},
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
}

// inspector answers with the name in the caller's certificate.
type inspector struct {
	inspectv1.UnimplementedInspectorServer
}

func (inspector) Explain(ctx context.Context, _ *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	caller := "nobody"
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			caller = info.State.PeerCertificates[0].Subject.CommonName
		}
	}
	return &inspectv1.ExplainResponse{Explanation: caller}, nil
}

func serveInspector(t *testing.T, address string, options ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	inspectv1.RegisterInspectorServer(server, inspector{})
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return server, listener.Addr().String()
}

func TestExplainInPlaintext(t *testing.T) {
	_, address := serveInspector(t, "127.0.0.1:0")
	e, err := newExplainer(address, "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.NoError(t, err)
	assert.Equal(t, "nobody", response.GetExplanation())
}

// A renewed certificate, and even a new CA, is used from the next connection on.
func TestCertificatesAreReadAnew(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	first.issue(t, dir, "before")
	serverCredentials := func(a authority) grpc.ServerOption {
		serverDir := t.TempDir()
		a.issue(t, serverDir, "scaler")
		certificate, err := tls.LoadX509KeyPair(filepath.Join(serverDir, certFile), filepath.Join(serverDir, keyFile))
		require.NoError(t, err)
		roots := x509.NewCertPool()
		roots.AddCert(a.certificate)
		return grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	}
	server, address := serveInspector(t, "127.0.0.1:0", serverCredentials(first))
	e, err := newExplainer(address, dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.NoError(t, err)
	assert.Equal(t, "before", response.GetExplanation())

	server.Stop()
	second.issue(t, dir, "after")
	serveInspector(t, address, serverCredentials(second))
	require.Eventually(t, func() bool {
		response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
		return err == nil && response.GetExplanation() == "after"
	}, 20*time.Second, 50*time.Millisecond)
}

func TestBadCertificatesAreFoundAtTheStart(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t).issue(t, dir, "x")
	require.NoError(t, os.WriteFile(filepath.Join(dir, caFile), []byte("no PEM"), 0o600))
	_, err := newExplainer("127.0.0.1:1", dir)
	assert.ErrorContains(t, err, "holds no certificate in PEM form")
}

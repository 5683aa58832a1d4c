package scaler

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TLSFromDir returns a server's TLS configuration from a folder with tls.crt, tls.key and,
// where client certificates are to be required, ca.crt: the layout of a Kubernetes TLS
// Secret. The files are read anew at each handshake, so a renewed certificate needs no
// restart; handshakes are rare, because KEDA keeps one connection.
func TLSFromDir(dir string) (*tls.Config, error) {
	load := func() (*tls.Config, error) { return loadTLS(dir) }
	if _, err := load(); err != nil { // a wrong folder is told at start
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return load()
		},
	}, nil
}

func loadTLS(dir string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("loading tls.crt and tls.key from %s: %w", dir, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"h2"}, // gRPC demands ALPN
	}
	authorities, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading ca.crt: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", filepath.Join(dir, "ca.crt"))
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

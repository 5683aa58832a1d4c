package scaler

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// TLSFromDir returns a server's TLS configuration from a folder with tls.crt, tls.key and, to
// require client certificates, ca.crt. That is the layout of a Kubernetes TLS Secret. The files
// are read again at each handshake, so a renewed certificate needs no restart; handshakes are
// rare, because KEDA keeps one connection. If the files can't be read any more, for example
// because the key does not fit the certificate, or if ca.crt is gone, the previous ones stay in
// use. That is counted, and logged when it begins and ends.
func TLSFromDir(dir string, logger *slog.Logger, registerer prometheus.Registerer) (*tls.Config, error) {
	first, err := loadTLS(dir)
	if err != nil { // a wrong folder is an error at start
		return nil, err
	}
	files := &tlsFiles{dir: dir, logger: logger, good: first, failed: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pubsub_scaler_tls_reload_failures_total",
		Help: "Handshakes for which the certificate files could not be read, so that the previous ones were used.",
	})}
	if registerer != nil {
		registerer.MustRegister(files.failed)
	}
	if first.ClientCAs == nil {
		logger.Warn("there is no ca.crt, so nobody is asked for a certificate: anybody may call, and Secrets are never used", "dir", dir)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.config(), nil },
	}, nil
}

// tlsFiles are the files, and their last valid content.
type tlsFiles struct {
	dir    string
	logger *slog.Logger
	failed prometheus.Counter

	mu     sync.Mutex
	good   *tls.Config
	broken string // the last error; empty if there was none
}

func (f *tlsFiles) config() *tls.Config {
	config, err := loadTLS(f.dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.good.ClientCAs != nil && config.ClientCAs == nil {
		err = fmt.Errorf("ca.crt is gone from %s, and without it anybody could call: put it back, or restart the scaler if that is intended", f.dir)
	}
	if err != nil {
		f.failed.Inc()
		if f.broken != err.Error() {
			f.broken = err.Error()
			f.logger.Error("certificate files can't be read; the previous ones stay in use", "error", err)
		}
		return f.good
	}
	if f.broken != "" {
		f.broken = ""
		f.logger.Info("certificate files can be read again")
	}
	f.good = config
	return config
}

func loadTLS(dir string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("loading tls.crt and tls.key from %s: %w: mount a Secret of type kubernetes.io/tls there, whose key fits its certificate", dir, err)
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
		return nil, fmt.Errorf("loading ca.crt from %s: %w: let the scaler read it, or take it out", dir, err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form: put those of the authorities there that sign the callers' certificates", filepath.Join(dir, "ca.crt"))
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

package redistest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// arguments are redis-server's. What a client needs to know is read from them.
type arguments []string

// value is the first value of an option; empty where it is not given.
func (a arguments) value(option string) string {
	for i, arg := range a {
		if arg == option && i+1 < len(a) {
			return a[i+1]
		}
	}
	return ""
}

// tls tells whether the server takes TLS connections only.
func (a arguments) tls() bool { return a.value("--tls-cert-file") != "" }

// credentials are those of the test's own clients.
func (a arguments) credentials() (user, password string) {
	if a.value("--user") != "" {
		return AdminUser, AdminPassword
	}
	return "", a.value("--requirepass")
}

// tlsConfig is a client's; nil for a server without TLS.
func (a arguments) tlsConfig() (*tls.Config, error) {
	if !a.tls() {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(a.value("--tls-client-cert-file"), a.value("--tls-client-key-file"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(a.value("--tls-ca-cert-file"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", a.value("--tls-ca-cert-file"))
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// options are those of the test's own client.
func (s *Server) options() *redis.Options {
	s.t.Helper()
	config, err := s.args.tlsConfig()
	if err != nil {
		s.t.Fatal(err)
	}
	user, password := s.args.credentials()
	return &redis.Options{
		Addr: s.Addr, Username: user, Password: password, TLSConfig: config,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

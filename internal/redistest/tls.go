package redistest

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// Authority is a certificate authority of the test's own, with a certificate for the
// servers and one for their clients. All are PEM.
type Authority struct {
	CA                                                                   []byte // the authority's certificate
	ClientCert                                                           []byte
	ClientKey                                                            []byte
	CAFile, ServerCertFile, ServerKeyFile, ClientCertFile, ClientKeyFile string
}

// TLS makes an authority. Its server certificate is for 127.0.0.1 and localhost.
func TLS(t testing.TB) *Authority {
	t.Helper()
	ca := certtest.New(t)
	server, client := ca.Server("127.0.0.1", "localhost"), ca.Client("redis-client")
	serverFiles, clientFiles := ca.Write(t.TempDir(), server), ca.Write(t.TempDir(), client)
	return &Authority{
		CA: ca.PEM, ClientCert: client.Certificate, ClientKey: client.Key,
		CAFile: serverFiles.CA, ServerCertFile: serverFiles.Certificate, ServerKeyFile: serverFiles.Key,
		ClientCertFile: clientFiles.Certificate, ClientKeyFile: clientFiles.Key,
	}
}

// Args are the arguments of a server that takes TLS connections only, from clients with a
// certificate of this authority only. They are good for all starters of this package.
func (a *Authority) Args() []string {
	return []string{
		"--tls-cert-file", a.ServerCertFile, "--tls-key-file", a.ServerKeyFile,
		"--tls-ca-cert-file", a.CAFile, "--tls-auth-clients", "yes",
		"--tls-client-cert-file", a.ClientCertFile, "--tls-client-key-file", a.ClientKeyFile,
	}
}

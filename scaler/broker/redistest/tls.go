package redistest

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
)

// Authority is a certificate authority of the test's own, with a certificate for the
// servers and one for their clients. All are PEM.
type Authority struct {
	CA                                                                   []byte // the authority's certificate
	ClientCert                                                           []byte
	ClientKey                                                            []byte
	CAFile, ServerCertFile, ServerKeyFile, ClientCertFile, ClientKeyFile string

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// TLS makes an authority. Its server certificate is for 127.0.0.1 and localhost.
func TLS(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	template := a.template("redistest CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.CAFile = a.write("ca.crt", a.CA)

	cert, key := a.Issue("redis-server", "127.0.0.1", "localhost")
	a.ServerCertFile, a.ServerKeyFile = a.write("server.crt", cert), a.write("server.key", key)
	a.ClientCert, a.ClientKey = a.Issue("redis-client")
	a.ClientCertFile, a.ClientKeyFile = a.write("client.crt", a.ClientCert), a.write("client.key", a.ClientKey)
	return a
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

// ClientConfig is a client's configuration.
func (a *Authority) ClientConfig() *tls.Config {
	a.t.Helper()
	config, err := arguments(a.Args()).tlsConfig()
	if err != nil {
		a.t.Fatal(err)
	}
	return config
}

// Issue makes a certificate for those hosts, or for a client where there are none.
func (a *Authority) Issue(name string, hosts ...string) (cert, key []byte) {
	a.t.Helper()
	template := a.template(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	private := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}

func (a *Authority) template(name string) *x509.Certificate {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		a.t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *Authority) write(name string, content []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

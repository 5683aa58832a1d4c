// Package certtest is a certificate authority for tests, with certificates for servers and
// for clients: in PEM, as a Kubernetes TLS Secret has them, as files, or as a tls.Config.
package certtest

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

	"github.com/stretchr/testify/require"
)

// Certificates are valid from an hour ago, so that no clock is too late for them, and for
// longer than any test lasts.
const (
	validSince = time.Hour
	validFor   = 24 * time.Hour
)

// The keys of a Secret, and the names of the files that it is mounted as: those of
// Kubernetes' type kubernetes.io/tls, and ca.crt beside them.
const (
	CAKey          = "ca.crt"
	CertificateKey = "tls.crt"
	PrivateKeyKey  = "tls.key"
)

// Authority is a certificate authority. It fails its test where anything goes wrong.
type Authority struct {
	// PEM is its certificate.
	PEM []byte

	t           testing.TB
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Pair is a certificate and its private key, in PEM.
type Pair struct{ Certificate, Key []byte }

// Files are the paths of certificates and a private key.
type Files struct{ CA, Certificate, Key string }

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t}
	template := a.template("test CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	var der []byte
	a.certificate = template // it signs itself
	der, a.key = a.sign(template)
	var err error
	a.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.PEM = encode("CERTIFICATE", der)
	return a
}

// Server makes a server's certificate for hosts, which are DNS names and IP addresses. The
// first is its common name, too.
func (a *Authority) Server(hosts ...string) Pair {
	a.t.Helper()
	return a.ServerUntil(time.Now().Add(validFor), hosts...)
}

// ServerUntil is Server with another end of its validity, which may have passed.
func (a *Authority) ServerUntil(end time.Time, hosts ...string) Pair {
	a.t.Helper()
	require.NotEmpty(a.t, hosts)
	template := a.template(hosts[0])
	template.NotAfter = end
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(template)
}

// Client makes a client's certificate. The name is its common name.
func (a *Authority) Client(name string) Pair {
	a.t.Helper()
	template := a.template(name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

// Secret is the data of a Secret with the pair and the authority's certificate.
func (a *Authority) Secret(p Pair) map[string][]byte {
	return map[string][]byte{CAKey: a.PEM, CertificateKey: p.Certificate, PrivateKeyKey: p.Key}
}

// Write writes the pair and the authority's certificate to a folder, as a Secret is
// mounted. What is there is replaced.
func (a *Authority) Write(dir string, p Pair) Files {
	a.t.Helper()
	for name, content := range a.Secret(p) {
		require.NoError(a.t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return Files{CA: filepath.Join(dir, CAKey), Certificate: filepath.Join(dir, CertificateKey), Key: filepath.Join(dir, PrivateKeyKey)}
}

// MutualTLS is the configuration of a server that demands a client's certificate of this
// authority.
func (a *Authority) MutualTLS(server Pair) *tls.Config {
	a.t.Helper()
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.load(server)},
		ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// ClientTLS is the configuration of a client that expects a server of that name with a
// certificate of this authority, and shows those of its own, if any.
func (a *Authority) ClientTLS(serverName string, own ...Pair) *tls.Config {
	a.t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.pool(), ServerName: serverName}
	for _, pair := range own {
		config.Certificates = append(config.Certificates, a.load(pair))
	}
	return config
}

func (a *Authority) load(p Pair) tls.Certificate {
	a.t.Helper()
	certificate, err := tls.X509KeyPair(p.Certificate, p.Key)
	require.NoError(a.t, err)
	return certificate
}

func (a *Authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *Authority) template(name string) *x509.Certificate {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(a.t, err)
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-validSince), NotAfter: time.Now().Add(validFor),
	}
}

func (a *Authority) issue(template *x509.Certificate) Pair {
	a.t.Helper()
	der, key := a.sign(template)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return Pair{Certificate: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", private)}
}

// sign makes a key and a certificate for it. The authority's own is signed with itself.
func (a *Authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), signer)
	require.NoError(a.t, err)
	return der, key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

package model

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
	"sync"
	"time"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// Name is the DNS name on the server's certificate, beside 127.0.0.1.
const Name = "scaler.test"

// Pair is a certificate and its key in PEM form.
type Pair struct{ Certificate, Key string }

// Authority is a throw-away certificate authority with a server's and a client's pair.
type Authority struct {
	CA                     string
	ServerPair, ClientPair Pair
}

// Certificates makes one authority for the process.
var Certificates = sync.OnceValue(newAuthority)

// Client is the suite's side.
func (a *Authority) Client() *contract.TLS {
	return &contract.TLS{CA: a.CA, Certificate: a.ClientPair.Certificate, Key: a.ClientPair.Key}
}

// Server is the scaler's side.
func (a *Authority) Server(askForClient bool) *tls.Config {
	pair, err := tls.X509KeyPair([]byte(a.ServerPair.Certificate), []byte(a.ServerPair.Key))
	must(err)
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if askForClient {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM([]byte(a.CA))
	}
	return config
}

func newAuthority() *Authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "conformance tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	must(err)
	issue := func(serial int64, use x509.ExtKeyUsage) Pair {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: Name},
			NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{use}, DNSNames: []string{Name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, own.Public(), key)
		must(err)
		secret, err := x509.MarshalPKCS8PrivateKey(own)
		must(err)
		return Pair{encode("CERTIFICATE", der), encode("PRIVATE KEY", secret)}
	}
	return &Authority{
		CA:         encode("CERTIFICATE", der),
		ServerPair: issue(2, x509.ExtKeyUsageServerAuth),
		ClientPair: issue(3, x509.ExtKeyUsageClientAuth),
	}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// must is for what fails only where the platform is broken.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

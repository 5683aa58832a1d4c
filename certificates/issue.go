package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// How long certificates are valid. Each is renewed after two thirds of that. An authority's
// last third is longer than any of its certificates is valid, so that none outlives it.
const (
	authorityValid   = 365 * 24 * time.Hour
	certificateValid = 30 * 24 * time.Hour
	// backdated makes certificates valid for clocks that are late.
	backdated = time.Hour
	// mostSkew is how far the controller's clock may be from the API server's. Then a certificate
	// is valid at once for everybody who is as near to it, too.
	mostSkew = backdated / 2
)

// Keys of a Secret with a certificate, and the names of its files.
const (
	authoritiesKey = "ca.crt"
	certificateKey = "tls.crt"
	privateKeyKey  = "tls.key"
)

// issuer is an authority that can sign.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
	certPEM     []byte
	keyPEM      []byte
}

// newIssuer makes an authority. The serial number in its name tells it from the one before.
func newIssuer(name string, now time.Time) (*issuer, error) {
	template, err := template(now, authorityValid)
	if err != nil {
		return nil, err
	}
	template.Subject.CommonName = fmt.Sprintf("%s %x", name, template.SerialNumber.Bytes()[:4])
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority %q: %w", name, err)
	}
	return readIssuer(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM)
}

// readIssuer reads what newIssuer made; none where both are empty.
func readIssuer(certPEM, keyPEM []byte) (*issuer, error) {
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return nil, nil //nolint:nilnil // no issuer is a state as good as any
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("the certificate is no authority's")
	}
	return &issuer{certificate: pair.Leaf, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

// issue makes a certificate and its key, for a server if it has hosts, else for a client.
func (i *issuer) issue(c Certificate, now time.Time) (certPEM, keyPEM []byte, err error) {
	template, err := template(now, certificateValid)
	if err != nil {
		return nil, nil, err
	}
	template.Subject.CommonName = c.Names[0]
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(c.Hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range c.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.certificate, key.Public(), i.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing the certificate for %s: %w", c.Secret, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM, nil
}

func template(now time.Time, valid time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	serial.SetBit(serial, 119, 1) // always as long
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"pubsub-operator"}},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(valid),
	}, nil
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a private key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// isValid reports whether a certificate's time has come and has not passed.
func isValid(certificate *x509.Certificate, now time.Time) bool {
	return !now.Before(certificate.NotBefore) && now.Before(certificate.NotAfter)
}

// isDue reports whether two thirds of a certificate's time have passed.
func isDue(certificate *x509.Certificate, now time.Time) bool {
	return !now.Before(certificate.NotBefore.Add(certificate.NotAfter.Sub(certificate.NotBefore) * 2 / 3))
}

// fault is why the certificate in a Secret can't stay; empty: it can. Without a signer it may
// be of any authority, because whoever signed it has no key any more: then it stays until it
// is about to expire, also without a host that is new, because nobody trusts a new one yet.
func (c Certificate) fault(data map[string][]byte, signer *issuer, now time.Time) string {
	if len(data[certificateKey]) == 0 && len(data[privateKeyKey]) == 0 {
		return "there was none"
	}
	pair, err := tls.X509KeyPair(data[certificateKey], data[privateKeyKey])
	if err != nil {
		return fmt.Sprintf("the one before can't be used: %v", err)
	}
	leaf := pair.Leaf
	names := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
	switch {
	case now.Before(leaf.NotBefore):
		return "the one before is not valid yet: who made it had a clock that was ahead"
	case signer == nil && !now.Before(leaf.NotAfter.Add(-time.Hour)):
		return "the one before is about to expire"
	case signer != nil && leaf.CheckSignatureFrom(signer.certificate) != nil:
		return "the authority is another one"
	case signer != nil && isDue(leaf, now):
		return "two thirds of its time have passed"
	case !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(c.Names, name) }):
		return fmt.Sprintf("the name is another one: %s", c.Names[0])
	}
	for _, host := range c.Hosts {
		if err := leaf.VerifyHostname(host); err != nil && signer != nil {
			return fmt.Sprintf("the host %s is new", host)
		}
	}
	return ""
}

// each calls a function with each certificate in a PEM text.
func each(text []byte, do func(block []byte, certificate *x509.Certificate)) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			do(pem.EncodeToMemory(block), certificate)
		}
	}
}

// bundle joins PEM texts. Each certificate is in it once, and none that has expired.
func bundle(now time.Time, texts ...[]byte) []byte {
	var joined []byte
	for _, text := range texts {
		each(text, func(block []byte, certificate *x509.Certificate) {
			if now.Before(certificate.NotAfter) && !bytes.Contains(joined, block) {
				joined = append(joined, block...)
			}
		})
	}
	return joined
}

package cluster

import (
	"bytes"
	"crypto/x509"
	"os"
	"slices"
	"testing"
	"time"
)

func TestCertificates(t *testing.T) {
	p := pki{dir: t.TempDir()}
	now := time.Now()
	if err := p.ensure(now); err != nil {
		t.Fatal(err)
	}
	ca, _, err := p.load(caName)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)

	for name, hosts := range map[string][]string{
		certApiserver:     {"kubernetes.default.svc", "localhost", "127.0.0.1", NodeAddress, apiserverServiceAddress},
		certKubeletServer: {NodeName, NodeAddress},
	} {
		crt, _, err := p.load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range hosts {
			_, err := crt.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			if err != nil {
				t.Errorf("%s for %s: %v", name, host, err)
			}
		}
		if err := crt.VerifyHostname("example.com"); err == nil {
			t.Errorf("%s is valid for any host", name)
		}
	}

	crt, _, err := p.load("kubelet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crt.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if crt.Subject.CommonName != "system:node:"+NodeName || !slices.Equal(crt.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("kubelet's subject is %s", crt.Subject)
	}
	if _, err := crt.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("a client's certificate is valid for a server")
	}
}

func TestCertificatesAreKept(t *testing.T) {
	p := pki{dir: t.TempDir()}
	now := time.Now()
	if err := p.ensure(now); err != nil {
		t.Fatal(err)
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	before := [][]byte{read(p.crt(certApiserver)), read(p.key(keyServiceAccount))}
	if err := os.Remove(p.crt(certKubeletServer)); err != nil {
		t.Fatal(err)
	}
	if err := p.ensure(now.Add(24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	after := [][]byte{read(p.crt(certApiserver)), read(p.key(keyServiceAccount))}
	if !bytes.Equal(before[0], after[0]) || !bytes.Equal(before[1], after[1]) {
		t.Error("a second run replaced valid keys")
	}
	if _, _, err := p.load(certKubeletServer); err != nil {
		t.Errorf("a lost certificate was not replaced: %v", err)
	}
	if err := p.ensure(now.Add(certificateLifetime)); err == nil {
		t.Error("an expired CA was accepted")
	}
}

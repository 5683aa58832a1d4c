package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Certificates outlive any test cluster, and are renewed by an `up` that finds less than
// renewBefore left.
const (
	certificateLifetime = 365 * 24 * time.Hour
	renewBefore         = 7 * 24 * time.Hour
)

// A certificate is one certificate of the cluster that its CA signs.
type certificate struct {
	// name is the name of the files, <name>.crt and <name>.key.
	name string
	// commonName and organization are the user and the group that Kubernetes takes the
	// holder of a client certificate for.
	commonName, organization string
	// hosts are the names and addresses of a server; none for a client.
	hosts []string
}

// The file names of the certificates.
const (
	caName                     = "ca"
	certApiserver              = "kube-apiserver"
	certApiserverKubeletClient = "kube-apiserver-kubelet-client"
	certFrontProxyClient       = "front-proxy-client"
	certKubeletServer          = "kubelet-server"
	keyServiceAccount          = "service-account"
)

// frontProxyName is the one name that may vouch for other users in request headers. There
// is a single CA, so that without it every client certificate could.
const frontProxyName = "front-proxy-client"

const mastersGroup = "system:masters"

// clients are the holders of a kubeconfig.
var clients = []certificate{
	{name: "admin", commonName: "kubernetes-admin", organization: mastersGroup},
	{name: "kube-controller-manager", commonName: "system:kube-controller-manager"},
	{name: "kube-scheduler", commonName: "system:kube-scheduler"},
	{name: "kube-proxy", commonName: "system:kube-proxy"},
	// The name that the Node authorizer knows the kubelet by.
	{name: "kubelet", commonName: "system:node:" + NodeName, organization: "system:nodes"},
}

var otherCertificates = []certificate{
	{name: certApiserver, commonName: "kube-apiserver", hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1", NodeAddress, apiserverServiceAddress,
	}},
	{name: certKubeletServer, commonName: NodeName, hosts: []string{NodeName, NodeAddress}},
	{name: certApiserverKubeletClient, commonName: "kube-apiserver-kubelet-client", organization: mastersGroup},
	{name: certFrontProxyClient, commonName: frontProxyName},
}

// A pki is the folder of the cluster's keys and certificates.
type pki struct{ dir string }

func (p pki) crt(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p pki) key(name string) string { return filepath.Join(p.dir, name+".key") }

// ensure makes each key and certificate that is missing, unfit or about to expire.
func (p pki) ensure(now time.Time) error {
	ca, caKey, err := p.ensureCA(now)
	if err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	for _, c := range slices.Concat(clients, otherCertificates) {
		if p.valid(c, ca, now) {
			continue
		}
		if err := p.issue(c, ca, caKey, now); err != nil {
			return fmt.Errorf("certificate %s: %w", c.name, err)
		}
	}
	if _, err := os.Stat(p.key(keyServiceAccount)); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return p.writeKey(keyServiceAccount, key)
}

func (p pki) ensureCA(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	ca, key, err := p.load(caName)
	if err == nil && now.Add(renewBefore).After(ca.NotAfter) {
		return nil, nil, errors.New("it expires: take the cluster down and up again")
	}
	if !errors.Is(err, os.ErrNotExist) {
		return ca, key, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: NodeName + "-ca"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if err := p.write(caName, template, template, key, key); err != nil {
		return nil, nil, err
	}
	return p.load(caName)
}

func (p pki) issue(c certificate, ca *x509.Certificate, caKey *ecdsa.PrivateKey, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{CommonName: c.commonName},
		NotBefore:    now.Add(-time.Hour), // clocks of pods may differ
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if c.organization != "" {
		template.Subject.Organization = []string{c.organization}
	}
	if len(c.hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return p.write(c.name, template, ca, key, caKey)
}

// valid reports whether the certificate is there and does what is asked of it.
func (p pki) valid(c certificate, ca *x509.Certificate, now time.Time) bool {
	crt, _, err := p.load(c.name)
	if err != nil || crt.Subject.CommonName != c.commonName || now.Add(renewBefore).After(crt.NotAfter) {
		return false
	}
	for _, host := range c.hosts {
		if crt.VerifyHostname(host) != nil {
			return false
		}
	}
	return crt.CheckSignatureFrom(ca) == nil
}

func (p pki) load(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	crtDER, err := readPEM(p.crt(name))
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := readPEM(p.key(name))
	if err != nil {
		return nil, nil, err
	}
	crt, err := x509.ParseCertificate(crtDER)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return nil, nil, err
	}
	if !key.PublicKey.Equal(crt.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", p.key(name), p.crt(name))
	}
	return crt, key, nil
}

// write writes the key before the certificate: readers take a lone key for nothing.
func (p pki) write(name string, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return err
	}
	if err := p.writeKey(name, key); err != nil {
		return err
	}
	return writeFile(p.crt(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func (p pki) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(p.key(name), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return block.Bytes, nil
}

func serialNumber() *big.Int {
	return new(big.Int).SetBytes([]byte(rand.Text()[:15])) // positive, and at most 20 bytes
}

package translator

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"time"
)

// endsOf is when the first of the certificates in each file of a TLS Secret expires.
func endsOf(data map[string][]byte) map[string]time.Time {
	ends := map[string]time.Time{}
	for _, file := range []string{"tls.crt", "ca.crt"} {
		for block, rest := pem.Decode(data[file]); block != nil; block, rest = pem.Decode(rest) {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				continue
			}
			if first, found := ends[file]; !found || certificate.NotAfter.Before(first) {
				ends[file] = certificate.NotAfter
			}
		}
	}
	return ends
}

// ends is endsOf the Secret when it was last read; empty while it can't be.
func (c *certificates) ends() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != "" {
		return nil
	}
	return maps.Clone(c.expiries)
}

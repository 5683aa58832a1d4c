// Package metrics has the metrics that the programs under cmd share: which build runs, and when
// the certificates that it was given expire.
package metrics

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
)

// NewBuildInfo is pubsub_build_info, which is always 1. Its labels say which program this is, its
// version (what --version prints) and the version of Go that compiled it.
func NewBuildInfo(name, version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "pubsub_build_info",
		Help:        "1; the labels say which build of the program runs.",
		ConstLabels: prometheus.Labels{"program": name, "version": program.Version(version), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// certificateFiles are those of a Kubernetes TLS Secret that have certificates.
var certificateFiles = []string{"tls.crt", "ca.crt"}

var expiryDesc = prometheus.NewDesc("pubsub_tls_certificate_expiry_timestamp_seconds",
	"When the first certificate in the file expires, in Unix time; absent while the file can't be read.", []string{"file"}, nil)

// expiry reads the files at each scrape, so that a renewed certificate shows at once.
type expiry struct{ files func() map[string][]byte }

// NewCertificateExpiry is pubsub_tls_certificate_expiry_timestamp_seconds of tls.crt and ca.crt
// in a folder.
func NewCertificateExpiry(dir string) prometheus.Collector {
	return NewCertificateExpiryOf(func() map[string][]byte {
		files := map[string][]byte{}
		for _, file := range certificateFiles {
			if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil { // who uses the file tells that it can't be read
				files[file] = text
			}
		}
		return files
	})
}

// NewCertificateExpiryOf is the same of files that a function reads at each scrape; those that
// can't be read are missing.
func NewCertificateExpiryOf(files func() map[string][]byte) prometheus.Collector {
	return expiry{files}
}

// Describe implements prometheus.Collector.
func (expiry) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- expiryDesc }

// Collect implements prometheus.Collector.
func (e expiry) Collect(metrics chan<- prometheus.Metric) {
	files := e.files()
	for _, file := range certificateFiles {
		if end, found := firstExpiry(files[file]); found {
			metrics <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(end.Unix()), file)
		}
	}
}

// firstExpiry is when the first of the certificates in a PEM text expires.
func firstExpiry(text []byte) (first time.Time, found bool) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && (!found || certificate.NotAfter.Before(first)) {
			first, found = certificate.NotAfter, true
		}
	}
	return first, found
}

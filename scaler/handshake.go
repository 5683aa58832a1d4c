package scaler

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
)

// The reasons why handshakes are refused, as the metric's label.
const (
	refusedCertificate = "certificate" // the client's certificate is not signed by our CA, has expired, or is missing
	refusedProtocol    = "protocol"    // no TLS, or no version that both sides have
	refusedClosed      = "closed"      // the client closed the connection: often it does not trust our certificate
)

// handshakes are the server's TLS credentials. They report clients that were refused: gRPC
// itself does not, and to a client a certificate of another CA looks like a scaler that is down.
type handshakes struct {
	credentials.TransportCredentials

	logger  *slog.Logger
	refused *prometheus.CounterVec
	quietly *rate.Sometimes // so that a client that keeps trying is not logged each time
}

func newHandshakes(config *tls.Config, logger *slog.Logger, registerer prometheus.Registerer) *handshakes {
	h := &handshakes{
		TransportCredentials: credentials.NewTLS(config),
		logger:               logger,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pubsub_scaler_tls_handshakes_refused_total",
			Help: "TLS handshakes that failed, by reason: certificate (the client's), protocol, or closed (by the client).",
		}, []string{"reason"}),
		quietly: &rate.Sometimes{First: 3, Interval: time.Minute},
	}
	if registerer != nil {
		registerer.MustRegister(h.refused)
	}
	return h
}

// ServerHandshake implements credentials.TransportCredentials.
func (h *handshakes) ServerHandshake(connection net.Conn) (net.Conn, credentials.AuthInfo, error) {
	encrypted, info, err := h.TransportCredentials.ServerHandshake(connection)
	if err != nil {
		reason := refusalOf(err)
		h.refused.WithLabelValues(reason).Inc()
		h.quietly.Do(func() {
			h.logger.Warn("TLS handshake refused", "client", connection.RemoteAddr().String(), "reason", reason, "error", err)
		})
	}
	return encrypted, info, err
}

// Clone implements credentials.TransportCredentials.
func (h *handshakes) Clone() credentials.TransportCredentials {
	clone := *h
	clone.TransportCredentials = h.TransportCredentials.Clone()
	return &clone
}

func refusalOf(err error) string {
	var alert *net.OpError
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.CertificateInvalidError)):
		return refusedCertificate
	case errors.Is(err, io.EOF), errors.As(err, &alert) && alert.Op == "remote error":
		return refusedClosed
	case err.Error() == "tls: client didn't provide a certificate": // crypto/tls, handshake_server.go: it has no type
		return refusedCertificate
	default:
		return refusedProtocol
	}
}

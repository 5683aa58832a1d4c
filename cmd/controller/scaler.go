package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Files of --scaler-tls-cert-dir, named as in a Kubernetes TLS Secret.
const (
	caFile   = "ca.crt"
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// roundRobin spreads the questions over all replicas of the scaler that the name resolves
// to: any of them gives the same answer.
const roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// A dead connection is noticed within keepaliveTime and keepaliveTimeout. The scaler allows
// a ping every 10 s.
const (
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// explainer asks the scaler over one connection.
type explainer struct {
	connection *grpc.ClientConn
	inspector  inspectv1.InspectorClient
}

// newExplainer prepares the connection; it is made with the first question. certDir empty
// means plaintext. Others' options, such as one that traces calls, come after its own.
func newExplainer(address, certDir string, others ...grpc.DialOption) (*explainer, error) {
	transport := insecure.NewCredentials()
	if certDir != "" {
		files := &filesTLS{dir: certDir}
		if _, err := files.config(); err != nil {
			return nil, err
		}
		transport = files
	}
	connection, err := grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(roundRobin),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
	}, others...)...)
	if err != nil {
		return nil, fmt.Errorf("--scaler-address %s: %w", address, err)
	}
	return &explainer{connection: connection, inspector: inspectv1.NewInspectorClient(connection)}, nil
}

// Explain implements translator.Explainer.
func (e *explainer) Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	return e.inspector.Explain(ctx, request)
}

// close ends the connection.
func (e *explainer) close() error { return e.connection.Close() }

// filesTLS reads the CA, the certificate and its key again at each handshake, so a renewed
// one needs no restart; handshakes are rare, because connections last.
type filesTLS struct {
	dir        string
	serverName string // empty: the name that was dialled
}

func (f *filesTLS) config() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(f.dir, certFile), filepath.Join(f.dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate for the scaler: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(f.dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("reading the CA of the scaler: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", filepath.Join(f.dir, caFile))
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		RootCAs:      roots,
		Certificates: []tls.Certificate{certificate},
		ServerName:   f.serverName,
	}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (f *filesTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := f.config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (f *filesTLS) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a client's")
}

// Info implements credentials.TransportCredentials.
func (f *filesTLS) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (f *filesTLS) Clone() credentials.TransportCredentials {
	clone := *f
	return &clone
}

// OverrideServerName implements credentials.TransportCredentials.
func (f *filesTLS) OverrideServerName(name string) error {
	f.serverName = name
	return nil
}

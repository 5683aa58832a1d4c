package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
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

// newExplainer prepares the connection; it is made with the first question. No source means
// plaintext. Others' options, such as one that traces calls, come after its own.
func newExplainer(address string, files source, others ...grpc.DialOption) (*explainer, error) {
	transport := insecure.NewCredentials()
	if files != nil {
		transport = &sourceTLS{files: files}
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

// sourceTLS reads the CA, the certificate and its key again at each handshake, so a renewed
// one needs no restart; handshakes are rare, because connections last.
type sourceTLS struct {
	files      source
	serverName string // empty: the name that was dialled
}

func (f *sourceTLS) config(ctx context.Context) (*tls.Config, error) {
	files, err := f.files(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates for the scaler: %w", err)
	}
	certificate, err := tls.X509KeyPair(files[certFile], files[keyFile])
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate for the scaler: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files[caFile]) {
		return nil, fmt.Errorf("%s, the CA of the scaler, holds no certificate in PEM form", caFile)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		RootCAs:      roots,
		Certificates: []tls.Certificate{certificate},
		ServerName:   f.serverName,
	}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (f *sourceTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := f.config(ctx)
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (f *sourceTLS) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a client's")
}

// Info implements credentials.TransportCredentials.
func (f *sourceTLS) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (f *sourceTLS) Clone() credentials.TransportCredentials {
	clone := *f
	return &clone
}

// OverrideServerName implements credentials.TransportCredentials.
func (f *sourceTLS) OverrideServerName(name string) error {
	f.serverName = name
	return nil
}

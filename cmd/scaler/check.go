package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// checkTimeout bounds a check. A scaler that has just been started fills its caches first.
const checkTimeout = 2 * time.Minute

// check asks the scaler at the address whether it serves, as KEDA would reach it: by its name, and
// with TLS if there is a folder with a client's certificates. It waits until the scaler serves, or
// the context ends.
func check(ctx context.Context, address, certDir string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	transport := insecure.NewCredentials()
	if certDir != "" {
		config, err := clientTLS(certDir)
		if err != nil {
			return err
		}
		transport = credentials.NewTLS(config)
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return fmt.Errorf("--check is %q: it must be host:port: %w", address, err)
	}
	defer connection.Close() // nothing more is asked
	last := "nothing was answered"
	stream, err := healthpb.NewHealthClient(connection).Watch(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	for err == nil {
		var answer *healthpb.HealthCheckResponse
		if answer, err = stream.Recv(); answer.GetStatus() == healthpb.HealthCheckResponse_SERVING {
			return nil
		}
		if err == nil {
			last = answer.GetStatus().String()
		}
	}
	return fmt.Errorf("the scaler at %s does not serve (%s): is it running, is it reachable from here, and are the certificates of one CA? %w", address, last, err)
}

// clientTLS is a client's, of a folder with ca.crt, tls.crt and tls.key.
func clientTLS(dir string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-dir is %q: reading the client's certificate: %w", dir, err)
	}
	authorities, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-dir is %q: reading the scaler's CA: %w", dir, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("--tls-cert-dir is %q: ca.crt has no certificate in PEM", dir)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

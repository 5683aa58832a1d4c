package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// inspector answers with the name in the caller's certificate.
type inspector struct {
	inspectv1.UnimplementedInspectorServer
}

func (inspector) Explain(ctx context.Context, _ *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	caller := "nobody"
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			caller = info.State.PeerCertificates[0].Subject.CommonName
		}
	}
	return &inspectv1.ExplainResponse{Explanation: caller}, nil
}

func serveInspector(t *testing.T, address string, options ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	inspectv1.RegisterInspectorServer(server, inspector{})
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return server, listener.Addr().String()
}

func TestExplainInPlaintext(t *testing.T) {
	_, address := serveInspector(t, "127.0.0.1:0")
	e, err := newExplainer(address, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.NoError(t, err)
	assert.Equal(t, "nobody", response.GetExplanation())
}

// A renewed certificate, and even a new CA, is used from the next connection on.
func TestCertificatesAreReadAnew(t *testing.T) {
	first, second := certtest.New(t), certtest.New(t)
	dir := t.TempDir()
	first.Write(dir, first.Client("before"))
	serverCredentials := func(a *certtest.Authority) grpc.ServerOption {
		return grpc.Creds(credentials.NewTLS(a.MutualTLS(a.Server("127.0.0.1"))))
	}
	server, address := serveInspector(t, "127.0.0.1:0", serverCredentials(first))
	e, err := newExplainer(address, inDir(dir))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.NoError(t, err)
	assert.Equal(t, "before", response.GetExplanation())

	server.Stop()
	second.Write(dir, second.Client("after"))
	serveInspector(t, address, serverCredentials(second))
	require.Eventually(t, func() bool {
		response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
		return err == nil && response.GetExplanation() == "after"
	}, time.Minute, 50*time.Millisecond)
}

// A controller that makes the certificates itself finds its own in the Secret, from when it is
// filled on, and every renewed one.
func TestTheOwnSecretIsReadAtEachHandshake(t *testing.T) {
	name := types.NamespacedName{Namespace: "system", Name: "op-controller-cert"}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	api := fake.NewClientBuilder().WithObjects(secret).Build()
	ca := certtest.New(t)
	_, address := serveInspector(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(ca.MutualTLS(ca.Server("127.0.0.1")))))
	o := options{issue: issuing{prefix: "system/op"}}
	files := o.source(api)
	_, err := files(t.Context())
	require.EqualError(t, err, "Secret system/op-controller-cert has no ca.crt yet: the controller that leads makes it, and its log tells what keeps it from that")
	e, err := newExplainer(address, files)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	_, err = e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.ErrorContains(t, err, "has no ca.crt yet")

	secret.Data = ca.Secret(ca.Client("made"))
	require.NoError(t, api.Update(t.Context(), secret))
	require.Eventually(t, func() bool {
		response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
		return err == nil && response.GetExplanation() == "made"
	}, time.Minute, 50*time.Millisecond)
}

func TestBadCertificatesAreFoundAtTheStart(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.New(t)
	ca.Write(dir, ca.Client("x"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, caFile), []byte("no PEM"), 0o600))
	_, err := (&sourceTLS{files: inDir(dir)}).config(t.Context())
	assert.ErrorContains(t, err, "holds no certificate in PEM form")
}

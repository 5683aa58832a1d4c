package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// A containerd that has just started listens, and refuses all that the kubelet asks for: a kubelet that starts by
// then ends at once.
func TestARuntimeThatOnlyListensIsNotReady(t *testing.T) {
	dir, err := os.MkdirTemp("", "cri") //nolint:usetesting // the path of a socket may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing depends on it
	n := &nodeProvider{dir: dir}
	if err := n.runtimeReady(t.Context()); err == nil {
		t.Error("ready without a socket")
	}
	if err := os.Mkdir(filepath.Dir(n.containerdSocket()), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", n.containerdSocket())
	if err != nil {
		t.Fatal(err)
	}
	var initialised atomic.Bool
	// containerd's own words, as the kubelet logs them.
	version := func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
		if !initialised.Load() {
			return nil, status.Error(codes.Unknown, "server is not initialized yet")
		}
		return &emptypb.Empty{}, nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "runtime.v1.RuntimeService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Version", Handler: version}},
	}, struct{}{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	if err := n.runtimeReady(t.Context()); err == nil || !strings.Contains(err.Error(), "not initialized yet") {
		t.Errorf("of a server that only listens: %v", err)
	}
	initialised.Store(true)
	if err := n.runtimeReady(t.Context()); err != nil {
		t.Error(err)
	}
}

// A node stays Ready in the API for 50 s after its kubelet has ended.
func TestANodeWithoutItsKubeletIsNotReady(t *testing.T) {
	dir := t.TempDir()
	k := kubectl{path: filepath.Join(dir, "kubectl"), kubeconfig: filepath.Join(dir, "kubeconfig"), cacheDir: dir}
	answers := func(health string) {
		script := `#!/bin/sh
case "$3" in
*/proxy/healthz) ` + health + ` ;;
*) echo '{"status":{"conditions":[{"type":"Ready","status":"'"$(cat ` + dir + `/ready)"'","message":"words"}]}}' ;;
esac
`
		if err := os.WriteFile(k.path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(value string) {
		if err := os.WriteFile(filepath.Join(dir, "ready"), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ready("True")
	answers(`echo "dial tcp 10.243.0.1:10250: connect: connection refused" >&2; exit 1`)
	if err := k.nodeReady(t.Context(), "node"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Ready, and the kubelet does not answer: %v", err)
	}
	answers("echo ok")
	if err := k.nodeReady(t.Context(), "node"); err != nil {
		t.Error(err)
	}
	ready("False")
	if err := k.nodeReady(t.Context(), "node"); err == nil || !strings.Contains(err.Error(), "words") {
		t.Errorf("not Ready, and the kubelet answers: %v", err)
	}
}

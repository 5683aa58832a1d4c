// Package connecttest plays, for tests, what the plugin connects to: a scaler and a kubelet
// that forwards ports.
package connecttest

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Inspector is a scaler that answers what it was told to, and TargetNotFound otherwise.
type Inspector struct {
	inspectv1.UnimplementedInspectorServer

	mu      sync.Mutex
	answers map[string]*inspectv1.ExplainResponse
	changed chan struct{} // closed at the next change
	asked   *inspectv1.ExplainRequest
	opened  int
}

// Set makes the answer about a ScaledObject, for Watch's streams as well.
func (i *Inspector) Set(namespace, name string, answer *inspectv1.ExplainResponse) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answers == nil {
		i.answers = map[string]*inspectv1.ExplainResponse{}
	}
	i.answers[namespace+"/"+name] = answer
	if i.changed != nil {
		close(i.changed)
	}
	i.changed = make(chan struct{})
}

// Asked is the last question to Explain.
func (i *Inspector) Asked() *inspectv1.ExplainRequest {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// Opened is how many streams were opened so far.
func (i *Inspector) Opened() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.opened
}

// answer is the one about a ScaledObject, and a channel that is closed when it may be
// another.
func (i *Inspector) answer(namespace, name string) (*inspectv1.ExplainResponse, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.changed == nil {
		i.changed = make(chan struct{})
	}
	return i.answers[namespace+"/"+name], i.changed
}

// Explain implements inspectv1.InspectorServer.
func (i *Inspector) Explain(_ context.Context, in *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	i.mu.Lock()
	i.asked = in
	i.mu.Unlock()
	if answer, _ := i.answer(in.GetNamespace(), in.GetName()); answer != nil {
		return answer, nil
	}
	return nil, inspect.Error(codes.NotFound, inspect.TargetNotFound, "not found: there is no ScaledObject "+in.GetNamespace()+"/"+in.GetName())
}

// Watch implements inspectv1.InspectorServer.
func (i *Inspector) Watch(in *inspectv1.WatchRequest, stream grpc.ServerStreamingServer[inspectv1.WatchResponse]) error {
	i.mu.Lock()
	i.opened++
	i.mu.Unlock()
	var sent *inspectv1.ExplainResponse
	for {
		answer, changed := i.answer(in.GetNamespace(), in.GetName())
		if answer == nil {
			return inspect.Error(codes.NotFound, inspect.TargetNotFound, "not found: there is no ScaledObject "+in.GetNamespace()+"/"+in.GetName())
		}
		if !proto.Equal(answer, sent) {
			sent = answer
			message := &inspectv1.WatchResponse{Time: timestamppb.Now(), Result: &inspectv1.WatchResponse_Explanation{Explanation: answer}}
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Serve serves on loopback until the test ends; config nil means plaintext.
func Serve(t testing.TB, service inspectv1.InspectorServer, config *tls.Config) (server *grpc.Server, address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	server = grpc.NewServer(options...)
	inspectv1.RegisterInspectorServer(server, service)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return server, listener.Addr().String()
}

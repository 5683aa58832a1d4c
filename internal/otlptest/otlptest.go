// Package otlptest is a receiver of OpenTelemetry's protocol for tests: what a collector would get.
package otlptest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Span is one that has arrived, with the name of the service that sent it.
type Span struct {
	*tracepb.Span
	Service string
}

// Attribute is the value of an attribute as text; empty if there is none.
func (s Span) Attribute(name string) string {
	for _, pair := range s.GetAttributes() {
		if pair.GetKey() == name {
			if text := pair.GetValue().GetStringValue(); text != "" {
				return text
			}
			return pair.GetValue().String()
		}
	}
	return ""
}

// Receiver takes spans over gRPC and over HTTP.
type Receiver struct {
	collector.UnimplementedTraceServiceServer
	GRPC, HTTP string // endpoints, as URLs

	mu    sync.Mutex
	spans []Span
}

// Start starts a receiver, which ends with the test.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	web := httptest.NewServer(http.HandlerFunc(r.post))
	t.Cleanup(web.Close)
	r.GRPC, r.HTTP = "http://"+listener.Addr().String(), web.URL
	return r
}

// Export implements the collector's service.
func (r *Receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := ""
		for _, pair := range resource.GetResource().GetAttributes() {
			if pair.GetKey() == "service.name" {
				service = pair.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.spans = append(r.spans, Span{span, service})
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *Receiver) post(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	export := &collector.ExportTraceServiceRequest{}
	if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, export) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	answer, _ := r.Export(request.Context(), export)
	reply, _ := proto.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(reply)
}

// Spans are those that have arrived, in the order in which they began.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := slices.Clone(r.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	return spans
}

// Named are the spans of that name.
func (r *Receiver) Named(name string) []Span {
	return slices.DeleteFunc(r.Spans(), func(s Span) bool { return s.GetName() != name })
}

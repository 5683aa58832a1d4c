package connecttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// PortForward answers requests to forward a port as a kubelet does: by SPDY, with a data
// and an error stream for each connection (pkg/kubelet's portforward.k8s.io protocol).
type PortForward struct {
	// Dial connects to a port of a pod; path is the request's.
	Dial func(ctx context.Context, path, port string) (net.Conn, error)
}

// ServeHTTP implements http.Handler.
func (p PortForward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return // it has answered
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if conn == nil {
		return // it has answered
	}
	defer func() { _ = conn.Close() }()
	var failures httpstream.Stream
	for {
		select {
		case <-conn.CloseChan():
			return
		case stream := <-streams:
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failures = stream // a client opens it first
				continue
			}
			p.serve(r.Context(), r.URL.Path, failures, stream)
			return
		}
	}
}

// serve moves bytes both ways until the pod or the client closes.
func (p PortForward) serve(ctx context.Context, path string, failures, data httpstream.Stream) {
	defer func() { _, _ = failures.Close(), data.Close() }()
	port := data.Headers().Get(corev1.PortHeader)
	pod, err := p.Dial(ctx, path, port)
	if err != nil {
		_, _ = fmt.Fprintf(failures, "error forwarding port %s to pod: %v", port, err)
		return
	}
	ended := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(pod, data); ended <- struct{}{} }()
	go func() { _, _ = io.Copy(data, pod); ended <- struct{}{} }()
	<-ended
	_ = pod.Close()
}

package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// errorStreamTimeout is how long the kubelet's word on a connection that ended is waited
// for.
const errorStreamTimeout = time.Second

// forward connects to a port of a pod through the API server, as kubectl port-forward does,
// but opens no port on this machine, so nobody else here can use the connection. failed
// hears why the kubelet ended it.
func (c *Cluster) forward(ctx context.Context, namespace, pod string, port int32, failed func(error)) (net.Conn, error) {
	dialed := make(chan struct{})
	var conn httpstream.Connection
	var err error
	go func() { // the dialers of client-go take no context
		defer close(dialed)
		conn, err = c.dialPod(namespace, pod)
	}()
	select {
	case <-dialed:
	case <-ctx.Done():
		go func() {
			if <-dialed; err == nil {
				_ = conn.Close() // nobody waits for it any more
			}
		}()
		return nil, fmt.Errorf("forwarding a port to pod %s/%s: %w", namespace, pod, context.Cause(ctx))
	}
	if err != nil {
		access := Access{Verb: "create", Resource: "pods/portforward", Namespace: namespace}
		return nil, fmt.Errorf("forwarding a port to pod %s/%s: %w", namespace, pod, RequestError(ctx, err, access, "reach the scaler another way with --address"))
	}
	streams, err := openStreams(conn, port)
	if err != nil {
		_ = conn.Close() // the error counts
		return nil, fmt.Errorf("forwarding a port to pod %s/%s: %w", namespace, pod, err)
	}
	near, far := net.Pipe()
	go streams.copy(far, func(err error) {
		failed(fmt.Errorf("forwarding port %d of pod %s/%s: %w", port, namespace, pod, err))
	})
	return near, nil
}

// dialPod asks for the pod's portforward subresource: by WebSocket, or by SPDY where the
// API server or a proxy before it knows no WebSocket.
func (c *Cluster) dialPod(namespace, pod string) (httpstream.Connection, error) {
	address, err := c.podURL(namespace, pod)
	if err != nil {
		return nil, err
	}
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(address, c.config)
	if err != nil {
		return nil, err
	}
	conn, _, socketErr := socket.Dial(portforward.PortForwardProtocolV1Name)
	if socketErr == nil {
		return conn, nil
	}
	if !httpstream.IsUpgradeFailure(socketErr) && !httpstream.IsHTTPSProxyError(socketErr) {
		return nil, socketErr
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	conn, _, err = spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		// SPDY's error is text; WebSocket's tells its kind, where the API server answered.
		var upgrade *httpstream.UpgradeFailureError
		var answer *apierrors.StatusError
		if errors.As(socketErr, &upgrade) && errors.As(upgrade.Cause, &answer) {
			return nil, answer
		}
		return nil, err
	}
	return conn, nil
}

// podURL is the address of the pod's portforward subresource.
func (c *Cluster) podURL(namespace, pod string) (*url.URL, error) {
	config := rest.CopyConfig(c.config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(c.Client.Scheme()).WithoutConversion()
	core, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return core.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL(), nil
}

// streams are one forwarded connection.
type streams struct {
	conn httpstream.Connection
	data httpstream.Stream
	// failure gets what the kubelet says of a connection that failed; it is empty for one
	// that ended.
	failure chan string
}

func openStreams(conn httpstream.Connection, port int32) (*streams, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("opening the error stream: %w", err)
	}
	if err := failures.Close(); err != nil { // it is only read
		return nil, fmt.Errorf("closing this end of the error stream: %w", err)
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("opening the data stream: %w", err)
	}
	s := &streams{conn: conn, data: data, failure: make(chan string, 1)}
	go func() {
		words, err := io.ReadAll(failures)
		if err != nil {
			words = nil // the connection went away: the data stream tells that as well
		}
		s.failure <- strings.TrimSpace(string(words))
	}()
	return s, nil
}

// copy moves bytes both ways until one end closes, then closes the other.
func (s *streams) copy(local net.Conn, failed func(error)) {
	go func() {
		if _, err := io.Copy(s.data, local); err == nil {
			_ = s.conn.Close() // the caller closed its end: nobody reads the other direction
		} // else the pod's end is closed, and the other direction tells why
	}()
	_, _ = io.Copy(local, s.data)
	_ = s.data.Reset()
	select {
	case words := <-s.failure:
		if words != "" {
			failed(errors.New(words)) // before the close below, which lets the caller see the end
		}
	case <-time.After(errorStreamTimeout):
	}
	_ = local.Close()
	_ = s.conn.Close()
}

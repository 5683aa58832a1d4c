package scaler_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// contacted is a server that hangs up, and counts who came.
type contacted struct {
	address     string
	connections atomic.Int64
}

func listen(t *testing.T) *contacted {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	c := &contacted{address: listener.Addr().String()}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			c.connections.Add(1)
			_ = connection.Close()
		}
	}()
	return c
}

// secretReads plays the API server's Secrets, and notes which are read.
type secretReads struct {
	mu    sync.Mutex
	names []string
}

func (s *secretReads) Secret(_ context.Context, namespace, name string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, namespace+"/"+name)
	return map[string][]byte{"password": []byte("hunter2"), "api-key": []byte("hunter3")}, nil
}

func (s *secretReads) read() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.names...)
}

// twoTeams is a cluster of two ScaledObjects, shop/orders and payments/stripe.
type twoTeams map[string]map[string]string

func (c twoTeams) Find(_ context.Context, namespace, name string) (target.Object, error) {
	metadata, ok := c[namespace+"/"+name]
	if !ok {
		return target.Object{}, fmt.Errorf("%w: there is no ScaledObject %s/%s", target.ErrNotFound, namespace, name)
	}
	return target.NewObject(target.Version{UID: "1", Generation: 1}, target.ScaleTriggers{Type: "external-push", Metadata: metadata}), nil
}

func (c twoTeams) State(ctx context.Context, namespace, name string) (target.State, error) {
	_, err := c.Find(ctx, namespace, name)
	return target.State{Replicas: 1}, err
}

// trial is one call, against a scaler of its own.
type trial struct {
	shop, payments, attacker *contacted
	secrets                  *secretReads
	connection               *grpc.ClientConn
}

const settle = 30 * time.Millisecond

func newTrial(t *testing.T, server *tls.Config, client credentials.TransportCredentials) *trial {
	tr := &trial{shop: listen(t), payments: listen(t), attacker: listen(t), secrets: &secretReads{}}
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{ReadTimeout: 500 * time.Millisecond, Secrets: tr.secrets}})
	t.Cleanup(pool.Close)
	service := scaler.New(scaler.Options{Pool: pool, SettleTimeout: settle, PushInterval: time.Second, Targets: twoTeams{
		"shop/orders":     {"channelName": "q", "redisAddress": tr.shop.address, "passwordFromSecret": "redis-auth"},
		"payments/stripe": {"channelName": "q", "redisAddress": tr.payments.address, "passwordFromSecret": "stripe/api-key"},
	}})
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- scaler.NewServer(service, server, nil).Serve(ctx, listener) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-served) })
	var err error
	tr.connection, err = grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(client))
	require.NoError(t, err)
	t.Cleanup(func() { _ = tr.connection.Close() })
	return tr
}

// metadata is what a caller sends, and forges.
func (tr *trial) metadata(kind string) map[string]string {
	m := map[string]string{"channelName": "q", "redisAddress": tr.shop.address, "passwordFromSecret": "redis-auth", "scalerAddress": "scaler:9090"}
	switch kind {
	case "by name":
		return nil
	case "forged server":
		m["redisAddress"] = tr.attacker.address
	case "forged server from the environment":
		m["redisAddressFromEnv"] = tr.attacker.address
		delete(m, "redisAddress")
	case "forged Secret":
		m["passwordFromSecret"] = "stripe/api-key"
	}
	return m
}

// rpcs are all seven. Of a stream they return its first message's error, or nil where it
// stays open.
var rpcs = map[string]func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error{
	"IsActive": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		_, err := externalscaler.NewExternalScalerClient(tr.connection).IsActive(ctx, &externalscaler.ScaledObjectRef{Namespace: namespace, Name: name, ScalerMetadata: metadata})
		return err
	},
	"GetMetrics": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		_, err := externalscaler.NewExternalScalerClient(tr.connection).GetMetrics(ctx, &externalscaler.GetMetricsRequest{ScaledObjectRef: &externalscaler.ScaledObjectRef{Namespace: namespace, Name: name, ScalerMetadata: metadata}})
		return err
	},
	"GetMetricSpec": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		_, err := externalscaler.NewExternalScalerClient(tr.connection).GetMetricSpec(ctx, &externalscaler.ScaledObjectRef{Namespace: namespace, Name: name, ScalerMetadata: metadata})
		return err
	},
	"StreamIsActive": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		stream, err := externalscaler.NewExternalScalerClient(tr.connection).StreamIsActive(ctx, &externalscaler.ScaledObjectRef{Namespace: namespace, Name: name, ScalerMetadata: metadata})
		return opened(tr, stream, err)
	},
	"StreamMetricSpec": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		stream, err := externalscaler.NewExternalScalerClient(tr.connection).StreamMetricSpec(ctx, &externalscaler.ScaledObjectRef{Namespace: namespace, Name: name, ScalerMetadata: metadata})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	},
	"Explain": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		replicas := int32(1) // as the attacker does: then no cluster is asked
		_, err := inspectv1.NewInspectorClient(tr.connection).Explain(ctx, &inspectv1.ExplainRequest{
			Namespace: namespace, Name: name, ScalerMetadata: metadata, Replicas: &replicas, LastScaleTime: &timestamppb.Timestamp{},
		})
		return err
	},
	"Watch": func(ctx context.Context, tr *trial, namespace, name string, metadata map[string]string) error {
		stream, err := inspectv1.NewInspectorClient(tr.connection).Watch(ctx, &inspectv1.WatchRequest{Namespace: namespace, Name: name, ScalerMetadata: metadata})
		return opened(tr, stream, err)
	},
}

// opened waits for a stream's end, or for the connection to a server that shows that it
// was accepted.
func opened[M any](tr *trial, stream interface{ Recv() (*M, error) }, err error) error {
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			if tr.shop.connections.Load()+tr.payments.connections.Load()+tr.attacker.connections.Load() > 0 {
				return nil
			}
		}
	}
}

// Who may ask what. Nobody makes the scaler connect to a server, or read a Secret, that is
// not the asked ScaledObject's own; and a refused call makes it do neither.
func TestWhoMayAsk(t *testing.T) {
	ca := certtest.New(t)
	dir := t.TempDir()
	ca.Write(dir, ca.Server("scaler"))
	mutual, err := scaler.TLSFromDir(dir, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	with := func(names ...string) credentials.TransportCredentials {
		var own []certtest.Pair
		for _, name := range names {
			own = append(own, ca.Client(name))
		}
		return credentials.NewTLS(ca.ClientTLS("scaler", own...))
	}
	callers := map[string]struct {
		server *tls.Config
		client credentials.TransportCredentials
	}{
		"plaintext":      {nil, insecure.NewCredentials()},
		"no certificate": {mutual, with()},
		"wrong name":     {mutual, with("tenant-x")},
		"KEDA":           {mutual, with("pubsub-operator-keda")},
		"controller":     {mutual, with("pubsub-operator-controller")},
		"people":         {mutual, with("pubsub-operator-people")},
	}
	objects := map[string][2]string{"existing": {"shop", "orders"}, "other's": {"payments", "stripe"}, "unknown": {"payments", "anything"}}
	for who, caller := range callers {
		for rpc, call := range rpcs {
			for whose, object := range objects {
				for _, metadata := range []string{"by name", "own metadata", "forged server", "forged server from the environment", "forged Secret"} {
					t.Run(strings.Join([]string{who, rpc, whose, metadata}, "/"), func(t *testing.T) {
						t.Parallel()
						tr := newTrial(t, caller.server, caller.client)
						ctx, cancel := context.WithTimeout(t.Context(), deadline)
						defer cancel()
						err := call(ctx, tr, object[0], object[1], tr.metadata(metadata))
						want := wanted(who, rpc, whose, metadata)
						if want == codes.OK { // the server hangs up, which is an error of the answer
							assert.Contains(t, []codes.Code{codes.OK, codes.Unavailable}, status.Code(err), "%v", err)
						} else {
							assert.Equal(t, want.String(), status.Code(err).String(), "%v", err)
							assert.NotContains(t, status.Convert(err).Message(), "rpc error", "the words alone")
							assert.Zero(t, tr.shop.connections.Load()+tr.payments.connections.Load(), "a refused call connects to nobody")
							assert.Empty(t, tr.secrets.read(), "a refused call reads no Secret")
						}
						if who == "controller" && (rpc == "Explain" || rpc == "Watch") {
							return // it makes the ScaledObjects, and is believed
						}
						assert.Zero(t, tr.attacker.connections.Load(), "nobody may send the scaler to a server of his own")
						for _, secret := range tr.secrets.read() {
							assert.Equal(t, map[string]string{"existing": "shop/redis-auth", "other's": "payments/stripe"}[whose], secret)
						}
					})
				}
			}
		}
	}
}

// wanted is the rule, once more and in other words than the code's.
func wanted(who, rpc, whose, metadata string) codes.Code {
	inspects := rpc == "Explain" || rpc == "Watch"
	configures := rpc == "GetMetricSpec" || rpc == "StreamMetricSpec"
	switch {
	case who == "no certificate":
		return codes.Unavailable // no connection at all
	case who == "wrong name", who == "KEDA" && inspects, who == "people" && !inspects:
		return codes.PermissionDenied
	case who == "people" && metadata != "by name":
		return codes.PermissionDenied
	case who == "controller" && inspects && metadata != "by name":
		return codes.OK
	case whose == "unknown":
		return codes.NotFound
	case strings.HasPrefix(metadata, "forged"), whose == "other's" && metadata == "own metadata":
		return codes.PermissionDenied
	case who == "plaintext" && !configures:
		return codes.PermissionDenied // both name Secrets
	default:
		return codes.OK
	}
}

// A handshake that is refused, and a renewed key that can't be read, leave a line in the log
// and a count; meanwhile the certificate of before serves.
func TestHandshakesAreTold(t *testing.T) {
	ca, stranger := certtest.New(t), certtest.New(t)
	dir := t.TempDir()
	files := ca.Write(dir, ca.Server("scaler"))
	log := &lines{}
	registry := newRegistry()
	logger := slog.New(slog.NewJSONHandler(log, nil))
	config, err := scaler.TLSFromDir(dir, logger, registry)
	require.NoError(t, err)
	pool := sampling.NewPool(sampling.Options{})
	t.Cleanup(pool.Close)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() {
		served <- scaler.NewServer(scaler.New(scaler.Options{Pool: pool, Targets: twoTeams{}, Logger: logger}), config, registry).Serve(ctx, listener)
	}()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-served) })
	ask := func(own certtest.Pair) codes.Code {
		client := ca.ClientTLS("scaler")
		pair, err := tls.X509KeyPair(own.Certificate, own.Key)
		require.NoError(t, err)
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(client)))
		require.NoError(t, err)
		defer func() { _ = connection.Close() }()
		_, err = externalscaler.NewExternalScalerClient(connection).IsActive(t.Context(), &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders"})
		return status.Code(err)
	}
	keda := ca.Client("pubsub-operator-keda")
	assert.Equal(t, codes.NotFound, ask(keda), "let in, and there is no such ScaledObject")
	assert.Equal(t, codes.Unavailable, ask(stranger.Client("pubsub-operator-keda")), "of another CA")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Contains(c, log.String(), "TLS handshake refused")
		assert.Contains(c, scraped(c, registry), `pubsub_scaler_tls_handshakes_refused_total{reason="certificate"}`)
	}, deadline, tick)

	require.NoError(t, os.WriteFile(files.Key, []byte("half a renewal"), 0o600))
	assert.Equal(t, codes.NotFound, ask(keda), "the certificate of before serves")
	assert.Contains(t, log.String(), "certificate files can't be read; the previous ones stay in use")
	assert.Contains(t, scraped(t, registry), "pubsub_scaler_tls_reload_failures_total 1")
	ca.Write(dir, ca.Server("scaler"))
	assert.Equal(t, codes.NotFound, ask(keda))
	assert.Contains(t, log.String(), "certificate files can be read again")
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var _ io.Writer = (*lines)(nil)

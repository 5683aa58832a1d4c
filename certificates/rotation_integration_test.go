//go:build integration

package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jawaracloud/pubsub-operator/scaler"
)

// late is what somebody holds who sees a Secret later than the API server has it.
type late struct {
	delay   time.Duration
	held    map[string][]byte
	seen    map[string][]byte
	since   time.Time
	updated func(map[string][]byte)
}

// sync takes what has been in the Secret for the delay.
func (l *late) sync(now time.Time, data map[string][]byte) {
	if string(l.seen["tls.crt"])+string(l.seen["ca.crt"]) != string(data["tls.crt"])+string(data["ca.crt"]) {
		l.seen, l.since = data, now
	}
	if now.Sub(l.since) >= l.delay && string(l.held["tls.crt"])+string(l.held["ca.crt"]) != string(l.seen["tls.crt"])+string(l.seen["ca.crt"]) {
		l.held = l.seen
		if l.updated != nil {
			l.updated(l.held)
		}
	}
}

// plane is an API server with empty Secrets.
func plane(t *testing.T) client.Client {
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	env := &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	api, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	for _, namespace := range []string{"system", "keda"} {
		require.NoError(t, api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	}
	for _, name := range []types.NamespacedName{authorityName, serverName, controller, keda} {
		require.NoError(t, api.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}))
	}
	return api
}

// A forced rotation on a real API server, beside the scaler's own TLS over gRPC. Two scalers see their
// files late, one at once and one as late as the kubelet can be; so do clients: one at once,
// KEDA after all the time that it may take. All of them ask both scalers at each moment, over
// connections of their own and over ones that last. No call fails.
func TestAForcedRotationFailsNoCall(t *testing.T) {
	api := plane(t)
	clock := clocktesting.NewFakeClock(time.Now())
	rotator := &Rotator{
		Client: api, Authority: authorityName, Settle: LeastSettle, Clock: clock, Skew: inStep, Recorder: events.NewFakeRecorder(100), Log: logr.Discard(),
		Certificates: []Certificate{
			{Secret: serverName, Names: []string{"op-scaler.system.svc"}, Hosts: []string{"op-scaler.system.svc"}},
			{Secret: controller, Names: []string{"op-controller"}},
			{Secret: keda, Names: []string{"op-keda"}},
		},
	}
	data := func(name types.NamespacedName) map[string][]byte {
		secret := &corev1.Secret{}
		require.NoError(t, api.Get(t.Context(), name, secret))
		return secret.Data
	}
	require.NoError(t, rotator.look(t.Context()))

	scalers := map[string]*late{}
	for name, delay := range map[string]time.Duration{"prompt": 0, "late": 2 * time.Minute} {
		files := &late{}
		dir := t.TempDir()
		files.updated = func(held map[string][]byte) {
			for file, content := range held {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), content, 0o600))
			}
		}
		files.sync(clock.Now(), data(serverName))
		files.delay = delay
		config, err := scaler.TLSFromDir(dir, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
		require.NoError(t, err)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
		healthv1.RegisterHealthServer(server, health.NewServer())
		go server.Serve(listener) //nolint:errcheck // ends with Stop
		t.Cleanup(server.Stop)
		scalers[listener.Addr().String()] = files
		t.Logf("the %s scaler listens on %s", name, listener.Addr())
	}
	clients := []struct {
		name   string
		secret types.NamespacedName
		late   *late
	}{
		{"controller", controller, &late{}},
		{"KEDA, prompt", keda, &late{}},
		{"KEDA, late", keda, &late{delay: 2*time.Minute + 2*interval}},
	}
	calls, lasting := 0, map[string]*grpc.ClientConn{}
	ask := func(at time.Duration) {
		for address, files := range scalers {
			files.sync(clock.Now(), data(serverName))
			for _, c := range clients {
				c.late.sync(clock.Now(), data(c.secret))
				own := dial(t, address, c.late.held)
				if lasting[address+c.name] == nil {
					lasting[address+c.name] = dial(t, address, c.late.held)
					t.Cleanup(func() { _ = lasting[address+c.name].Close() })
				}
				for kind, connection := range map[string]*grpc.ClientConn{"new": own, "lasting": lasting[address+c.name]} {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					_, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{})
					cancel()
					calls++
					assert.NoError(t, err, "%s after %s, over a %s connection", c.name, at, kind)
				}
				require.NoError(t, own.Close())
			}
		}
	}
	for _, c := range clients { // all begin with what there is
		c.late.held, c.late.seen, c.late.since = data(c.secret), data(c.secret), clock.Now()
	}
	ask(0)
	before := data(keda)
	secret := &corev1.Secret{}
	require.NoError(t, api.Get(t.Context(), authorityName, secret))
	secret.Annotations[AnnotationRotate] = "now"
	require.NoError(t, api.Update(t.Context(), secret))
	for at := interval; at <= 3*LeastSettle; at += interval {
		clock.Step(interval)
		require.NoError(t, rotator.look(t.Context()))
		ask(at)
	}
	after := clients[2].late.held
	assert.NotEqual(t, before["tls.crt"], after["tls.crt"])
	assert.NotContains(t, string(after["ca.crt"]), string(before["ca.crt"]), "the authority of before is not trusted any more")
	t.Logf("%d calls", calls)
}

// dial connects as KEDA does, with what it holds.
func dial(t *testing.T, address string, held map[string][]byte) *grpc.ClientConn {
	pair, err := tls.X509KeyPair(held["tls.crt"], held["tls.key"])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(held["ca.crt"]))
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "op-scaler.system.svc"})))
	require.NoError(t, err)
	return connection
}

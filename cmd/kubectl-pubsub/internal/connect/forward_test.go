package connect

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// apiServer is one that knows no WebSocket, as a proxy before it may not: it forwards
// ports by SPDY alone.
type apiServer struct {
	*Cluster

	mu      sync.Mutex
	paths   []string          // of ports that were forwarded
	methods map[string]int    // of requests
	pods    map[string]string // name → address of its scaler
	refuse  func(w http.ResponseWriter, r *http.Request) bool
}

func newAPIServer(t *testing.T, functions interceptor.Funcs, objects ...client.Object) *apiServer {
	t.Helper()
	a := &apiServer{methods: map[string]int{}, pods: map[string]string{}}
	forward := connecttest.PortForward{Dial: func(ctx context.Context, path, port string) (net.Conn, error) {
		a.mu.Lock()
		a.paths = append(a.paths, path+":"+port)
		address := a.pods[path]
		a.mu.Unlock()
		if address == "" {
			return nil, errors.New("connection refused")
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.methods[r.Method]++
		a.mu.Unlock()
		switch {
		case a.refuse != nil && a.refuse(w, r):
		case r.Method == http.MethodPost:
			forward.ServeHTTP(w, r)
		default:
			http.Error(w, "no WebSocket here", http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	var err error
	a.Cluster, err = NewCluster(&rest.Config{Host: server.URL, Timeout: 10 * time.Second})
	require.NoError(t, err)
	a.Client = fake.NewClientBuilder().WithScheme(a.Client.Scheme()).WithObjects(objects...).WithInterceptorFuncs(functions).Build()
	return a
}

// install is the operator's objects, as the chart makes them.
func install(t *testing.T, ca *certtest.Authority) []client.Object {
	t.Helper()
	var objects []client.Object
	for _, name := range []string{"scaler-a", "scaler-b"} {
		pod := withSecret(operatorPod("ops", name, "scaler", true, "--tls-cert-dir=/x"), "op-people-tls")
		objects = append(objects, &pod)
	}
	controller := operatorPod("ops", "controller", "controller", true, "--scaler-address=op-scaler.ops.svc:9090")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "op-people-tls"}, Data: ca.Secret(ca.Client("client"))}
	return append(objects, &controller, secret)
}

const (
	podA = "/api/v1/namespaces/ops/pods/scaler-a/portforward"
	podB = "/api/v1/namespaces/ops/pods/scaler-b/portforward"
)

func TestForward(t *testing.T) {
	ca := certtest.New(t)
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{Explanation: "because"})
	_, address := connecttest.Serve(t, service, ca.MutualTLS(ca.Server("op-scaler.ops.svc")))
	a := newAPIServer(t, interceptor.Funcs{}, install(t, ca)...)
	a.pods[podA], a.pods[podB] = address, address
	s := open(t, ScalerFlags{}, a.Cluster)
	for range 2 { // one connection does for both
		answer, err := s.Explain(t.Context(), question)
		require.NoError(t, err)
		assert.Equal(t, "because", answer.GetExplanation())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	assert.Equal(t, []string{podA + ":9191"}, a.paths, "to the port that the pod names grpc")
	assert.Equal(t, map[string]int{"GET": 1, "POST": 1}, a.methods, "SPDY is tried where WebSocket is not known")
}

// A scaler without TLS is asked in clear text by itself: its pod tells, and no Secret is
// read.
func TestForwardInPlaintext(t *testing.T) {
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{Explanation: "because"})
	_, address := connecttest.Serve(t, service, nil)
	pod := operatorPod("ops", "scaler-a", "scaler", true)
	a := newAPIServer(t, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
		return forbid("secrets")
	}}, &pod)
	a.pods[podA] = address
	answer, err := open(t, ScalerFlags{}, a.Cluster).Explain(t.Context(), question)
	require.NoError(t, err)
	assert.Equal(t, "because", answer.GetExplanation())
}

// A pod that does not answer is told as the kubelet tells it, and the next attempt goes to
// another one.
func TestForwardToTheNextPod(t *testing.T) {
	ca := certtest.New(t)
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{})
	_, address := connecttest.Serve(t, service, ca.MutualTLS(ca.Server("op-scaler.ops.svc")))
	a := newAPIServer(t, interceptor.Funcs{}, install(t, ca)...)
	a.pods[podB] = address
	s := open(t, ScalerFlags{OperatorNamespace: "ops"}, a.Cluster)
	_, err := s.Explain(t.Context(), question)
	require.ErrorContains(t, err, "forwarding port 9191 of pod ops/scaler-a: error forwarding port 9191 to pod: connection refused")
	require.Eventually(t, func() bool {
		_, err := s.Explain(t.Context(), question)
		return err == nil
	}, soon, 50*time.Millisecond)
}

// forbid refuses requests about a kind as the API server does.
func forbid(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no rule allows it"))
}

// answering answers every request with an error, as the API server tells it.
func answering(code int32, err error) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		body := &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: apierrors.ReasonForError(err), Message: err.Error()}
		body.APIVersion, body.Kind = "v1", "Status"
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(code))
		_ = json.NewEncoder(w).Encode(body) // a client that went away wants no answer
		return true
	}
}

// secretWithout is the operator's Secret without one of its keys.
func secretWithout(t *testing.T, ca *certtest.Authority, key string) client.Object {
	t.Helper()
	data := ca.Secret(ca.Client("client"))
	delete(data, key)
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "op-people-tls"}, Data: data}
}

func TestForwardProblems(t *testing.T) {
	ca := certtest.New(t)
	_, address := connecttest.Serve(t, &connecttest.Inspector{}, ca.MutualTLS(ca.Server("another.name")))
	objects := install(t, ca)
	tests := map[string]struct {
		objects   []client.Object
		functions interceptor.Funcs
		refuse    func(http.ResponseWriter, *http.Request) bool
		flags     ScalerFlags
		wantErr   []string
	}{
		"nothing installed": {wantErr: []string{"no namespace has a pod of the scaler", "install the operator", "--address"}},
		"pods may not be listed": {
			functions: interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				return forbid("pods")
			}},
			wantErr: []string{"you need the right to list pods in all namespaces (check it with kubectl auth can-i list pods --all-namespaces)", "--operator-namespace"},
		},
		"pods of a namespace may not be listed": {
			functions: interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				return forbid("pods")
			}},
			flags:   ScalerFlags{OperatorNamespace: "ops"},
			wantErr: []string{`you need the right to list pods in namespace "ops" (check it with kubectl auth can-i list pods -n ops)`, "--address"},
		},
		"the Secret may not be read": {
			objects: objects,
			functions: interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return forbid("secrets")
			}},
			wantErr: []string{"reading Secret ops/op-people-tls", `you need the right to get secrets in namespace "ops" (check it with kubectl auth can-i get secrets/op-people-tls -n ops)`, "or give the files with --cacert, --cert and --key"},
		},
		"no Secret":     {objects: objects[:3], wantErr: []string{"there is no Secret ops/op-people-tls: give the files with --cacert"}},
		"half a Secret": {objects: append(objects[:3:3], secretWithout(t, ca, "tls.key")), wantErr: []string{"Secret ops/op-people-tls has no tls.key"}},
		"no Secret named": {objects: []client.Object{func() client.Object {
			p := operatorPod("ops", "scaler-a", "scaler", true, "--tls-cert-dir=/x")
			return &p
		}()}, wantErr: []string{"no pod of it names the Secret"}},
		"another name": {objects: objects, wantErr: []string{`the scaler's certificate is not for "op-scaler.ops.svc": name another one with --server-name`}},
		"no right to forward": {
			objects: objects, refuse: answering(403, forbid("pods")),
			wantErr: []string{"forwarding a port to pod ops/scaler-a: you need the right to create pods/portforward", "kubectl auth can-i create pods/portforward -n ops", "--address"},
		},
		"not logged in":  {objects: objects, refuse: answering(401, apierrors.NewUnauthorized("who are you")), wantErr: []string{"the API server does not know you: log in again"}},
		"a broken proxy": {objects: objects, refuse: answering(502, apierrors.NewInternalError(errors.New("bad gateway"))), wantErr: []string{"forwarding a port to pod ops/scaler-a", "bad gateway"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPIServer(t, test.functions, test.objects...)
			a.pods[podA], a.pods[podB], a.refuse = address, address, test.refuse
			_, err := open(t, test.flags, a.Cluster).Explain(t.Context(), question)
			for _, want := range test.wantErr {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// Files of the user's take the place of a Secret that may not be read.
func TestForwardWithFiles(t *testing.T) {
	ca := certtest.New(t)
	files := ca.Write(t.TempDir(), ca.Client("client"))
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{})
	_, address := connecttest.Serve(t, service, ca.MutualTLS(ca.Server("op-scaler.ops.svc")))
	a := newAPIServer(t, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
		return forbid("secrets")
	}}, install(t, ca)...)
	a.pods[podA] = address
	_, err := open(t, ScalerFlags{CACert: files.CA, Cert: files.Certificate, Key: files.Key}, a.Cluster).Explain(t.Context(), question)
	require.NoError(t, err)
}

// An API server that does not answer is not waited for for ever.
func TestForwardTimeout(t *testing.T) {
	a := newAPIServer(t, interceptor.Funcs{List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	a.timeout = 50 * time.Millisecond
	_, err := open(t, ScalerFlags{}, a.Cluster).Explain(t.Context(), question)
	require.ErrorContains(t, err, "gave no answer within 50ms: check the connection, or allow more with --request-timeout")
}

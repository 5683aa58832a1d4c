package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// Whatever the API server answers with, the error says what it was for, what the server said, and what to do.
func TestEachAnswerHasItsRemedy(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	denied := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Message: `admission webhook "policy.example.com" denied the request: not at night`}}
	text := func(code int, words string) error {
		return apierrors.NewGenericServerResponse(code, "patch", pods, "a", words, 0, true)
	}
	for name, test := range map[string]struct {
		err       error
		want      []string
		otherwise bool // the other way is told, too
	}{
		"a right is missing": {err: apierrors.NewForbidden(pods, "a", errors.New(`User "jane" cannot patch resource "pods"`)), otherwise: true,
			want: []string{`you need the right to patch pods in namespace "shop" (check it with kubectl auth can-i patch pods -n shop): ask an administrator for it, or go there by hand: `}},
		"nobody": {err: apierrors.NewForbidden(pods, "a", errors.New(`User "system:anonymous" cannot patch resource "pods"`)), want: []string{"the API server does not know you: log in again"}},
		"acting as another": {err: apierrors.NewForbidden(schema.GroupResource{Resource: "users"}, "b", errors.New(`User "jane" cannot impersonate resource "users"`)),
			want: []string{"you need the right to act as another user: leave --as"}},
		"a webhook refuses":             {err: denied, want: []string{`to patch pods in namespace "shop": admission webhook`, "not at night: a policy of the cluster refuses it, whatever rights you have"}},
		"a policy refuses":              {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "a", nil), want: []string{"correct what it names"}},
		"a policy refuses in its words": {err: apierrors.NewForbidden(pods, "a", errors.New("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")), want: []string{"a policy of the cluster refuses it"}},
		"a webhook is away":             {err: apierrors.NewInternalError(errors.New(`failed calling webhook "w": no endpoints`)), want: []string{"a webhook of the cluster does not answer"}},
		"a proxy refuses":               {err: text(403, "Forbidden by the gateway"), want: []string{"a proxy or a gateway before it refuses"}},
		"not known":                     {err: apierrors.NewUnauthorized("x"), want: []string{"the API server does not know you: log in again, or check the user of the kubeconfig's context"}},
		"no such kind":                  {err: text(404, "404 page not found"), otherwise: true, want: []string{"the cluster has no pods of the version that this plugin reads: install what they belong to, or choose another --context, or go there by hand"}},
		"no such object":                {err: apierrors.NewNotFound(pods, "a"), want: []string{"it was deleted meanwhile, or never there"}},
		"busy":                          {err: apierrors.NewTooManyRequests("later", 1), want: []string{"try again in a minute"}},
		"etcd is away":                  {err: apierrors.NewServerTimeout(pods, "patch", 1), want: []string{"try again in a minute"}},
		"starting":                      {err: apierrors.NewServiceUnavailable("starting"), want: []string{"starting: try again in a minute; if it stays so, ask who runs the cluster (kubectl get --raw '/readyz?verbose'"}},
		"a balancer has no server":      {err: text(503, "no backend"), want: []string{"try again in a minute"}},
		"it timed out there":            {err: apierrors.NewTimeoutError("slow", 1), want: []string{"try again in a minute"}},
		"a page to log in":              {err: errors.New("couldn't get version/kind; json parse error: invalid character '<'"), want: []string{"if these are not the words of an API server, correct server of the kubeconfig's cluster"}},
		"an older API server":           {err: apierrors.NewMethodNotSupported(pods, "patch"), want: []string{"try the same with kubectl"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := RequestError(t.Context(), test.err, Access{Verb: "patch", Resource: "pods", Namespace: "shop"}, "go there by hand")
			require.ErrorIs(t, err, test.err)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Contains(t, err.Error(), test.err.Error(), "the server's own words stay")
			if test.otherwise {
				assert.ErrorContains(t, err, "or go there by hand")
			}
		})
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	err := RequestError(stopped, &url.Error{Op: "Get", URL: "https://server/x", Err: context.Canceled}, Access{Verb: "get", Resource: "/version"}, "")
	assert.EqualError(t, err, `to get /version: Get "https://server/x": context canceled`)
}

// What is wrong on the way to the API server is told with what to correct: a real TLS server that the kubeconfig does not
// fit to.
func TestEachWayThatFailsHasItsRemedy(t *testing.T) {
	ca, stranger := certtest.New(t), certtest.New(t)
	serve := func(certificate certtest.Pair, clients tls.ClientAuthType) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"gitVersion":"v1.36.0"}`))
		}))
		server.TLS = ca.MutualTLS(certificate)
		server.TLS.ClientAuth = clients
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in</html>")) }))
	t.Cleanup(page.Close)
	closed := closedPort(t)
	authority := func(a *certtest.Authority) rest.TLSClientConfig {
		return rest.TLSClientConfig{CAData: a.PEM}
	}
	good := serve(ca.Server("127.0.0.1"), tls.NoClientCert)
	for name, test := range map[string]struct {
		config rest.Config
		want   string // empty: it works
	}{
		"it works":              {config: rest.Config{Host: good, TLSClientConfig: authority(ca)}},
		"an unknown authority":  {config: rest.Config{Host: good, TLSClientConfig: authority(stranger)}, want: "the certificate of the API server " + good + " is of an authority that the kubeconfig does not name: "},
		"another name":          {config: rest.Config{Host: serve(ca.Server("api.example.com"), tls.NoClientCert), TLSClientConfig: authority(ca)}, want: "correct server of the kubeconfig's cluster, or set tls-server-name there"},
		"expired":               {config: rest.Config{Host: serve(ca.ServerUntil(time.Now().Add(-time.Hour), "127.0.0.1"), tls.NoClientCert), TLSClientConfig: authority(ca)}, want: "check this machine's clock (date -u), or have the certificate renewed"},
		"no client certificate": {config: rest.Config{Host: serve(ca.Server("127.0.0.1"), tls.RequireAndVerifyClientCert), TLSClientConfig: authority(ca)}, want: "refuses the kubeconfig's client certificate, or the lack of one: "},
		"no TLS":                {config: rest.Config{Host: strings.Replace(plain.URL, "http://", "https://", 1)}, want: "does not speak TLS: "},
		"nobody there":          {config: rest.Config{Host: "https://" + closed}, want: "check the connection, and that this is the cluster you mean"},
		"no such host": {config: rest.Config{Host: "https://api.example.com:6443", Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.example.com", IsNotFound: true}}
		}}, want: "check the connection (VPN), or correct server of the kubeconfig's cluster"},
		"a proxy that is down": {config: rest.Config{Host: good, Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: closed})},
			want: "the proxy to the API server " + good + " can't be reached: "},
		"no program for credentials": {config: rest.Config{Host: good, TLSClientConfig: authority(ca), ExecProvider: &clientcmdapi.ExecConfig{
			Command: "no-such-program-for-credentials", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode}},
			want: "log in again, or install the program that the kubeconfig's user names"},
		"a page to log in":        {config: rest.Config{Host: page.URL}, want: "what answers at " + page.URL + " is no API server: correct server of the kubeconfig's cluster"},
		"no PEM for an authority": {config: rest.Config{Host: good, TLSClientConfig: rest.TLSClientConfig{CAData: []byte("nonsense")}}, want: "correct the kubeconfig's cluster and user"},
	} {
		t.Run(name, func(t *testing.T) {
			config := test.config
			cluster, err := NewCluster(&config)
			if err == nil {
				_, err = cluster.ServerVersion(t.Context())
			}
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

// What the API server refuses to tell of itself is told in its own words, too.
func TestAVersionThatIsRefused(t *testing.T) {
	for user, want := range map[string]string{
		"jane":             "you need the right to get /version (check it with kubectl auth can-i get /version): ask an administrator for it: ",
		"system:anonymous": "the API server does not know you: log in again",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":%q,"code":403}`, fmt.Sprintf("User %q cannot get path \"/version\"", user))
		}))
		t.Cleanup(server.Close)
		cluster, err := NewCluster(&rest.Config{Host: server.URL})
		require.NoError(t, err)
		_, err = cluster.ServerVersion(t.Context())
		require.ErrorContains(t, err, want)
	}
}

func TestAKubeconfigThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const one = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: a, user: {}}]\n"
	good := write("good", one)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no such file":    {[]string{"--kubeconfig", filepath.Join(dir, "none")}, "no such file or directory: correct it (kubectl config view shows it), or choose another with KUBECONFIG or --kubeconfig"},
		"no such context": {[]string{"--kubeconfig", good, "--context", "b"}, `context "b" does not exist: kubectl config get-contexts lists those that there are: choose one with --context`},
		"no YAML":         {[]string{"--kubeconfig", write("bad", "{")}, "correct it (kubectl config view shows it)"},
		"no certificate":  {[]string{"--kubeconfig", write("ca", strings.Replace(one, "server:", "certificate-authority: /nowhere, server:", 1))}, "correct it (kubectl config view shows it)"},
	} {
		t.Run(name, func(t *testing.T) {
			var cluster ClusterFlags
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			cluster.Bind(flags)
			require.NoError(t, flags.Parse(test.args))
			_, err := cluster.Connect()
			require.ErrorContains(t, err, "reading the kubeconfig: ")
			assert.ErrorContains(t, err, test.want)
		})
	}
}

package connect

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// soon is how long anything that is to happen may take on a busy machine.
const soon = 2 * time.Minute

func open(t *testing.T, flags ScalerFlags, cluster *Cluster) *Scaler {
	t.Helper()
	s, err := Open(flags, cluster)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

var question = &inspectv1.ExplainRequest{Namespace: "shop", Name: "orders"}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// Every way to reach a scaler directly, and what is said where it is the wrong one.
func TestDirect(t *testing.T) {
	ca, stranger := certtest.New(t), certtest.New(t)
	files := ca.Write(t.TempDir(), ca.Client("client"))
	strange := stranger.Write(t.TempDir(), stranger.Client("client"))
	noPEM := filepath.Join(t.TempDir(), "no.pem")
	require.NoError(t, os.WriteFile(noPEM, []byte("nonsense"), 0o600))
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{Explanation: "because"})
	_, secured := connecttest.Serve(t, service, ca.MutualTLS(ca.Server("127.0.0.1", "scaler.ops.svc")))
	_, named := connecttest.Serve(t, service, ca.MutualTLS(ca.Server("scaler.ops.svc")))
	_, expired := connecttest.Serve(t, service, ca.MutualTLS(ca.ServerUntil(time.Now().Add(-time.Minute), "127.0.0.1")))
	_, plain := connecttest.Serve(t, service, nil)

	tests := map[string]struct {
		flags   ScalerFlags
		wantErr string // empty: it works
	}{
		"mutual TLS":            {flags: ScalerFlags{Address: secured, CACert: files.CA, Cert: files.Certificate, Key: files.Key}},
		"another name":          {flags: ScalerFlags{Address: named, CACert: files.CA, Cert: files.Certificate, Key: files.Key, ServerName: "scaler.ops.svc"}},
		"clear text":            {flags: ScalerFlags{Address: plain, Plaintext: true}},
		"the wrong name":        {flags: ScalerFlags{Address: named, CACert: files.CA, Cert: files.Certificate, Key: files.Key}, wantErr: `the scaler's certificate is not for "127.0.0.1": name another one with --server-name`},
		"an unknown CA":         {flags: ScalerFlags{Address: secured, CACert: strange.CA, Cert: files.Certificate, Key: files.Key}, wantErr: "the scaler's certificate is of an unknown CA: name its CA with --cacert"},
		"the system's CAs":      {flags: ScalerFlags{Address: secured}, wantErr: "name its CA with --cacert"},
		"no client certificate": {flags: ScalerFlags{Address: secured, CACert: files.CA}, wantErr: "the scaler refuses the client certificate, or the lack of one: set one that its CA signed with --cert and --key"},
		"a strange certificate": {flags: ScalerFlags{Address: secured, CACert: files.CA, Cert: strange.Certificate, Key: strange.Key}, wantErr: "the scaler refuses the client certificate"},
		"expired":               {flags: ScalerFlags{Address: expired, CACert: files.CA, Cert: files.Certificate, Key: files.Key}, wantErr: "the scaler's certificate is not valid at this time: renew it"},
		"TLS to clear text":     {flags: ScalerFlags{Address: plain, CACert: files.CA}, wantErr: "the scaler does not speak TLS: try --plaintext"},
		"clear text to TLS":     {flags: ScalerFlags{Address: secured, Plaintext: true}, wantErr: "if it has TLS, leave --plaintext out"},
		"nobody there":          {flags: ScalerFlags{Address: closedPort(t), Plaintext: true}, wantErr: "connecting to the scaler at --address 127.0.0.1:"},
		"no such file":          {flags: ScalerFlags{Address: secured, CACert: noPEM + "x"}, wantErr: "--cacert: open "},
		"no PEM":                {flags: ScalerFlags{Address: secured, CACert: noPEM}, wantErr: "no.pem holds no certificate in PEM form"},
		"a key of another": {flags: ScalerFlags{Address: secured, CACert: files.CA, Cert: files.Certificate, Key: strange.Key},
			wantErr: "the client certificate and its key in --cert and --key: tls: private key does not match public key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.flags.Check())
			answer, err := open(t, test.flags, nil).Explain(t.Context(), question)
			if test.wantErr != "" {
				require.ErrorContains(t, err, test.wantErr)
				failure := FailureOf(err)
				assert.Equal(t, []string{"UNAVAILABLE", "ScalerUnreachable", err.Error()}, []string{failure.GetCode(), failure.GetReason(), failure.GetMessage()})
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "because", answer.GetExplanation())
		})
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		flags   ScalerFlags
		wantErr string
	}{
		"none":                   {},
		"an address":             {flags: ScalerFlags{Address: "localhost:9090", CACert: "a", Cert: "b", Key: "c", ServerName: "d"}},
		"TLS and none":           {flags: ScalerFlags{Plaintext: true, ServerName: "x"}, wantErr: "--plaintext conflicts with"},
		"a certificate alone":    {flags: ScalerFlags{Cert: "x"}, wantErr: "--cert and --key belong together"},
		"a key alone":            {flags: ScalerFlags{Key: "x"}, wantErr: "--cert and --key belong together"},
		"an address without one": {flags: ScalerFlags{Address: "localhost"}, wantErr: `--address is "localhost": it must be host:port`},
		"an address with none":   {flags: ScalerFlags{Address: ":9090"}, wantErr: `--address is ":9090": it must be host:port`},
		"two ways":               {flags: ScalerFlags{Address: "localhost:1", OperatorNamespace: "x"}, wantErr: "set only one of them"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.flags.Check()
			if test.wantErr != "" {
				require.ErrorContains(t, err, test.wantErr)
				return
			}
			require.NoError(t, err)
		})
	}
}

// The scaler's own errors keep their reason, and say what it means.
func TestScalerError(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"a known reason":         {&ScalerError{codes.Unavailable, "BrokerUnreachable", "reading x: refused"}, "the scaler can't connect to the queue's server (BrokerUnreachable): reading x: refused"},
		"a reason of the future": {&ScalerError{codes.FailedPrecondition, "Unheard", "words"}, "the queue is not as the channel describes it (Unheard): words"},
		"no reason":              {&ScalerError{codes.InvalidArgument, "", "words"}, "the scaler refuses the request (InvalidArgument): words"},
		"a rare code":            {&ScalerError{codes.DataLoss, "", "words"}, "the scaler can't answer (DataLoss): words"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.EqualError(t, test.err, test.want) })
	}
	failure := FailureOf(&ScalerError{codes.NotFound, inspect.TargetNotFound, "words"})
	assert.Equal(t, []string{"NOT_FOUND", "TargetNotFound", "words"}, []string{failure.GetCode(), failure.GetReason(), failure.GetMessage()})
}

func TestOverTheWire(t *testing.T) {
	_, address := connecttest.Serve(t, &connecttest.Inspector{}, nil)
	s := open(t, ScalerFlags{Address: address, Plaintext: true}, nil)
	_, err := s.Explain(t.Context(), question)
	var own *ScalerError
	require.ErrorAs(t, err, &own)
	assert.Equal(t, ScalerError{codes.NotFound, "TargetNotFound", "not found: there is no ScaledObject shop/orders"}, *own)
	err = s.Watch(t.Context(), "shop", "orders", func(*inspectv1.WatchResponse) { t.Error("nothing is to come") })
	require.ErrorAs(t, err, &own)

	_, older := connecttest.Serve(t, inspectv1.UnimplementedInspectorServer{}, nil)
	s = open(t, ScalerFlags{Address: older, Plaintext: true}, nil)
	_, err = s.Explain(t.Context(), question)
	require.ErrorContains(t, err, "older than this plugin: upgrade the operator")
}

// A stream whose server goes away says so, and the next one finds the server's successor,
// with the renewed certificate.
func TestWatchAgain(t *testing.T) {
	before, after := certtest.New(t), certtest.New(t)
	dir := t.TempDir()
	files := before.Write(dir, before.Client("client"))
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{Explanation: "because"})
	first, address := connecttest.Serve(t, service, before.MutualTLS(before.Server("127.0.0.1")))
	proxy := newProxy(t, address)
	s := open(t, ScalerFlags{Address: proxy.address, CACert: files.CA, Cert: files.Certificate, Key: files.Key}, nil)
	var heard []string
	err := s.Watch(t.Context(), "shop", "orders", func(message *inspectv1.WatchResponse) {
		heard = append(heard, message.GetExplanation().GetExplanation())
		first.Stop()
	})
	require.ErrorContains(t, err, "the connection to the scaler broke")
	require.Equal(t, []string{"because"}, heard)

	_, second := connecttest.Serve(t, service, after.MutualTLS(after.Server("127.0.0.1")))
	proxy.to(second)
	after.Write(dir, after.Client("client"))
	require.Eventually(t, func() bool {
		_, err := s.Explain(t.Context(), question)
		return err == nil
	}, soon, 50*time.Millisecond)
}

// proxy is an address that leads to another one.
type proxy struct {
	address string
	target  chan string
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	p := &proxy{address: listener.Addr().String(), target: make(chan string, 1)}
	p.target <- target
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			target := <-p.target
			p.target <- target
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		}
	}()
	return p
}

func (p *proxy) to(target string) { <-p.target; p.target <- target }

// TLS 1.2 tells a refused certificate during the handshake, TLS 1.3 only later.
func TestRefusedByTLS12(t *testing.T) {
	ca := certtest.New(t)
	caFile := ca.Write(t.TempDir(), ca.Client("client")).CA
	config := ca.MutualTLS(ca.Server("127.0.0.1"))
	config.MaxVersion = tls.VersionTLS12
	_, address := connecttest.Serve(t, &connecttest.Inspector{}, config)
	_, err := open(t, ScalerFlags{Address: address, CACert: caFile}, nil).Explain(t.Context(), question)
	require.ErrorContains(t, err, "the scaler refuses the client certificate, or the lack of one")
	assert.Equal(t, 1, strings.Count(err.Error(), "--cert and --key"))
}

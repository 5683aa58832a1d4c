package delivery_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// clock is one that a test turns.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }
func newClock() *clock                   { c := &clock{}; c.advance(24 * time.Hour); return c }
func at(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	return parsed
}

// A Secret that is replaced is used from then on; while it is of no use nothing is sent.
func TestCredentialsAreReadAgain(t *testing.T) {
	token, headers := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "headers")
	write(t, token, "first\n")
	write(t, headers, "# of the shop\r\nX-Api-Key:  k1 \r\n\r\nX-Twice: a\nX-Twice: b\n")
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer server.Close()
	clock := newClock()
	d := delivery.New(delivery.Options{
		HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Now: clock.now,
		Credentials: delivery.Credentials{TokenFile: token, HeadersFile: headers},
	})
	require.NoError(t, d.Deliver(t.Context(), message))
	require.Equal(t, "Bearer first", got.Get("Authorization"))
	require.Equal(t, "k1", got.Get("X-Api-Key"))
	require.Equal(t, []string{"a", "b"}, got["X-Twice"])
	require.Equal(t, "1-0", got.Get("X-Message-ID"))

	write(t, token, "second")
	write(t, headers, "X-Api-Key: k2")
	clock.advance(time.Second)
	require.NoError(t, d.Deliver(t.Context(), message))
	require.Equal(t, "Bearer second", got.Get("Authorization"))
	require.Equal(t, "k2", got.Get("X-Api-Key"))
	require.NotContains(t, got, "X-Twice")

	require.NoError(t, os.Remove(token))
	clock.advance(time.Second)
	got = nil
	err := d.Deliver(t.Context(), message)
	require.Equal(t, unavailable, kindOf(err), err)
	require.ErrorContains(t, err, "HANDLER_TOKEN_FILE")
	require.Nil(t, got)
	write(t, token, "third")
	require.NoError(t, d.Deliver(t.Context(), message), "an error does not last")
	require.Equal(t, "Bearer third", got.Get("Authorization"))
}

// Where a token is refused, the next message goes with what the file has now.
func TestATokenThatIsRefusedIsReadAtOnce(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "old")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	d := delivery.New(delivery.Options{
		HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Now: newClock().now,
		Credentials: delivery.Credentials{TokenFile: token},
	})
	err := d.Deliver(t.Context(), message)
	require.Equal(t, unavailable, kindOf(err), err)
	write(t, token, "new")
	require.NoError(t, d.Deliver(t.Context(), message))
}

func TestFilesThatAreNoCredentials(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	write(t, good, "Authorization: Basic x")
	for name, tc := range map[string]struct{ token, headers, want string }{
		"empty token":       {" \n", "", `which is empty: put a token in it`},
		"two tokens":        {"s3cr3t\ns3cr3t", "", `which holds more than a token`},
		"no header":         {"", "s3cr3t", `line 1 is no header`},
		"name with a space": {"", "A: b\ns3c r3t: x", `line 2 is no header`},
		"control character": {"", "A: s3cr3t\x00", `the value of A has a control character`},
		"the message's ID":  {"", "x-message-id: s3cr3t", `x-message-id is not for you to set`},
		"an attribute":      {"", "ce-id: s3cr3t", `ce-id is not for you to set`},
		"a field":           {"", "X-Field-a: s3cr3t", `X-Field-a is not for you to set`},
		"length":            {"", "content-length: 7", `content-length is not for you to set`},
		"nothing":           {"", "# s3cr3t\n", `it holds no header`},
		"two authorities":   {"s3cr3t", "Authorization: s3cr3t", `both have an Authorization`},
	} {
		t.Run(name, func(t *testing.T) {
			var credentials delivery.Credentials
			if tc.token != "" {
				credentials.TokenFile = filepath.Join(t.TempDir(), "token")
				write(t, credentials.TokenFile, tc.token)
			}
			if tc.headers != "" {
				credentials.HeadersFile = filepath.Join(t.TempDir(), "headers")
				write(t, credentials.HeadersFile, tc.headers)
			}
			d := delivery.New(delivery.Options{
				HandlerURL: at(t, "http://127.0.0.1:1"), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Credentials: credentials,
			})
			err := d.Deliver(t.Context(), message)
			require.Equal(t, unavailable, kindOf(err), err)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "s3cr3t")
		})
	}
}

// A handler may answer with what it was sent; errors are logged, and kept with dead letters.
func TestNoSecretIsTold(t *testing.T) {
	token, headers := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "headers")
	write(t, token, "t0k3n-s3cr3t")
	write(t, headers, "X-Api-Key: k3y-s3cr3t")
	for _, status := range []int{200, 401, 422, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var log bytes.Buffer
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_ = r.Header.Write(w)
				user, password, _ := r.BasicAuth()
				fmt.Fprint(w, user, password)
			}))
			defer server.Close()
			address := at(t, server.URL)
			address.User = url.UserPassword("me", "pa55-s3cr3t")
			d := delivery.New(delivery.Options{
				HandlerURL: address, Concurrency: 1, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Credentials: delivery.Credentials{TokenFile: token, HeadersFile: headers},
			})
			told := fmt.Sprint(d.Deliver(t.Context(), message)) + log.String()
			require.NotContains(t, told, "s3cr3t")
			d.Options.Credentials = delivery.Credentials{}
			d = delivery.New(d.Options) // with what the URL has
			told = fmt.Sprint(d.Deliver(t.Context(), message)) + log.String()
			require.NotContains(t, told, "s3cr3t")
			require.NotContains(t, told, "bWU6cGE1NS1zM2NyM3Q")
		})
	}
}

// A client's certificate and an authority that are replaced are used for what follows.
func TestCertificatesAreReadAgain(t *testing.T) {
	first, second := certtest.New(t), certtest.New(t)
	var authority atomic.Pointer[certtest.Authority]
	authority.Store(first)
	var seen atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen.Store(fmt.Sprint(r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Proto))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	pairs := map[*certtest.Authority]*tls.Config{}
	for _, a := range []*certtest.Authority{first, second} {
		pairs[a] = a.MutualTLS(a.Server("127.0.0.1", "handler"))
		pairs[a].NextProtos = []string{"h2", "http/1.1"}
	}
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return pairs[authority.Load()], nil
	}}
	server.StartTLS()
	defer server.Close()

	dir := t.TempDir()
	files := first.Write(dir, first.Client("worker"))
	clock := newClock()
	options := delivery.Options{
		HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Now: clock.now,
		TLS: delivery.TLS{CAFile: files.CA, CertFile: files.Certificate, KeyFile: files.Key},
	}
	d := delivery.New(options)
	require.NoError(t, d.Deliver(t.Context(), message))
	require.Equal(t, "worker HTTP/2.0", seen.Load())

	authority.Store(second)
	server.CloseClientConnections()
	require.Eventually(t, func() bool { return kindOf(d.Deliver(t.Context(), message)) == unavailable }, patient, time.Millisecond,
		"the handler is not who it should be")
	second.Write(dir, second.Client("renewed"))
	clock.advance(time.Second)
	require.NoError(t, d.Deliver(t.Context(), message))
	require.Equal(t, "renewed HTTP/2.0", seen.Load())

	options.Protocol = delivery.HTTP1
	require.NoError(t, delivery.New(options).Deliver(t.Context(), message))
	require.Equal(t, "renewed HTTP/1.1", seen.Load())
	options.TLS.ServerName = "elsewhere"
	require.ErrorContains(t, delivery.New(options).Deliver(t.Context(), message), "elsewhere")
	options.TLS.ServerName = "handler"
	require.NoError(t, delivery.New(options).Deliver(t.Context(), message))
	options.TLS.CertFile, options.TLS.KeyFile = "", ""
	require.Error(t, delivery.New(options).Deliver(t.Context(), message), "the handler demands a certificate")

	for name, broken := range map[string]delivery.TLS{
		"HANDLER_TLS_CA_FILE":   {CAFile: files.Key},
		"HANDLER_TLS_CERT_FILE": {CertFile: files.Key, KeyFile: files.Key},
		"HANDLER_TLS_KEY_FILE":  {CertFile: files.Certificate, KeyFile: filepath.Join(dir, "none")},
	} {
		options.TLS = broken
		err := delivery.New(options).Deliver(t.Context(), message)
		assert.Equal(t, unavailable, kindOf(err), err)
		assert.ErrorContains(t, err, name)
	}
}

// HTTP/2 without TLS is spoken where it is asked for, and only there.
func TestProtocols(t *testing.T) {
	begun := make(chan struct{})
	var seen atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen.Store(r.Proto)
		if r.Header.Get("X-Delivery-Count") == "7" {
			close(begun)
			<-r.Context().Done()
		}
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	for protocol, want := range map[delivery.Protocol]string{"": "HTTP/1.1", delivery.Auto: "HTTP/1.1", delivery.HTTP1: "HTTP/1.1", delivery.HTTP2: "HTTP/2.0"} {
		t.Run(string(protocol), func(t *testing.T) {
			d := delivery.New(delivery.Options{HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Protocol: protocol})
			require.NoError(t, d.Deliver(t.Context(), message))
			require.Equal(t, want, seen.Load())
		})
	}
	d := delivery.New(delivery.Options{HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Protocol: delivery.HTTP2})
	require.Equal(t, failed, kindOf(deliverUntil(t, d, source.Message{Deliveries: 7}, begun)))
	require.NoError(t, deliverWithin(t, d, ample), "the connection goes on")
	d = delivery.New(delivery.Options{HandlerURL: at(t, server.URL), Concurrency: 1, Log: slog.New(slog.DiscardHandler), Protocol: "HTTP3"})
	require.ErrorContains(t, d.Deliver(t.Context(), message), "report it as a fault")
}

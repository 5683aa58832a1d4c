package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// secrets are Kubernetes Secrets of namespace team-a, by name and key.
type secrets struct {
	mu      sync.Mutex
	content map[string]map[string][]byte
	reads   int
}

func newSecrets() *secrets { return &secrets{content: map[string]map[string][]byte{}} }

func (s *secrets) Secret(_ context.Context, namespace, name string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	data, ok := s.content[name]
	if !ok || namespace != "team-a" {
		return nil, fmt.Errorf("secrets %q not found", name)
	}
	return data, nil
}

// set replaces a Secret: names of keys and their values, in turn.
func (s *secrets) set(name string, keysAndValues ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := map[string][]byte{}
	for i := 0; i < len(keysAndValues); i += 2 {
		data[keysAndValues[i]] = []byte(keysAndValues[i+1])
	}
	s.content[name] = data
}

func (s *secrets) delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.content, name)
}

func (s *secrets) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// log is a log in memory.
type log struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func tlsServer(address string) broker.Server {
	return broker.Server{
		Address: address, Namespace: "team-a",
		TLS: broker.TLS{Enabled: true, CA: broker.Secret{Name: "ca", Key: "ca.crt"}, Certificate: broker.Secret{Name: "client"}},
	}
}

func (s *secrets) setTLS(ca, client *redistest.Authority) {
	s.set("ca", "ca.crt", string(ca.CA))
	s.set("client", "tls.crt", string(client.ClientCert), "tls.key", string(client.ClientKey))
}

// becomes waits until the queue's depth, or the cause of its error, is so.
func becomes(t *testing.T, pool *sampling.Pool, server broker.Server, key string, want any) {
	t.Helper()
	var sample sampling.Sample
	var err error
	ok := assert.Eventually(t, func() bool {
		sample, err = pool.Depth(t.Context(), server, list(key))
		if cause, isCause := want.(broker.Cause); isCause {
			return causeOf(err) == cause
		}
		return err == nil && fmt.Sprint(sample.Total()) == fmt.Sprint(want)
	}, deadline, tick)
	if !ok {
		t.Fatalf("depth %d, error %v; want %v", sample.Total(), err, want)
	}
}

func causeOf(err error) broker.Cause {
	var read *broker.ReadError
	if !errors.As(err, &read) {
		return ""
	}
	return read.Cause()
}

func TestTLSWithAClientCertificate(t *testing.T) {
	authority := redistest.TLS(t)
	server := redistest.Start(t, authority.Args()...)
	require.NoError(t, server.Client().LPush(t.Context(), "q", "x").Err())
	source := newSecrets()
	source.setTLS(authority, authority)
	pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source}})
	sample, err := pool.Depth(t.Context(), tlsServer(server.Addr), list("q"))
	require.NoError(t, err)
	assert.EqualValues(t, 1, sample.Total())
	named := tlsServer(server.Addr)
	named.TLS.ServerName = "localhost"
	_, err = pool.Depth(t.Context(), named, list("q"))
	assert.NoError(t, err, "the certificate is for localhost, too")
}

// halfTLS is a server with TLS that wants no client certificate.
func halfTLS(authority *redistest.Authority) []string {
	return append(authority.Args(), "--tls-auth-clients", "no")
}

func TestTLSFailures(t *testing.T) {
	authority, other := redistest.TLS(t), redistest.TLS(t)
	strict := redistest.Start(t, authority.Args()...)
	half := redistest.Start(t, halfTLS(authority)...)
	plain := redistest.Start(t)
	tests := map[string]struct {
		address string
		change  func(*broker.Server, *secrets)
		words   string
		remedy  string
	}{
		"another authority": {half.Addr, func(_ *broker.Server, s *secrets) { s.setTLS(other, authority) },
			"certificate signed by unknown authority", "let caFromSecret name the authority that signed the server's certificate"},
		"the system's authorities": {half.Addr, func(server *broker.Server, _ *secrets) { server.TLS.CA = broker.Secret{} },
			"certificate signed by unknown authority", "let caFromSecret name the authority that signed the server's certificate"},
		"another name": {half.Addr, func(server *broker.Server, _ *secrets) { server.TLS.ServerName = "dragonfly.team-a" },
			"not dragonfly.team-a", "set tlsServerName to a name that the server's certificate has"},
		"no client certificate": {strict.Addr, func(server *broker.Server, _ *secrets) { server.TLS.Certificate = broker.Secret{} },
			"the server wants a client certificate, it seems, and none is named", "make tls, caFromSecret, clientCertificateFromSecret and tlsServerName fit the server"},
		"another client certificate": {strict.Addr, func(_ *broker.Server, s *secrets) { s.setTLS(authority, other) },
			"the server does not accept the client certificate, it seems", "make tls, caFromSecret, clientCertificateFromSecret and tlsServerName fit the server"},
		"TLS for a server without": {plain.Addr, func(*broker.Server, *secrets) {},
			"expect TLS there: set tls to false", "make tls, caFromSecret, clientCertificateFromSecret and tlsServerName fit the server"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := newSecrets()
			source.setTLS(authority, authority)
			server := tlsServer(test.address)
			test.change(&server, source)
			pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source, ReadTimeout: 3 * time.Second}})
			sample, err := pool.Depth(t.Context(), server, list("q"))
			assert.Equal(t, broker.TLSFailed, causeOf(err), "%v", err)
			assert.ErrorContains(t, err, test.words)
			assert.ErrorContains(t, err, test.remedy)
			assert.Zero(t, sample)
		})
	}
}

// The server answers with an alert, which may be lost when it ends the connection.
func TestNoTLSForAServerWithTLS(t *testing.T) {
	server := redistest.Start(t, redistest.TLS(t).Args()...)
	pool := newPool(t, sampling.Options{})
	_, err := pool.Depth(t.Context(), broker.Server{Address: server.Addr}, list("q"))
	assert.Contains(t, []broker.Cause{broker.TLSFailed, broker.Unreachable}, causeOf(err))
	assert.ErrorContains(t, err, "expects TLS there: set tls to true")
}

func TestSecretsThatAreNotAsTheyShouldBe(t *testing.T) {
	authority := redistest.TLS(t)
	server := redistest.Start(t, "--requirepass", "hunter2")
	password := broker.Secret{Name: "auth", Key: "password"}
	tests := map[string]struct {
		change func(*broker.Server, *secrets)
		words  string
	}{
		"no Secret": {func(s *broker.Server, _ *secrets) { s.Password = password },
			`Secret team-a/auth with the password can't be read: secrets "auth" not found`},
		"no key": {func(s *broker.Server, source *secrets) { s.Password = password; source.set("auth", "pass", "hunter2") },
			"key password of Secret team-a/auth with the password: the Secret does not have the key, or it is empty"},
		"another namespace": {func(s *broker.Server, source *secrets) {
			s.Password, s.Namespace = password, "team-b"
			source.set("auth", "password", "hunter2")
		}, "Secret team-b/auth with the password can't be read"},
		"no CA in it": {func(s *broker.Server, source *secrets) {
			s.TLS = tlsServer("").TLS
			source.setTLS(authority, authority)
			source.set("ca", "ca.crt", "hunter2")
		}, "key ca.crt of Secret team-a/ca with the CA: it holds no certificate in PEM"},
		"a certificate without its key": {func(s *broker.Server, source *secrets) {
			s.TLS = tlsServer("").TLS
			source.setTLS(authority, authority)
			source.set("client", "tls.crt", string(authority.ClientCert), "tls.key", "hunter2")
		}, "key tls.crt and tls.key of Secret team-a/client with the client certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log log
			source := newSecrets()
			wanted := broker.Server{Address: server.Addr, Namespace: "team-a"}
			test.change(&wanted, source)
			pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source, Logger: log.logger()}})
			_, err := pool.Depth(t.Context(), wanted, list("q"))
			assert.Equal(t, broker.SecretUnreadable, causeOf(err), "%v", err)
			assert.ErrorContains(t, err, test.words)
			assert.ErrorContains(t, err, "correct the Secret or the reference to it")
			assert.NotContains(t, err.Error()+log.String(), "hunter2")
		})
	}
	pool := newPool(t, sampling.Options{})
	_, err := pool.Depth(t.Context(), broker.Server{Address: server.Addr, Password: password}, list("q"))
	assert.ErrorContains(t, err, "the scaler has no access to Secrets: give the credentials by the environment")
}

// forbidding is an API server that lets nobody read a Secret.
type forbidding struct{}

func (forbidding) Secret(context.Context, string, string) (map[string][]byte, error) {
	return nil, fmt.Errorf("%w: secrets is forbidden", broker.ErrForbidden)
}

func TestASecretThatTheScalerMayNotGet(t *testing.T) {
	pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: forbidding{}}})
	_, err := pool.Depth(t.Context(), broker.Server{Address: "127.0.0.1:1", Namespace: "team-a", Password: broker.Secret{Name: "auth"}}, list("q"))
	assert.Equal(t, broker.SecretUnreadable, causeOf(err), "%v", err)
	assert.ErrorContains(t, err, "Secret team-a/auth with the password can't be read: the scaler has no right to get the Secret: secrets is forbidden: let the scaler get it: name the namespace in the chart's scaler.secrets.namespaces")
}

// A credential with a line break is refused before anything is sent: a server could take
// what comes after it for a command, and would repeat it in its answer.
func TestCredentialsWithALineBreak(t *testing.T) {
	address, connections := redistest.StartHangingUp(t)
	for _, value := range []string{"hunter2\n", "hunter2\r\nFLUSHALL\r\n", "hun\nter2", "hunter2\x00", "\r"} {
		for purpose, give := range map[string]func(*broker.Server, broker.Secret){
			"the username":            func(s *broker.Server, secret broker.Secret) { s.Username = secret },
			"the password":            func(s *broker.Server, secret broker.Secret) { s.Password = secret },
			"the sentinels' username": func(s *broker.Server, secret broker.Secret) { s.SentinelUsername = secret },
			"the sentinels' password": func(s *broker.Server, secret broker.Secret) { s.SentinelPassword = secret },
		} {
			source := newSecrets()
			source.set("auth", "word", value)
			for from, secret := range map[string]broker.Secret{
				"key word of Secret team-a/auth with " + purpose: {Name: "auth", Key: "word"},
				purpose + " from the environment":                {Value: value},
			} {
				server := broker.Server{Mode: broker.Sentinel, SentinelMaster: "main", Address: address, Namespace: "team-a"}
				give(&server, secret)
				pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source}})
				_, err := pool.Depth(t.Context(), server, list("q"))
				assert.Equal(t, broker.SecretUnreadable, causeOf(err), "%v", err)
				assert.ErrorContains(t, err, from+": it holds a line break or a NUL character, perhaps at its end: make it with --from-literal or printf, not with echo: correct the ")
				assert.NotContains(t, err.Error(), "hunter2")
			}
		}
	}
	assert.Zero(t, connections.Load())
}

func TestAPasswordIsRotated(t *testing.T) {
	const first, second = "first-hunter2", "second-hunter2"
	server := redistest.Start(t, "--requirepass", first)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "x").Err())
	var log log
	source := newSecrets()
	source.set("auth", "password", first)
	pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source, Logger: log.logger(), SecretInterval: time.Hour}})
	wanted := broker.Server{Address: server.Addr, Namespace: "team-a", Password: broker.Secret{Name: "auth"}}
	becomes(t, pool, wanted, "q", 1)

	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", second).Err())
	require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	becomes(t, pool, wanted, "q", broker.Unauthorized)
	source.set("auth", "password", second)
	becomes(t, pool, wanted, "q", 1)

	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", first).Err())
	require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	source.delete("auth")
	becomes(t, pool, wanted, "q", broker.SecretUnreadable)
	reads := source.count()
	began := time.Now()
	for time.Since(began) < 500*time.Millisecond {
		_, err := pool.Depth(t.Context(), wanted, list("q"))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	seconds := int(time.Since(began)/time.Second) + 1 // begun
	assert.LessOrEqual(t, source.count()-reads, seconds+1, "Secrets are not read more than once a second")
	source.set("auth", "password", first)
	becomes(t, pool, wanted, "q", 1)
	assert.NotContains(t, log.String(), "hunter2")
	assert.Contains(t, log.String(), "credentials were renewed")
}

// A Secret that changes while all is well: no read fails, before and after.
func TestCertificatesAreRotatedWithoutAGap(t *testing.T) {
	first, second := redistest.TLS(t), redistest.TLS(t)
	server := redistest.Start(t, first.Args()...)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "x").Err())
	source := newSecrets()
	source.setTLS(first, first)
	pool := newPool(t, sampling.Options{Options: broker.Options{Secrets: source, SecretInterval: 2 * tick}})
	wanted := tlsServer(server.Addr)
	becomes(t, pool, wanted, "q", 1)

	// What does not work is not taken.
	source.setTLS(second, second)
	reads := source.count()
	require.Eventually(t, func() bool {
		_, err := pool.Depth(t.Context(), wanted, list("q"))
		require.NoError(t, err)
		return source.count() > reads+10
	}, deadline, tick)

	// The server trusts both authorities, then shows the new one's certificate.
	both := append(append([]byte{}, first.CA...), second.CA...)
	require.NoError(t, os.WriteFile(first.CAFile, both, 0o600))
	require.NoError(t, client.ConfigSet(t.Context(), "tls-ca-cert-file", first.CAFile).Err())
	source.set("ca", "ca.crt", string(both))
	source.set("client", "tls.crt", string(second.ClientCert), "tls.key", string(second.ClientKey))
	require.NoError(t, client.Do(t.Context(), "CONFIG", "SET", "tls-cert-file", second.ServerCertFile, "tls-key-file", second.ServerKeyFile).Err())
	reads = source.count()
	require.Eventually(t, func() bool {
		_, err := pool.Depth(t.Context(), wanted, list("q"))
		require.NoError(t, err)
		return source.count() > reads+10
	}, deadline, tick)
	require.NoError(t, os.WriteFile(first.CAFile, second.CA, 0o600))
	require.NoError(t, client.ConfigSet(t.Context(), "tls-ca-cert-file", first.CAFile).Err())
	require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	becomes(t, pool, wanted, "q", 1)
}

func TestNoTextShowsASecret(t *testing.T) {
	secret := broker.Secret{Value: "hunter2"}
	server := broker.Server{
		Address: "dragonfly:6379", Username: secret, Password: secret, SentinelUsername: secret, SentinelPassword: secret,
		TLS: broker.TLS{Enabled: true, CA: secret, Certificate: secret},
	}
	var log log
	log.logger().Info("text", "server", server, "secret", secret, "nested", []broker.Server{server}, "tls", server.TLS)
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "server", server, "secret", secret, "nested", []broker.Server{server}, "tls", server.TLS)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %q", server, server, server, server, server) +
		fmt.Sprintf("%v %+v %#v %s %q", secret, secret, secret, secret, secret) +
		fmt.Sprintf("%v %+v %#v", server.TLS, server.TLS, server.TLS) +
		(&broker.ReadError{Server: server, Err: errors.New("x")}).Error()
	assert.NotContains(t, text, "hunter2")
	assert.Contains(t, text, "rediss://dragonfly:6379")
}

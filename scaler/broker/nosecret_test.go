package broker_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// quick is how long servers are waited for that often do not answer.
const quick = 400 * time.Millisecond

// markers are secrets that no output may have: of each purpose one.
var markers = map[string]string{
	"username": "mk-user-4711", "password": `mk-pass "quoted" 4712`,
	"sentinel username": "mk-sentinel-user-4713", "sentinel password": "mk-sentinel-pass-4714",
	"ca": "mk-ca-4715", "certificate": "mk-certificate-4716", "key": "mk-key-4717",
}

// assertNoMarker looks for each marker in each form.
func assertNoMarker(t *testing.T, output string) {
	t.Helper()
	for purpose, marker := range markers {
		quoted := strconv.Quote(marker)
		for _, form := range []string{
			marker, quoted[1 : len(quoted)-1], strings.Trim(strconv.Quote(quoted), `"`), strings.Fields(marker)[0],
			base64.StdEncoding.EncodeToString([]byte(marker)), base64.RawURLEncoding.EncodeToString([]byte(marker)),
		} {
			assert.NotContains(t, output, form, "the %s", purpose)
		}
	}
}

// planted is a server all of whose secrets are markers: from Secrets, or from an environment.
func planted(mode broker.Mode, address string, source *secrets) broker.Server {
	server := broker.Server{Mode: mode, Address: address, Namespace: "team-a"}
	secret := func(purpose string) broker.Secret {
		if source == nil {
			return broker.Secret{Value: markers[purpose]}
		}
		name := strings.ReplaceAll(purpose, " ", "-")
		source.set(name, "key", markers[purpose])
		return broker.Secret{Name: name, Key: "key"}
	}
	server.Username, server.Password = secret("username"), secret("password")
	if mode == broker.Sentinel {
		server.SentinelMaster = "main"
		server.SentinelUsername, server.SentinelPassword = secret("sentinel username"), secret("sentinel password")
	}
	return server
}

// redisNotes has the notes of go-redis in the log, as cmd/scaler does.
type redisNotes struct{ logger *slog.Logger }

func (n redisNotes) Printf(ctx context.Context, format string, arguments ...any) {
	n.logger.DebugContext(ctx, "go-redis", "note", broker.Note(format, arguments...))
}

// queues are such whose reading asks for all there is to ask.
var queues = []queue.Queue{
	list("q"), {Key: "a", Kind: queue.Auto, Age: true}, {Key: "s", Kind: queue.Stream, Age: true}, {Key: "g", Kind: queue.Stream, Group: "workers"},
	{Key: "s", Kind: queue.Stream, Group: "other"}, {Key: "p", Kind: queue.PubSub}, {Key: "b", Kind: queue.KindOf(framework.BullMQ), Prefix: "bull", Age: true},
}

// outputs is all that a pool tells of a server: errors, log and metrics.
func outputs(t *testing.T, server broker.Server, source *secrets, queues ...queue.Queue) string {
	t.Helper()
	var log log
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := prometheus.NewRegistry()
	metrics := broker.NewMetrics(registry)
	options := broker.Options{ReadTimeout: quick, Logger: logger, Metrics: metrics, SecretInterval: tick}
	if source != nil {
		options.Secrets = source
	}
	pool := newPool(t, options)
	metrics.Watch(registry, pool)
	var text strings.Builder
	tell := func() {
		for _, q := range queues {
			ctx, cancel := context.WithTimeout(t.Context(), 2*quick)
			sample, err := pool.Depth(ctx, server, q)
			cancel()
			if err == nil {
				fmt.Fprintln(&text, sample.Remark)
				continue
			}
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 1500, "%v", err)
			fmt.Fprintf(&text, "%v\n%+v\n%q\n", err, err, err)
		}
	}
	tell()
	subscription, err := pool.Subscribe(server, queues...)
	require.NoError(t, err)
	select {
	case <-subscription.Updates():
	case <-time.After(2 * quick):
	}
	tell()
	subscription.Close()
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(recorder.Body)
	require.NoError(t, err)
	return text.String() + log.String() + string(body)
}

// echoes are the ways in which a server may give back what was sent to it.
var echoes = map[string]func(string) string{
	"an error":         func(got string) string { return "-ERR you said " + oneLine(got) + "\r\n" },
	"an error alone":   func(got string) string { return "-" + oneLine(got) + "\r\n" },
	"a long error":     func(got string) string { return "-ERR " + strings.Repeat("x", 100) + oneLine(got) + "\r\n" },
	"a refusal":        func(got string) string { return "-WRONGPASS " + oneLine(got) + "\r\n" },
	"no permission":    func(got string) string { return "-NOPERM User " + oneLine(got) + "\r\n" },
	"loading":          func(got string) string { return "-LOADING " + oneLine(got) + "\r\n" },
	"moved":            func(got string) string { return "-MOVED 1 " + oneLine(got) + ":1\r\n" },
	"encoded":          func(got string) string { return "-ERR " + base64Words(got) + "\r\n" },
	"quoted":           func(got string) string { return "-ERR " + strconv.Quote(got) + "\r\n" },
	"an error in bulk": func(got string) string { return fmt.Sprintf("!%d\r\n%s\r\n", len(got), got) },
	"a banner":         func(got string) string { return "HTTP/1.1 400 " + oneLine(got) + "\r\n" },
	"a status":         func(got string) string { return "+" + oneLine(got) + "\r\n" },
	"a number":         func(got string) string { return ":" + oneLine(got) + "\r\n" },
	"a bulk":           bulk,
	"an array":         func(got string) string { return array(bulk(got), bulk(got)) },
	"a push":           func(got string) string { return ">2\r\n" + bulk(got) + bulk(got) },
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }), " ")
}

func base64Words(got string) string {
	var words []string
	for _, word := range strings.Split(got, "\r\n") {
		words = append(words, base64.StdEncoding.EncodeToString([]byte(word)))
	}
	return strings.Join(words, " ")
}

// parrots answer well enough to be read on, and put the password where they can.
var parrots = map[string]func(command, secret string) string{
	"master": func(command, secret string) string {
		if command == "ROLE " {
			return array(bulk("master"), ":0\r\n", "*0\r\n")
		}
		return said(command, secret)
	},
	"replica": func(command, secret string) string {
		if command == "ROLE " {
			return array(bulk("slave"), bulk(secret), bulk(secret), bulk(secret), ":0\r\n")
		}
		return said(command, secret)
	},
	"no role": func(command, secret string) string {
		if command == "ROLE " {
			return "-NOPERM " + secret + "\r\n"
		}
		return said(command, secret)
	},
}

// parrotWords are what is told of them, so that it is known that they got that far.
var parrotWords = map[string][]string{
	"master":  {`stream "s" has 2 consumer groups (…, …)`, `key "a" holds a …`, "the reply to … can't be read: …"},
	"replica": {"is a replica of … now"},
	"no role": {"server does not tell its role", `stream "s" has 2 consumer groups (…, …)`},
}

func said(command, secret string) string {
	switch name, rest, _ := strings.Cut(command, " "); {
	case name == "TYPE" && rest == "A":
		return "+" + secret + "\r\n"
	case name == "TYPE":
		return "+stream\r\n"
	case name == "HMGET":
		return array("$-1\r\n", "$-1\r\n", "$-1\r\n") // no limits, so that the job's age is asked for
	case command == "XINFO STREAM":
		return array(bulk("length"), ":1\r\n", bulk("last-generated-id"), bulk("5-0"))
	case name == "XINFO":
		group := array(bulk("name"), bulk(secret), bulk("consumers"), ":1\r\n", bulk("pending"), ":1\r\n", bulk("last-delivered-id"), bulk("1-0"))
		return array(group, group)
	case command == "CLUSTER SLOTS":
		node := array(bulk(secret), ":6379\r\n", bulk(secret))
		return array(array(":0\r\n", ":16383\r\n", node))
	case command == "SENTINEL GET-MASTER-ADDR-BY-NAME":
		return array(bulk(secret), bulk("6379"))
	case name == "GET":
		return bulk("1")
	case name == "ZRANGE":
		return "*0\r\n"
	case name == "HGET", name == "LINDEX":
		return bulk(secret)
	case name == "XRANGE", name == "SMEMBERS", name == "HMGET", name == "PUBSUB":
		return array(bulk(secret))
	default:
		return ":1\r\n"
	}
}

// Whatever a server does with what it is sent, no output has a secret.
func TestNoSecretInAnyOutput(t *testing.T) {
	var notes log
	redis.SetLogger(redisNotes{slog.New(slog.NewTextHandler(&notes, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	t.Cleanup(logging.Enable)
	modes := []broker.Mode{broker.Standalone, broker.Sentinel, broker.Cluster}
	t.Run("all", func(t *testing.T) {
		for _, mode := range modes {
			for name, echo := range echoes {
				t.Run(fmt.Sprint(mode, " echoes ", name), func(t *testing.T) {
					t.Parallel()
					source := newSecrets()
					assertNoMarker(t, outputs(t, planted(mode, stranger(t, nil, echoing(echo)), source), source, queues...))
				})
			}
			for name, answers := range parrots {
				t.Run(fmt.Sprint(mode, " parrot, ", name), func(t *testing.T) {
					t.Parallel()
					server := planted(mode, stranger(t, nil, parrot(answers)), nil)
					var all strings.Builder
					for _, q := range queues { // each alone: one that can't be read may end the read of all
						all.WriteString(outputs(t, server, nil, q))
					}
					assertNoMarker(t, all.String())
					if mode == broker.Standalone {
						for _, words := range parrotWords[name] {
							assert.Contains(t, all.String(), words)
						}
					}
				})
			}
			t.Run(fmt.Sprint(mode, " of Redis without AUTH"), func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t, "--rename-command", "AUTH", "hidden-auth", "--rename-command", "HELLO", "hidden-hello")
				output := outputs(t, planted(mode, server.Addr, nil), nil, queues...)
				assert.Contains(t, output, "unknown command 'auth'", "what the server wants is told all the same")
				assertNoMarker(t, output)
			})
		}
		t.Run("over TLS", func(t *testing.T) {
			t.Parallel()
			testNoSecretOverTLS(t)
		})
	})
	assert.NotEmpty(t, notes.String(), "go-redis noted something")
	assertNoMarker(t, notes.String())
}

func testNoSecretOverTLS(t *testing.T) {
	authority := redistest.TLS(t)
	pem := func(kind, marker string) string {
		return "-----BEGIN " + kind + "-----\n" + base64.StdEncoding.EncodeToString([]byte(marker)) + "\n-----END " + kind + "-----\n"
	}
	tests := map[string]func(*broker.Server, *secrets){
		"echoes": func(*broker.Server, *secrets) {},
		"a CA that is none": func(_ *broker.Server, source *secrets) {
			source.set("ca", "ca.crt", markers["ca"])
		},
		"a CA of another kind": func(_ *broker.Server, source *secrets) {
			source.set("ca", "ca.crt", pem("CERTIFICATE", markers["ca"]))
		},
		"a certificate that is none": func(_ *broker.Server, source *secrets) {
			source.set("client", "tls.crt", markers["certificate"], "tls.key", markers["key"])
		},
		"a certificate of another kind": func(_ *broker.Server, source *secrets) {
			source.set("client", "tls.crt", pem(markers["certificate"], "x"), "tls.key", pem(markers["key"], "x"))
		},
		"a key of another kind": func(_ *broker.Server, source *secrets) {
			source.set("client", "tls.crt", string(authority.ClientCert), "tls.key", pem(markers["key"], "x"))
		},
		"a key that can't be read": func(_ *broker.Server, source *secrets) {
			source.set("client", "tls.crt", string(authority.ClientCert), "tls.key", pem("PRIVATE KEY", markers["key"]))
		},
	}
	for name, change := range tests {
		for kind, theirs := range map[string]*redistest.Authority{"TLS": authority, "plain": nil} {
			t.Run(name+", "+kind, func(t *testing.T) {
				source := newSecrets()
				source.setTLS(authority, authority)
				server := planted(broker.Standalone, stranger(t, theirs, echoing(echoes["an error"])), source)
				server.TLS = tlsServer("").TLS
				change(&server, source)
				output := outputs(t, server, source, list("q"))
				assert.Contains(t, output, "reading rediss://")
				assertNoMarker(t, output)
			})
		}
	}
	// A stranger's first bytes, in answer to a TLS handshake.
	server := tlsServer(stranger(t, nil, func(c net.Conn) { _, _ = io.WriteString(c, "220 "+markers["ca"]+"\r\n") }))
	source := newSecrets()
	source.setTLS(authority, authority)
	assertNoMarker(t, outputs(t, server, source, list("q")))
}

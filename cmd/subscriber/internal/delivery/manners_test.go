package delivery_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// accept starts a server by hand: serve has each connection, counted from 1, until it returns. stop ends it, for new
// connections too.
func accept(t *testing.T, serve func(n int, conn net.Conn)) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { _ = conn.Close() })
			serving.Go(func() {
				defer conn.Close()
				serve(n, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return listener.Addr().String(), func() { _ = listener.Close() }
}

func deliverTo(address string, change func(*delivery.Options)) *delivery.Deliverer {
	options := delivery.Options{HandlerURL: &url.URL{Scheme: "http", Host: address, Path: "/"}, Concurrency: 10, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&options)
	}
	return delivery.New(options)
}

// requests reads requests of a connection, and has each answered while answer says so.
func requests(conn net.Conn, answer func(n int) bool) {
	from := bufio.NewReader(conn)
	for n := 1; ; n++ {
		request, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		if _, err = io.Copy(io.Discard, request.Body); err != nil || !answer(n) {
			return
		}
		if _, err = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

// The status decides, though the answer goes on until the message's time is up.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	for status, want := range map[int]string{200: "", 422: refused, 503: unavailable, 500: failed} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{}, 16)
			d := post(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
				defer func() { ended <- struct{}{} }()
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				for {
					_, err := io.WriteString(w, ".")
					if err != nil || http.NewResponseController(w).Flush() != nil {
						return
					}
					select {
					case <-r.Context().Done():
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			})
			err := deliverWithin(t, d, time.Second)
			for timeout := 2 * time.Second; err != nil && timeout < ample && !strings.Contains(err.Error(), fmt.Sprint(status)); timeout *= 2 {
				err = deliverWithin(t, d, timeout) // a busy machine had not even sent the status
			}
			if want == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, want, kindOf(err), err)
				require.ErrorContains(t, err, fmt.Sprint(status))
			}
			<-ended // it hears that nobody reads on
		})
	}
}

// A redirect is a failure: neither the message nor what the handler lets the worker in by goes elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("hunter2"), 0o600))
	for _, status := range []int{301, 302, 303, 307, 308} {
		handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer hunter2" {
				status = http.StatusTeapot
			}
			http.Redirect(w, r, other.URL, status)
		}))
		d := deliverTo(strings.TrimPrefix(handler.URL, "http://"), func(o *delivery.Options) { o.Credentials.TokenFile = token })
		err := d.Deliver(t.Context(), message)
		require.Equal(t, failed, kindOf(err), err)
		require.ErrorContains(t, err, fmt.Sprint(status))
		handler.Close()
	}
	require.Zero(t, elsewhere.Load())
}

func TestInterimAnswers(t *testing.T) {
	var calls atomic.Int64
	d := post(t, io.Discard, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Link", "</style.css>")
		for range 3 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	require.NoError(t, d.Deliver(t.Context(), message))
	require.EqualValues(t, 1, calls.Load())
}

// What a handler may send before its body is bounded, or it would fill the worker's memory.
func TestFloodsOfHeaders(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"interim answers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", strings.Repeat("x", 1000))
			for range 1000 {
				w.WriteHeader(http.StatusEarlyHints)
			}
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := post(t, io.Discard, answer).Deliver(t.Context(), message)
			require.Equal(t, failed, kindOf(err), err)
			require.ErrorContains(t, err, "exceeded")
		})
	}
	t.Run("in a status", func(t *testing.T) {
		address, _ := accept(t, func(_ int, conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 500 %s\r\nContent-Length: 0\r\n\r\n", strings.Repeat("x", 10_000))
		})
		err := deliverTo(address, nil).Deliver(t.Context(), message)
		require.Equal(t, failed, kindOf(err), err)
		require.Less(t, len(err.Error()), 500, "it goes to logs and dead letters")
	})
}

// What a handler says that does not speak HTTP may be the message, or what it was let in by, and of any length.
func TestAnAnswerThatIsNoneOfHTTP(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("hunter2"), 0o600))
	for name, begin := range map[string]string{"no status": "", "no header": "HTTP/1.1 200 OK\r\n"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			address, _ := accept(t, func(_ int, conn net.Conn) {
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(request.Body)
				_, _ = fmt.Fprintf(conn, "%s%s %s %s\r\n\r\n", begin, request.Header.Get("Authorization"), body, strings.Repeat("x", 10_000))
			})
			d := deliverTo(address, func(o *delivery.Options) {
				o.Credentials.TokenFile, o.Log = token, slog.New(slog.NewTextHandler(&log, nil))
			})
			err := d.Deliver(t.Context(), message)
			require.Equal(t, failed, kindOf(err), err)
			require.ErrorContains(t, err, "malformed")
			require.NotContains(t, err.Error()+log.String(), "hunter2")
			require.Less(t, len(err.Error()), 500, "it goes to logs and dead letters")
			brief := delivery.WithoutAnswer(fmt.Errorf("the worker: %w", err))
			require.Regexp(t, `^the worker: http://[^ ]+ gave an answer that can't be read$`, brief)
		})
	}
}

// A handler that would speak another protocol has not taken the message, and it is not waited for.
func TestAHandlerThatSwitchesProtocols(t *testing.T) {
	address, _ := accept(t, func(_ int, conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	err := deliverTo(address, nil).Deliver(ctx, message)
	require.Equal(t, failed, kindOf(err), err)
	require.ErrorContains(t, err, "101 Switching Protocols")
	require.NoError(t, ctx.Err(), "it was waited for")
}

// A handler closes a connection that idles, just as it is used again: the message is sent on another, unless it is to
// come at most once.
func TestAConnectionThatIsClosedAsItIsUsedAgain(t *testing.T) {
	for name, once := range map[string]bool{"at least once": false, "at most once": true} {
		t.Run(name, func(t *testing.T) {
			var received atomic.Int64
			address, _ := accept(t, func(connection int, conn net.Conn) {
				requests(conn, func(n int) bool {
					received.Add(1)
					return n == 1 || connection > 1
				})
			})
			d := deliverTo(address, func(o *delivery.Options) { o.AtMostOnce = once })
			require.NoError(t, d.Deliver(t.Context(), message))
			err := d.Deliver(t.Context(), message)
			if once {
				require.Equal(t, failed, kindOf(err), err)
				require.EqualValues(t, 2, received.Load())
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 3, received.Load())
		})
	}
}

// A message of which the handler's connection dies is sent twice at most, and has failed, however many connections
// idle. It was sent on each.
func TestAMessageThatBreaksConnectionsIsSentTwiceAtMost(t *testing.T) {
	const idle = 8
	var poisonous, at atomic.Int64
	all := make(chan struct{})
	d := post(t, io.Discard, func(_ http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "poison" {
			poisonous.Add(1)
			panic(http.ErrAbortHandler)
		}
		if at.Add(1) == idle {
			close(all)
		}
		<-all
	})
	d = deliverTo(d.HandlerURL.Host, nil)
	var good sync.WaitGroup
	for range idle {
		good.Go(func() {
			if err := d.Deliver(t.Context(), message); err != nil {
				t.Error(err)
			}
		})
	}
	good.Wait()
	err := d.Deliver(t.Context(), source.Message{Key: "orders", ID: "2-0", Payload: "poison", Deliveries: 1})
	require.Equal(t, failed, kindOf(err), err)
	require.EqualValues(t, 2, poisonous.Load())
}

// A handler that dies of a message, and is away then, has been sent it: that counts, or it would come for ever.
func TestAHandlerThatDiesOfAMessageAndIsAway(t *testing.T) {
	var stop func()
	address, stop := accept(t, func(_ int, conn net.Conn) {
		requests(conn, func(n int) bool {
			if n == 2 {
				stop()
			}
			return n < 2
		})
	})
	d := deliverTo(address, nil)
	require.NoError(t, d.Deliver(t.Context(), message))
	err := d.Deliver(t.Context(), message)
	require.Equal(t, failed, kindOf(err), err)
	err = d.Deliver(t.Context(), message)
	require.Equal(t, unavailable, kindOf(err), "now it is known to be away: %v", err)
}

// A handler that ends says so in HTTP/2 (GOAWAY), and finishes what it has begun.
func TestAHandlerThatEndsFinishesItsRequests(t *testing.T) {
	var calls atomic.Int64
	begun, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		close(begun)
		<-release
	}))
	server.EnableHTTP2, server.TLS = true, &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	d := deliverTo(server.Listener.Addr().String(), func(o *delivery.Options) {
		o.HandlerURL.Scheme, o.TLS.CAFile, o.Protocol = "https", caFile(t, server), delivery.HTTP2
	})
	delivered, ended := make(chan error, 1), make(chan error, 1)
	go func() { delivered <- d.Deliver(t.Context(), message) }()
	<-begun
	go func() { ended <- server.Config.Shutdown(t.Context()) }()
	require.Eventually(t, func() bool { // no longer does it listen
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patient, time.Millisecond)
	close(release)
	require.NoError(t, <-delivered)
	require.NoError(t, <-ended)
	require.EqualValues(t, 1, calls.Load())
}

// withoutTLS is the address of a handler of HTTP/2 without TLS.
func withoutTLS(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// pass passes a connection on.
func pass(conn net.Conn, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	go func() {
		defer to.Close()
		_, _ = io.Copy(to, conn)
	}()
	_, _ = io.Copy(conn, to)
}

// In HTTP/2 the handler says which requests it has not taken: those are sent again. What it has taken and not
// answered has failed.
func TestAHandlerThatGoesAwayInTheMiddle(t *testing.T) {
	for name, tc := range map[string]struct {
		last func(stream uint32) uint32 // that was taken
		code http2.ErrCode
		want int64 // calls of the next connection's handler
	}{
		"not taken":        {none, http2.ErrCodeNo, 1},
		"taken, and ended": {all, http2.ErrCodeInternal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			next := withoutTLS(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
			address, _ := accept(t, func(n int, conn net.Conn) {
				if n == 1 {
					byHand(conn, goodbye(tc.code, tc.last))
					return
				}
				pass(conn, next)
			})
			d := deliverTo(address, func(o *delivery.Options) { o.Protocol = delivery.HTTP2 })
			err := d.Deliver(t.Context(), message)
			if tc.want == 0 {
				require.Equal(t, failed, kindOf(err), err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tc.want, calls.Load())
		})
	}
}

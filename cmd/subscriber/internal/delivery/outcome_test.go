package delivery_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

// What the error of a delivery says: nothing but that it failed, that the message was
// refused for good, or that the handler is away or overloaded.
const (
	failed      = "failed"
	refused     = "refused"
	unavailable = "unavailable"
)

func kindOf(err error) string {
	var r *delivery.Refused
	var u *delivery.Unavailable
	switch {
	case errors.As(err, &r):
		return refused
	case errors.As(err, &u):
		return unavailable
	}
	return failed
}

func TestWhatAStatusSaysOfAMessage(t *testing.T) {
	for status, want := range map[int]string{
		302: failed, 500: failed, 501: failed, 502: failed, 504: failed, 408: failed, 425: failed,
		400: refused, 403: refused, 404: refused, 409: refused, 410: refused, 413: refused, 422: refused, 499: refused,
		401: unavailable, 407: unavailable, 429: unavailable, 503: unavailable,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			d := post(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte("because"))
			})
			err := d.Deliver(t.Context(), message)
			require.Equal(t, want, kindOf(err), err)
			require.ErrorContains(t, err, "because")
			require.NotContains(t, err.Error(), "hunter2")
			if r := new(delivery.Refused); errors.As(err, &r) {
				require.Equal(t, status, r.Status)
				require.Contains(t, r.Reason, "because")
			}
			brief := delivery.WithoutAnswer(fmt.Errorf("the worker: %w", err))
			require.NotContains(t, brief, "because")
			require.True(t, strings.HasPrefix(brief, "the worker: the handler "), brief)
			require.Contains(t, brief, strings.TrimSpace(fmt.Sprintf("answered %d %s", status, http.StatusText(status))))
		})
	}
}

// A handler's words are in the status line, too.
func TestTheStatusLineOfAnAnswerIsTheHandlers(t *testing.T) {
	d := post(t, io.Discard, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 422 no such customer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}
	})
	err := d.Deliver(t.Context(), message)
	require.ErrorContains(t, err, "answered 422 no such customer")
	require.NotContains(t, delivery.WithoutAnswer(err), "customer")
	require.Contains(t, delivery.WithoutAnswer(err), "answered 422 Unprocessable Entity")
	require.Equal(t, "EOF", delivery.WithoutAnswer(io.EOF))
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		status      int
		value, date string
		want        time.Duration
	}{
		"seconds":                        {429, "7", "", 7 * time.Second},
		"seconds, of 503":                {503, "120", "", 2 * time.Minute},
		"none":                           {503, "", "", 0},
		"0":                              {503, "0", "", 0},
		"too long":                       {503, "86400", "", delivery.MaxRetryAfter},
		"more than any number":           {503, "99999999999999999999", "", delivery.MaxRetryAfter},
		"negative":                       {503, "-1", "", 0},
		"no number":                      {503, "soon", "", 0},
		"a date":                         {503, "Fri, 02 Jan 2026 03:04:35 GMT", "", 30 * time.Second},
		"a date of old form":             {429, "Friday, 02-Jan-26 03:04:35 GMT", "", 30 * time.Second},
		"a date that has passed":         {503, "Fri, 02 Jan 2026 03:04:00 GMT", "", 0},
		"a date far off":                 {503, "Fri, 02 Jan 2099 03:04:00 GMT", "", delivery.MaxRetryAfter},
		"a date by the handler's clock":  {503, "Fri, 02 Jan 2026 05:00:10 GMT", "Fri, 02 Jan 2026 05:00:00 GMT", 10 * time.Second},
		"where the handler is forbidden": {401, "5", "", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				if tc.date != "" {
					w.Header().Set("Date", tc.date)
				}
				w.Header().Set("Retry-After", tc.value)
				w.WriteHeader(tc.status)
			}))
			defer server.Close()
			handlerURL, err := url.Parse(server.URL)
			require.NoError(t, err)
			d := delivery.New(delivery.Options{
				HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
			})
			var u *delivery.Unavailable
			require.ErrorAs(t, d.Deliver(t.Context(), message), &u)
			require.Equal(t, tc.want, u.RetryAfter)
		})
	}
}

// A handler that nothing reached has not refused anything.
func TestAHandlerThatCannotBeReached(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	noTLS := httptest.NewServer(http.NotFoundHandler())
	defer noTLS.Close()
	unknown := httptest.NewTLSServer(http.NotFoundHandler())
	defer unknown.Close()
	unknown.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	for name, address := range map[string]string{
		"nobody listens":          "http://" + closed.Addr().String(),
		"no such host":            "http://no-such-host.invalid",
		"no TLS there":            strings.Replace(noTLS.URL, "http", "https", 1),
		"a certificate of nobody": unknown.URL,
	} {
		t.Run(name, func(t *testing.T) {
			handlerURL, err := url.Parse(address)
			require.NoError(t, err)
			d := delivery.New(delivery.Options{HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.DiscardHandler)})
			err = d.Deliver(t.Context(), message)
			require.Equal(t, unavailable, kindOf(err), err)
		})
	}
}

// What reached the handler counts: a message that kills it must not come for ever.
func TestAHandlerThatDiesOfAMessageHasFailed(t *testing.T) {
	d := post(t, io.Discard, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	err := d.Deliver(t.Context(), message)
	require.Equal(t, failed, kindOf(err), err)
	require.Error(t, err)
}

func TestATimeOutIsAFailure(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{})
	defer close(release)
	d := post(t, io.Discard, func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})
	err := deliverUntil(t, d, message, begun)
	require.Equal(t, failed, kindOf(err), err)
}

package delivery_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

var message = source.Message{Key: "orders", ID: "1-0", Payload: "hello", Deliveries: 1}

func post(t *testing.T, log io.Writer, answer http.HandlerFunc) *delivery.Deliverer {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	handlerURL, err := url.Parse(server.URL)
	require.NoError(t, err)
	handlerURL.User, handlerURL.RawQuery = url.UserPassword("user", "hunter2"), "token=hunter2"
	return delivery.New(delivery.Options{
		HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
}

func TestPost(t *testing.T) {
	d := post(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != "hello" ||
			r.Header.Get("X-Message-ID") != "1-0" || r.Header.Get("X-Channel") != "orders" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	require.NoError(t, d.Deliver(t.Context(), message))
}

func TestWhatCountsAsDone(t *testing.T) {
	for status, done := range map[int]bool{200: true, 202: true, 204: true, 302: false, 400: false, 404: false, 500: false, 503: false} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			d := post(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = w.Write([]byte("why"))
			})
			err := d.Deliver(t.Context(), message)
			require.Equal(t, done, err == nil, err)
			if err != nil {
				require.NotContains(t, err.Error(), "hunter2")
			}
		})
	}
}

// What is told of a handler that does not answer goes to logs, traces and dead letters.
func TestAHandlerThatHangsUpIsToldWithoutSecrets(t *testing.T) {
	d := post(t, io.Discard, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	err := d.Deliver(t.Context(), message)
	require.ErrorContains(t, err, "127.0.0.1")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestHandlerIsCutShort(t *testing.T) {
	release := make(chan struct{})
	d := post(t, io.Discard, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := d.Deliver(ctx, message)
	close(release)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestOnlyChangesOfTheHandlerAreLogged(t *testing.T) {
	var log bytes.Buffer
	status := http.StatusOK
	d := post(t, &log, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
	for _, next := range []int{200, 500, 500, 503, 200, 200, 500, 200, 500} {
		status = next
		_ = d.Deliver(t.Context(), message) // its result is another test's
	}
	require.Equal(t, 1, strings.Count(log.String(), "the handler fails"), log.String())
	require.Equal(t, 1, strings.Count(log.String(), "works again"), log.String())
	require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
}

// Where some messages fail and others don't, each answer would be news.
func TestSomeFailingMessagesDoNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	status := http.StatusOK
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	handlerURL, err := url.Parse(server.URL)
	require.NoError(t, err)
	d := delivery.New(delivery.Options{
		HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now },
	})
	for range 120 {
		now = now.Add(time.Second)
		for _, status = range []int{200, 500, 422} {
			_ = d.Deliver(t.Context(), message) // its result is another test's
		}
	}
	require.Equal(t, 2, strings.Count(log.String(), "the handler fails"), log.String())
	require.Equal(t, 2, strings.Count(log.String(), "works again"), log.String())
}

func TestPayloadIsLoggedOnlyForDebuggingAndCutShort(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelInfo: 0, slog.LevelDebug: 256} {
		t.Run(level.String(), func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
			d := delivery.New(delivery.Options{Log: logger})
			require.NoError(t, d.Deliver(t.Context(), source.Message{ID: "1", Payload: strings.Repeat("#", 1000)}))
			require.Equal(t, want, strings.Count(log.String(), "#"))
			require.Contains(t, log.String(), "bytes=1000")
		})
	}
}

func TestWorkTimeIsCutShort(t *testing.T) {
	d := delivery.New(delivery.Options{WorkTime: time.Hour, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Deliver(ctx, message), context.Canceled)
}

// Where there was no connection the message is not to blame; where one ended, it may be.
func TestAHandlerThatCantBeReached(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}))
	handlerURL, err := url.Parse(server.URL)
	require.NoError(t, err)
	var log bytes.Buffer
	d := delivery.New(delivery.Options{HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	err = d.Deliver(t.Context(), message)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*delivery.Unavailable), "it broke off")
	server.Close()
	require.ErrorAs(t, d.Deliver(t.Context(), message), new(*delivery.Unavailable))
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
}

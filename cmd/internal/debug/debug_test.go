package debug_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/debug"
)

func call(t *testing.T, handler http.Handler, method, path, body string) (int, string) {
	recorder := httptest.NewRecorder()
	request, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	require.NoError(t, err)
	handler.ServeHTTP(recorder, request)
	return recorder.Code, strings.TrimSpace(recorder.Body.String())
}

func TestLogLevel(t *testing.T) {
	var out bytes.Buffer
	level := &slog.LevelVar{}
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
	handler := debug.Server{Level: level, Logger: logger}.Handler()
	_, now := call(t, handler, http.MethodGet, "/log-level", "")
	assert.Equal(t, "info", now)
	code, now := call(t, handler, http.MethodPut, "/log-level", "debug\n")
	assert.Equal(t, http.StatusOK, code)
	assert.Equal(t, "debug", now)
	assert.Contains(t, out.String(), "from=info to=debug")
	logger.Debug("details")
	assert.Contains(t, out.String(), "details")
	for _, wrong := range []string{"loud", "", strings.Repeat("x", 1000)} {
		code, text := call(t, handler, http.MethodPut, "/log-level", wrong)
		assert.Equal(t, http.StatusBadRequest, code)
		assert.Contains(t, text, "send debug, info, warn or error")
	}
	_, now = call(t, handler, http.MethodGet, "/log-level", "")
	assert.Equal(t, "debug", now)
}

func TestProfilesAreServedIfTheyAreWanted(t *testing.T) {
	code, _ := call(t, debug.Server{Level: &slog.LevelVar{}}.Handler(), http.MethodGet, "/debug/pprof/", "")
	assert.Equal(t, http.StatusNotFound, code)
	code, text := call(t, debug.Server{Level: &slog.LevelVar{}, Profiles: true}.Handler(), http.MethodGet, "/debug/pprof/", "")
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, text, "goroutine")
}

func TestAddress(t *testing.T) {
	for _, address := range []string{debug.Off, "127.0.0.1:6060", "127.1.2.3:1", "[::1]:6060"} {
		assert.NoError(t, debug.Check(address))
	}
	for _, address := range []string{"", ":6060", "0.0.0.0:6060", "10.0.0.1:6060", "localhost.example:6060", "6060"} {
		assert.ErrorContains(t, debug.Check(address), "--debug-bind-address is")
	}
}

func TestStart(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	s := debug.Server{Address: address, Level: &slog.LevelVar{}, Logger: slog.New(slog.DiscardHandler)}
	require.ErrorContains(t, s.Start(t.Context()), "--debug-bind-address: ", "the address is in use")
	require.NoError(t, free.Close())
	ctx, stop := context.WithCancel(t.Context())
	require.NoError(t, s.Start(ctx))
	response, err := http.Get("http://" + address + "/log-level")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, "info\n", string(text))
	stop()
	assert.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/log-level")
		return err != nil || response.Body.Close() != nil
	}, time.Minute, 10*time.Millisecond)
	s.Address = debug.Off
	assert.NoError(t, s.Start(t.Context()))
}

// Package debug serves what helps somebody who looks into a running program: its log level, which may
// be changed without a restart, and profiles. It listens on loopback alone, so only who may forward a
// port to the pod, or run something in it, gets there.
package debug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// Off is the address that switches the server off.
const Off = "0"

// Check refuses an address that others could reach.
func Check(address string) error {
	if address == Off {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--debug-bind-address is %q: it must be host:port, for example 127.0.0.1:6060, or 0 for none", address)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--debug-bind-address is %q: it must be a loopback address such as 127.0.0.1:6060, because everybody who reaches it may use it", address)
	}
	return nil
}

// Server is what Start serves.
type Server struct {
	Address  string         // as Check permits it
	Level    *slog.LevelVar // the log's
	Profiles bool           // serve /debug/pprof/
	Logger   *slog.Logger
}

// Start serves until the context ends. The error is one of listening.
func (s Server) Start(ctx context.Context) error {
	if s.Address == Off {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("--debug-bind-address: %w", err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody is promised an answer at shutdown
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Logger.Error("the debug server ended", "error", err)
		}
	}()
	return nil
}

// maxLevel is more than the longest level is, in bytes.
const maxLevel = 32

// Handler answers GET and PUT of /log-level, and the profiles if they are wanted.
func (s Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.ToLower(s.Level.Level().String()))
	})
	mux.HandleFunc("PUT /log-level", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxLevel))
		var level slog.Level
		if err == nil {
			err = level.UnmarshalText([]byte(strings.TrimSpace(string(text))))
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("the level is %q: send debug, info, warn or error", text), http.StatusBadRequest)
			return
		}
		if before := s.Level.Level(); before != level {
			s.Level.Set(level)
			// Warn, so that it shows whatever the level is, but error.
			s.Logger.Warn("log level changed", "from", strings.ToLower(before.String()), "to", strings.ToLower(level.String()))
		}
		fmt.Fprintln(w, strings.ToLower(level.String()))
	})
	if s.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

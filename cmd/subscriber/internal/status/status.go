// Package status serves what a worker tells about itself over HTTP: whether it lives, whether
// it is ready, and its metrics.
package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The environment variables with the ports.
const (
	EnvHealthPort  = "HEALTH_PORT"
	EnvMetricsPort = "METRICS_PORT"
)

// Options say what is served, and where.
type Options struct {
	// HealthPort serves /healthz and /readyz; 0: on a port that is free.
	HealthPort int
	// HealthOptional is set if nobody chose HealthPort. If the port is taken, by a sidecar of the
	// pod for example, health is not served there, and the log says so.
	HealthOptional bool
	// MetricsPort serves /metrics, and what HealthPort does; 0: nothing. It may be the same.
	MetricsPort int
	// Metrics answers /metrics.
	Metrics http.Handler
	// Ready says why the worker is not ready; nil: it is. It is for concurrent use.
	Ready func() error
	Log   *slog.Logger
}

const (
	headerTimeout = 5 * time.Second
	closeTimeout  = time.Second
)

// Serve serves until ctx ends. Its error names the port that can't be listened on.
func Serve(ctx context.Context, o Options) error {
	health := http.NewServeMux()
	o.addHealth(health)
	withMetrics := http.NewServeMux()
	o.addHealth(withMetrics)
	withMetrics.Handle("GET /metrics", o.Metrics)

	var servers []*server
	var err error
	add := func(env string, port int, handler http.Handler) {
		if err != nil {
			return
		}
		var s *server
		if s, err = listen(ctx, env, port, handler); err == nil {
			servers = append(servers, s)
		}
	}
	if o.MetricsPort == 0 || o.MetricsPort != o.HealthPort {
		add(EnvHealthPort, o.HealthPort, health)
		if err != nil && o.HealthOptional {
			o.Log.Warn("health is not served", "error", err)
			err = nil
		}
	}
	if o.MetricsPort != 0 {
		add(EnvMetricsPort, o.MetricsPort, withMetrics)
	}
	if err != nil {
		for _, s := range servers {
			_ = s.listener.Close()
		}
		return err
	}
	return serveAll(ctx, servers, o.Log)
}

// addHealth adds what probes ask. Alive is a process that answers, whatever is outside of
// it: to restart it would mend nothing there. Ready is one that takes messages.
func (o Options) addHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

type server struct {
	http.Server
	listener net.Listener
	name     string // for the log
}

func listen(ctx context.Context, env string, port int, handler http.Handler) (*server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%s is %d: %w: set it to a free port", env, port, err)
	}
	name := "health"
	if env == EnvMetricsPort {
		name = "metrics"
	}
	return &server{name: name, listener: listener, Server: http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}}, nil
}

// serveAll serves until ctx ends, or one of the servers fails.
func serveAll(ctx context.Context, servers []*server, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var serving sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		log.Info("serving "+s.name, "address", s.listener.Addr().String())
		serving.Go(func() {
			defer stop()
			if err := s.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				errs[i] = err
			}
		})
	}
	<-ctx.Done()
	for _, s := range servers {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		_ = s.Shutdown(closing) // a scrape or a probe that is cut short is repeated
		cancel()
	}
	serving.Wait()
	return errors.Join(errs...)
}

// Command scaler is the gRPC external scaler: it answers KEDA from the depth of queues on
// DragonFly and Redis.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/debug"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/tracing"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// version is set by the build.
var version string

func main() {
	program.Main(func(ctx context.Context) int { return start(ctx, os.Args[1:]) })
}

// start runs the program with its arguments and returns the exit code.
func start(ctx context.Context, args []string) int {
	options, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "scaler:", err)
		return program.Usage
	case options.version:
		fmt.Println(program.Version(version))
		return 0
	}
	if options.checkAddress != "" {
		if err := check(ctx, options.checkAddress, options.tlsCertDir); err != nil {
			fmt.Fprintln(os.Stderr, "scaler:", err)
			return program.Failed
		}
		fmt.Printf("the scaler at %s serves\n", options.checkAddress)
		return 0
	}
	level := &slog.LevelVar{}
	level.Set(options.logLevel)
	logger := program.NewLogger(os.Stderr, level, options.logFormat)
	// The libraries log through the same handler.
	log.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetSlogLogger(logger)
	program.CatchLibraries(logger)
	redis.SetLogger(quietRedis{logger})
	if err := (debug.Server{Address: options.debugAddress, Level: level, Profiles: options.profiles, Logger: logger}).Start(ctx); err != nil {
		logger.Error("scaler stopped", "error", err)
		return program.Failed
	}
	if err := run(lingering(ctx, options.shutdownDelay, logger), options, logger); err != nil {
		logger.Error("scaler stopped", "error", err)
		return program.Failed
	}
	return 0
}

// lingering is a context that ends by the delay after ctx. KEDA's gRPC client looks up the
// scalers' addresses when a connection breaks, but at most every 30 s (grpc-go,
// internal/resolver/dns, MinResolutionInterval). If all scalers were replaced within that time,
// it would know none.
func lingering(ctx context.Context, delay time.Duration, logger *slog.Logger) context.Context {
	if delay <= 0 {
		return ctx
	}
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		logger.Info("scaler stops soon", "in", delay.String())
		time.AfterFunc(delay, end)
	})
	return lasting
}

// run serves until ctx ends. If one part fails, the others end, too.
func run(ctx context.Context, options options, logger *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), metrics.NewBuildInfo("scaler", version))

	var tlsConfig *tls.Config
	if options.tlsCertDir != "" {
		var err error
		if tlsConfig, err = scaler.TLSFromDir(options.tlsCertDir, logger, registry); err != nil {
			return fmt.Errorf("--tls-cert-dir: %w", err)
		}
		registry.MustRegister(metrics.NewCertificateExpiry(options.tlsCertDir))
	}
	traces, err := tracing.Start(ctx, "pubsub-scaler", program.Version(version), logger)
	if err != nil {
		return err
	}
	defer traces.Stop(ctx)
	cluster, err := startCluster(ctx, options, logger, cancel)
	if err != nil {
		return err
	}
	registry.MustRegister(cluster.namespaces.Metric("scaler"))
	samples := sampling.NewMetrics(registry)
	pool := sampling.NewPool(sampling.Options{ //nolint:contextcheck // Close ends it, after the calls in work
		Metrics:                samples,
		MaxServersPerNamespace: options.maxServers,
		Options:                broker.Options{Logger: logger, Secrets: cluster.secrets, Allowed: options.allowedBrokers},
	})
	defer pool.Close()
	samples.Watch(registry, pool)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", options.grpcAddress)
	if err != nil {
		return fmt.Errorf("--grpc-bind-address: %w", err)
	}
	service := scaler.New(scaler.Options{Pool: pool, Targets: cluster.targets, Callers: &options.callers, Logger: logger})
	server := scaler.NewServer(service, tlsConfig, registry, traces.ServerOptions()...)
	probes, err := startHTTP(ctx, options, registry, cluster.ready, cancel)
	if err != nil {
		return err
	}
	go func() {
		cluster.wait(ctx)
		server.SetReady(ctx.Err() == nil)
	}()
	logger.Info("scaler started", "version", program.Version(version), "grpc", listener.Addr().String(),
		"tls", tlsConfig != nil, "cluster", !options.withoutCluster)
	if err := server.Serve(ctx, listener); err != nil {
		return err
	}
	probes.close()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	logger.Info("scaler stopped")
	return nil
}

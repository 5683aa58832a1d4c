// Command controller turns PubSubChannels into Deployments and KEDA ScaledObjects.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/debug"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/tracing"
	"github.com/jawaracloud/pubsub-operator/translator"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// version is set by the build.
var version string

const (
	// leaderElectionID is the Lease's name.
	leaderElectionID = "pubsub-operator-controller"
	// kedaInterval is how often a missing KEDA is looked for.
	kedaInterval = 5 * time.Second
	// syncCheck bounds the readiness check's look at the caches.
	syncCheck = time.Second
)

func main() {
	program.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run is the whole program, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "controller: %v\n", err)
		return program.Usage
	case o.version:
		fmt.Fprintln(stdout, program.Version(version))
		return 0
	}
	level := &slog.LevelVar{}
	level.Set(o.logLevel)
	logger := newLogger(o, level, stderr)
	if err := (debug.Server{Address: o.debugAddress, Level: level, Profiles: o.profiles, Logger: logger}).Start(ctx); err != nil {
		logger.Error("the controller ended", "error", oneLine(err))
		return program.Failed
	}
	if err := serve(ctx, o, logger); err != nil {
		logger.Error("the controller ended", "error", oneLine(err))
		return program.Failed
	}
	return 0
}

// newLogger makes one structured log of ours and the libraries'.
func newLogger(o options, level slog.Leveler, output io.Writer) *slog.Logger {
	logger := program.NewLogger(output, level, o.logFormat)
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetSlogLogger(logger)
	program.CatchLibraries(logger)
	return logger
}

// serve runs the controller until the context ends.
func serve(ctx context.Context, o options, logger *slog.Logger) error {
	traces, err := tracing.Start(ctx, "pubsub-controller", program.Version(version), logger)
	if err != nil {
		return err
	}
	defer traces.Stop(ctx)
	restConfig, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the Kubernetes API (KUBECONFIG, or a pod's service account): %w", err)
	}
	restConfig.UserAgent = "pubsub-operator/" + program.Version(version)
	namespaces := watched.New(o.watchNamespaces, clock.RealClock{}, logger)
	caches := translator.NewCaches(restConfig, namespaces)
	mgr, err := newManager(restConfig, caches, namespaces, o)
	if err != nil {
		return err
	}
	files := o.source(mgr.GetAPIReader())
	if o.scalerCertDir != "" { // a wrong folder is an error at start
		if _, err := (&sourceTLS{files: files}).config(ctx); err != nil {
			return err
		}
	}
	explainer, err := newExplainer(o.scalerAddress, files, traces.DialOptions()...)
	if err != nil {
		return err
	}
	defer explainer.close()
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading the host's name: %w", err)
	}
	err = translator.Setup(mgr, translator.Options{ //nolint:contextcheck // what it adds gets the manager's context
		Caches:                  caches,
		Scaler:                  build.ScalerRef{Address: o.scalerAddress, TLS: o.tls(), AuthenticationRef: o.scalerAuthentication},
		KEDASecret:              o.kedaSecret,
		Limits:                  o.limits,
		Workers:                 o.workers,
		Explainer:               explainer,
		StatusInterval:          o.statusInterval,
		StatusHeartbeat:         o.statusHeartbeat,
		KEDAInterval:            kedaInterval,
		MaxConcurrentReconciles: o.concurrency,
		Instance:                instance,
		Clock:                   clock.RealClock{},
		Registerer:              ctrlmetrics.Registry,
		Tracer:                  traces.Tracer(),
	})
	if err != nil {
		return err
	}
	if err := addRotator(mgr, o); err != nil {
		return err
	}
	if err := registerMetrics(ctx, ctrlmetrics.Registry, files); err != nil {
		return err
	}
	logger.Info("starting", "version", program.Version(version), "scalerAddress", o.scalerAddress, "scalerTLS", o.tls(), "issuesCertificates", o.issue.on(),
		"workerImage", o.workers.Image, "watchNamespaces", cmp.Or(strings.Join(o.watchNamespaces, ","), "all"))
	return mgr.Start(ctx)
}

// registerMetrics adds what is not the translator's.
func registerMetrics(ctx context.Context, registerer prometheus.Registerer, files source) error {
	collectors := []prometheus.Collector{metrics.NewBuildInfo("controller", version)}
	if files != nil {
		collectors = append(collectors, metrics.NewCertificateExpiryOf(func() map[string][]byte {
			found, _ := files(ctx) // what can't be read is absent; who uses it tells
			return found
		}))
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

func newManager(restConfig *rest.Config, caches *translator.Caches, namespaces *watched.Namespaces, o options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := translator.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cacheOptions, err := caches.Options()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(restConfig, manager.Options{
		Scheme:                  scheme,
		Cache:                   cacheOptions,
		NewCache:                caches.NewCache,
		Metrics:                 metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:  o.probeAddress,
		LeaderElection:          o.leaderElect,
		LeaderElectionID:        leaderElectionID,
		LeaderElectionNamespace: o.leaderNamespace,
		// The process ends as soon as the manager does, so the next leader need not wait.
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("building the manager (is the PubSubChannel CRD installed?): %w", err)
	}
	// Liveness depends on nothing outside: a restart would mend no one else's failure.
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("adding the liveness check: %w", err)
	}
	err = mgr.AddReadyzCheck("caches", func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), syncCheck)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches of the Kubernetes API are not filled yet")
		}
		return namespaces.Ready()
	})
	if err != nil {
		return nil, fmt.Errorf("adding the readiness check: %w", err)
	}
	return mgr, nil
}

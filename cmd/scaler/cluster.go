package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// clusterView is the cache of what the scaler reads in the cluster.
type clusterView struct {
	targets    scaler.Targets      // nil without a cluster
	secrets    broker.Secrets      // nil without a cluster
	namespaces *watched.Namespaces // nil: all
	synced     atomic.Bool
	done       chan struct{} // closed once synced
}

// ready is the readiness check.
func (c *clusterView) ready() error {
	if c.synced.Load() {
		return nil
	}
	if err := c.namespaces.Ready(); err != nil {
		return err
	}
	return errors.New("the caches of the Kubernetes API are not filled yet; are KEDA's CRDs installed, and may the scaler list them?")
}

func (c *clusterView) wait(ctx context.Context) {
	select {
	case <-c.done:
	case <-ctx.Done():
	}
}

// startCluster starts filling the cache; a failure of it ends the process by cancel.
func startCluster(ctx context.Context, options options, logger *slog.Logger, cancel context.CancelCauseFunc) (*clusterView, error) {
	view := &clusterView{done: make(chan struct{}), namespaces: watched.New(options.namespaces, clock.RealClock{}, logger)}
	if options.withoutCluster {
		view.synced.Store(true)
		close(view.done)
		return view, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = options.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the Kubernetes API (or use --without-cluster): %w", err)
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	// Each call reads three objects, and the scaler changes none: it is given the cache's own.
	shared := true
	objects, err := cache.New(config, cache.Options{
		Scheme: scheme, DefaultTransform: slim, DefaultUnsafeDisableDeepCopy: &shared,
		DefaultNamespaces: view.namespaces.Configs(slim), NewInformer: view.namespaces.NewInformer,
	})
	if err != nil {
		return nil, fmt.Errorf("building the cache of the Kubernetes API: %w", err)
	}
	objects = view.namespaces.Guard(objects)
	view.targets = target.NewCluster(objects, options.namespaces...)
	if view.secrets, err = newSecretReader(config); err != nil {
		return nil, err
	}
	go func() {
		if err := objects.Start(ctx); err != nil {
			cancel(fmt.Errorf("cache of the Kubernetes API: %w", err))
		}
	}()
	go view.fill(ctx, objects)
	return view, nil
}

// newScheme knows the kinds that the scaler reads.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{target.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	return scheme, nil
}

// fill starts the informers, one after the other. KEDA's CRDs may be installed later: it
// goes on by itself once they are. Of watched namespaces one that can be read is enough.
func (c *clusterView) fill(ctx context.Context, objects cache.Cache) {
	for _, object := range []client.Object{&target.ScaledObject{}, &autoscalingv2.HorizontalPodAutoscaler{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		for {
			if _, err := objects.GetInformer(ctx, object); err == nil {
				break
			}
			if !pause(ctx, 5*time.Second) {
				return
			}
		}
	}
	if !objects.WaitForCacheSync(ctx) {
		return
	}
	for c.namespaces.Ready() != nil {
		if !pause(ctx, time.Second) {
			return
		}
	}
	c.synced.Store(true)
	close(c.done)
}

// pause reports whether the context lasts that long.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}

// slim drops what no decision needs, so that a cached object costs little.
func slim(object any) (any, error) {
	if meta, ok := object.(metav1.Object); ok {
		meta.SetManagedFields(nil)
		meta.SetAnnotations(nil)
		meta.SetLabels(nil)
	}
	switch object := object.(type) {
	case *appsv1.Deployment:
		object.Spec.Template = corev1.PodTemplateSpec{}
		object.Status = appsv1.DeploymentStatus{}
	case *appsv1.StatefulSet:
		object.Spec.Template = corev1.PodTemplateSpec{}
		object.Spec.VolumeClaimTemplates = nil
		object.Status = appsv1.StatefulSetStatus{}
	case *autoscalingv2.HorizontalPodAutoscaler:
		object.Spec.Metrics, object.Status.CurrentMetrics = nil, nil
		object.Status.Conditions = slices.DeleteFunc(object.Status.Conditions, func(condition autoscalingv2.HorizontalPodAutoscalerCondition) bool {
			return condition.Type != autoscalingv2.ScalingActive
		})
	}
	return object, nil
}

// httpServers serve metrics and probes.
type httpServers []*http.Server

func (s httpServers) close() {
	for _, server := range s {
		_ = server.Close() // nobody is promised an answer at shutdown
	}
}

// startHTTP starts the metrics and probe servers; a failure ends the process by cancel.
func startHTTP(ctx context.Context, options options, registry *prometheus.Registry, ready func() error, cancel context.CancelCauseFunc) (httpServers, error) {
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	probes.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	var servers httpServers
	for _, s := range []struct {
		flag, address string
		handler       http.Handler
	}{{"metrics-bind-address", options.metricsAddress, metrics}, {"health-probe-bind-address", options.probeAddress, probes}} {
		if s.address == off {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
		if err != nil {
			servers.close()
			return nil, fmt.Errorf("--%s: %w", s.flag, err)
		}
		server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("--%s: %w", s.flag, err))
			}
		}()
	}
	return servers, nil
}

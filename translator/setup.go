package translator

import (
	"context"
	"errors"
	"fmt"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// reconcileTimeout bounds one reconcile: a cache that can't be filled, because a
// permission is missing for example, must not hold a worker for ever.
const reconcileTimeout = time.Minute

// Options are the settings of the controller. All fields but AuthenticationRef and TLS of
// Scaler, KEDASecret, Limits, StatusHeartbeat, Registerer and Tracer are required.
type Options struct {
	// Caches are those of which the manager's cache has the Options, and that have made it.
	Caches *Caches
	Scaler build.ScalerRef
	// KEDASecret is the Secret with KEDA's certificates for the scaler; empty: none is
	// followed, so that after a renewal KEDA has to be restarted.
	KEDASecret types.NamespacedName
	Limits     limits.Limits
	// Workers is what channels get that name no image.
	Workers   plan.WorkerDefaults
	Explainer Explainer
	// StatusInterval is how often the scaler is asked about each channel, give or take a
	// fifth.
	StatusInterval time.Duration
	// StatusHeartbeat is how old a channel's status.observedTime may become, if nothing else is
	// to be written: each is written anew when four to five fifths of it are over. 0: as old as
	// it likes, and an idle channel costs no write.
	StatusHeartbeat time.Duration
	// KEDAInterval is how often a missing KEDA is looked for.
	KEDAInterval time.Duration
	// MaxConcurrentReconciles is how many channels are worked on at once.
	MaxConcurrentReconciles int
	// Instance names this process in events, by its pod's name for example.
	Instance string
	// Clock tells the time of status and events, and paces the questions.
	Clock clock.WithTicker
	// Registerer gets the metrics; nil: nobody.
	Registerer prometheus.Registerer
	// Tracer begins a trace for each reconcile and each question to the scaler; nil: there are none.
	Tracer trace.Tracer
	// SkipNameValidation allows several controllers in one process, as tests have.
	SkipNameValidation bool
}

// AddToScheme adds all types that the controller reads and writes.
func AddToScheme(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{v1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme, eventsv1.AddToScheme, kedav1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("building the scheme: %w", err)
		}
	}
	return nil
}

// Setup adds the controller, and what it needs, to a manager whose cache has the options of
// Caches. It works with and without KEDA's CRDs, and starts to autoscale when they appear.
func Setup(mgr manager.Manager, options Options) error {
	if err := errors.Join(options.Limits.Check(), options.Workers.Check()); err != nil {
		return err
	}
	scaledObjects, err := newScaledObjectCache(mgr, options.Caches)
	if err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &policyv1.PodDisruptionBudget{}, apply.IndexForeign, foreignValues); err != nil {
		return fmt.Errorf("building the index of PodDisruptionBudgets: %w", err)
	}
	r := newReconciler(mgr, options, scaledObjects)
	if err := r.register(options.Registerer, mgr, options.Caches.namespaces); err != nil {
		return err
	}
	runnables := []manager.Runnable{scaledObjects, manager.RunnableFunc(r.observer.Start)}
	if r.certificates != nil {
		runnables = append(runnables, manager.RunnableFunc(r.certificates.Start))
	}
	c, err := builder.ControllerManagedBy(mgr).
		Named("pubsubchannel").
		For(&v1.PubSubChannel{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, annotationsChanged()))).
		Owns(&appsv1.Deployment{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		// Its status, which changes with every pod, is no business of ours.
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(budgetChanged())).
		Watches(&policyv1.PodDisruptionBudget{}, handler.EnqueueRequestsFromMapFunc(r.channelsSelected), builder.WithPredicates(budgetChanged())).
		WatchesRawSource(source.Func(r.observer.deliver)).
		WithOptions(controllerOptions(options)).
		Build(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	if r.certificates != nil {
		if err := c.Watch(source.Func(r.certificates.deliver(r.enqueueAll))); err != nil {
			return fmt.Errorf("following KEDA's certificates: %w", err)
		}
	}
	for _, runnable := range runnables {
		if err := mgr.Add(runnable); err != nil {
			return fmt.Errorf("adding to the manager: %w", err)
		}
	}
	return r.setupKEDA(mgr, c, scaledObjects, options.KEDAInterval)
}

func controllerOptions(options Options) controller.Options {
	o := queueOptions(options.StatusInterval)
	o.MaxConcurrentReconciles, o.ReconciliationTimeout = options.MaxConcurrentReconciles, reconcileTimeout
	o.SkipNameValidation = &options.SkipNameValidation
	return o
}

// queueOptions are those of the order in which channels have their turns.
func queueOptions(interval time.Duration) controller.Options {
	return controller.Options{RateLimiter: newRetries(interval), NewQueue: newInTurn}
}

func newReconciler(mgr manager.Manager, options Options, scaledObjects cache.Cache) *Reconciler {
	live := mgr.GetAPIReader()
	r := &Reconciler{
		client:        mgr.GetClient(),
		scaledObjects: scaledObjects,
		observer:      newObserver(options.Explainer, options.StatusInterval, options.Clock),
		workers:       options.Workers,
		instance:      options.Instance,
		heartbeat:     heartbeat(options.StatusHeartbeat),
		kedaLoss:      kedaLoss{interval: options.KEDAInterval},
		now:           options.Clock.Now,
		log:           mgr.GetLogger().WithName("pubsubchannel"),
		counters:      newCounters(),
		tracer:        options.Tracer,
	}
	r.observer.tracer = options.Tracer
	if options.KEDASecret.Name != "" {
		r.certificates = newCertificates(live, options.KEDASecret, options.Clock, r.log)
	}
	r.podLooks = newPodLooks(live, r.observer.pause)
	r.children = &apply.Applier{
		Client: r.client, Live: live, ScaledObjects: scaledObjects, Owned: &options.Caches.owned,
		Scaler: options.Scaler, Certificates: r.certificates.hashFor, Limits: options.Limits, Now: r.now, Warn: r.warn,
	}
	return r
}

// newScaledObjectCache makes a cache of its own, because the manager's can't be told of a
// resource that is not there yet. It starts no informer before it is first read.
func newScaledObjectCache(mgr manager.Manager, caches *Caches) (cache.Cache, error) {
	cached := caches.scaledObjectOptions()
	cached.HTTPClient, cached.Scheme, cached.Mapper = mgr.GetHTTPClient(), mgr.GetScheme(), mgr.GetRESTMapper()
	scaledObjects, err := cache.New(mgr.GetConfig(), cached)
	if err != nil {
		return nil, fmt.Errorf("building the cache of ScaledObjects: %w", err)
	}
	return caches.namespaces.Guard(scaledObjects), nil
}

// setupKEDA watches ScaledObjects, at once or as soon as there are any.
func (r *Reconciler) setupKEDA(mgr manager.Manager, c controller.Controller, scaledObjects cache.Cache, interval time.Duration) error {
	watch := func() error {
		owner := handler.TypedEnqueueRequestForOwner[*kedav1alpha1.ScaledObject](
			mgr.GetScheme(), mgr.GetRESTMapper(), &v1.PubSubChannel{}, handler.OnlyControllerOwner())
		err := c.Watch(source.Kind(scaledObjects, &kedav1alpha1.ScaledObject{}, owner,
			predicate.TypedResourceVersionChangedPredicate[*kedav1alpha1.ScaledObject]{}))
		if err != nil {
			return fmt.Errorf("watching ScaledObjects: %w", err)
		}
		r.kedaInstalled.Store(true)
		return nil
	}
	installed, err := hasScaledObjects(mgr.GetRESTMapper())
	if err != nil {
		return err
	}
	if installed {
		return watch()
	}
	return mgr.Add(&kedaWaiter{
		mapper:   mgr.GetRESTMapper(),
		interval: interval,
		log:      r.log,
		start: func(ctx context.Context) error {
			if err := watch(); err != nil {
				return err
			}
			return c.Watch(source.Func(r.enqueueAll))
		},
	})
}

// enqueueAll has every channel reconciled; as a source of the controller it gets at the
// queue.
func (r *Reconciler) enqueueAll(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	var channels v1.PubSubChannelList
	if err := r.client.List(ctx, &channels); err != nil {
		return fmt.Errorf("listing PubSubChannels: %w", err)
	}
	for i := range channels.Items {
		queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&channels.Items[i])})
	}
	return nil
}

package translator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// Server-side apply is a patch, and a create where the object is not there yet. An API
// server with OwnerReferencesPermissionEnforcement, as OpenShift's, asks of who sets
// blockOwnerDeletion that they may update finalizers, and of who gives an object another
// owner, as adoption does, that they may delete it. Leases, and events about them, are of
// leader election.
//
// +kubebuilder:rbac:groups=pubsub.jawaracloud.io,resources=pubsubchannels,verbs=list;watch
// +kubebuilder:rbac:groups=pubsub.jawaracloud.io,resources=pubsubchannels/status,verbs=patch
// +kubebuilder:rbac:groups=pubsub.jawaracloud.io,resources=pubsubchannels/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=keda.sh,resources=scaledobjects,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create
// +kubebuilder:rbac:groups="",namespace=system,resources=events,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=system,resources=leases,verbs=get;create;update

// conflictRetry is when an object that changed under our hands is looked at again; by then
// the cache has its new state.
const conflictRetry = 200 * time.Millisecond

// unreadableRetry is when a channel is looked at again whose namespace can't be read, or not all of
// it. The look costs no request.
const unreadableRetry = 5 * time.Second

// maxRetry is when, at the latest, anything that failed is tried again.
const maxRetry = time.Minute

// Reconciler makes a Deployment and a ScaledObject of each PubSubChannel, and tells in its
// status what became of them.
type Reconciler struct {
	client        client.Client // reads channels and Deployments from the cache
	scaledObjects client.Reader // reads ScaledObjects from a cache of their own
	observer      *observer
	podLooks      *podLooks
	children      *apply.Applier
	certificates  *certificates // nil: KEDA's are not followed
	workers       plan.WorkerDefaults
	instance      string // who we are in events
	now           func() time.Time
	log           logr.Logger
	replaced      replacedVersions
	leftovers     leftovers
	heartbeat     heartbeat
	pruned        prunedStatuses
	// kedaInstalled becomes true once ScaledObjects are watched.
	kedaInstalled atomic.Bool
	kedaLoss      kedaLoss
	counters      *counters
	warnings      lastWarnings
	tracer        trace.Tracer // nil: nothing is traced
}

// reconcile brings one channel's children and status up to date.
func (r *Reconciler) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	channel := &v1.PubSubChannel{}
	if err := r.client.Get(ctx, request.NamespacedName, channel); err != nil {
		if apierrors.IsNotFound(err) {
			r.observer.forget(request.NamespacedName)
			r.podLooks.forget(request.NamespacedName)
			r.replaced.forget(request.NamespacedName)
			r.pruned.forget(request.NamespacedName)
			r.counters.forget(request.NamespacedName)
			r.warnings.forget(request.NamespacedName)
			return r.afterDeletion(ctx, request.NamespacedName)
		}
		if errors.Is(err, watched.ErrUnreadable) { // the log tells of the namespace once, for all of its channels
			return reconcile.Result{RequeueAfter: unreadableRetry}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading PubSubChannel %s: %w", request, err)
	}
	if r.replaced.is(request.NamespacedName, channel.ResourceVersion) {
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	}
	r.counters.begin(request.NamespacedName)
	channel.Status = r.pruned.whole(identityOf(channel), channel.Status)
	p := r.workers.Plan(channel)
	channel = p.Channel
	seen, err := r.bringUpToDate(ctx, p)
	switch {
	case err == nil && seen.Problem == nil:
		again := status.Sooner(status.LookAgain(p, seen, seen.At), seen.Workers.Again, r.heartbeat.next(channel.Status.ObservedTime, seen.At))
		return reconcile.Result{RequeueAfter: again}, nil
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		// What stands in the way is not watched. In a namespace that goes nothing can be made
		// any more, and the channel goes soon.
		return reconcile.Result{RequeueAfter: status.Sooner(min(r.observer.pause(), maxRetry), r.heartbeat.next(channel.Status.ObservedTime, r.now()))}, nil
	case apply.Raced(err):
		r.log.V(1).Info("changed in the meantime; trying again", "namespace", request.Namespace, "name", request.Name, "cause", err.Error())
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	default:
		return reconcile.Result{}, err
	}
}

// bringUpToDate brings a channel's children and its status up to date, or tells in the
// status why it does not.
func (r *Reconciler) bringUpToDate(ctx context.Context, p *plan.Plan) (status.Observed, error) {
	if p.Unreadable != nil {
		return status.Observed{Problem: p.Unreadable}, r.reportUnreadable(ctx, p)
	}
	seen, err := r.sync(ctx, p)
	seen.At = r.now()
	return seen, errors.Join(err, r.writeStatus(ctx, p, seen))
}

// sync brings the children up to date and returns what it saw. Its error is one that a
// quick retry may mend.
func (r *Reconciler) sync(ctx context.Context, p *plan.Plan) (status.Observed, error) {
	key := client.ObjectKeyFromObject(p.Channel)
	if p.Channel.DeletionTimestamp != nil {
		r.observer.forget(key) // the children go by their owner references
		r.podLooks.forget(key)
		return r.observeDeletion(ctx, p)
	}
	seen, errs := r.syncChildren(ctx, p)
	var err error
	seen.Problem, err = apply.Assess(errs)
	seen.Unsettled = err != nil && seen.Problem == nil
	replicas, scaled := p.FirstReplicas(), false
	if seen.Deployment != nil {
		replicas = ptr.Deref(seen.Deployment.Spec.Replicas, plan.DefaultReplicas)
	}
	if seen.ScaledObject != nil && p.AutoScaled {
		ready := seen.ScaledObject.Status.Conditions.GetReadyCondition()
		scaled = ready.IsTrue()
	}
	if seen.Problem == nil && seen.Deployment != nil {
		seen.Workers = r.podLooks.look(ctx, p.Channel, seen.Deployment, r.now())
	}
	seen.Answer = r.observer.follow(key, inquiry.NewQuestion(p.Trigger, replicas, scaled))
	if status.Freed(p, seen) {
		seen.Answer = r.observer.restart(key, seen.Answer)
	}
	return seen, err
}

// syncChildren brings each of the children up to date on its own: one that is refused keeps
// none of the others from being made.
func (r *Reconciler) syncChildren(ctx context.Context, p *plan.Plan) (status.Observed, []error) {
	var seen status.Observed
	if p.Invalid != nil {
		return seen, []error{p.Invalid}
	}
	workers := within(ctx, kindDeployment, func(ctx context.Context) (err error) {
		seen.Deployment, err = r.children.Deployment(ctx, p)
		return err
	})
	if !apply.MayBeScaled(workers) {
		r.counters.failed(kindDeployment, workers)
		return seen, []error{workers}
	}
	budget := within(ctx, kindBudget, func(ctx context.Context) (err error) {
		seen.Budget, err = r.children.DisruptionBudget(ctx, p, seen.Deployment)
		return err
	})
	scaling := within(ctx, kindScaledObject, func(ctx context.Context) error { return r.syncScaling(ctx, p, &seen) })
	r.counters.failed(kindDeployment, workers)
	r.counters.failed(kindBudget, budget)
	r.counters.failed(kindScaledObject, scaling)
	seen.Aside = budget != nil && workers == nil && scaling == nil
	return seen, slices.DeleteFunc([]error{workers, scaling, budget}, func(err error) bool { return err == nil })
}

// childTimeout bounds the work on one child, so that there is time for the others, and for
// the status, within reconcileTimeout.
const childTimeout = reconcileTimeout / 4

// The trace of ctx, if there is one, has it as a part, which has the kind's name.
func within(ctx context.Context, kind string, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, childTimeout)
	defer cancel()
	ctx, end := traced(ctx, kind)
	err := work(ctx)
	end(err)
	return err
}

// syncScaling makes or removes the ScaledObject, and while there is none sees to the
// replicas.
func (r *Reconciler) syncScaling(ctx context.Context, p *plan.Plan, seen *status.Observed) (err error) {
	if p.AutoScaled {
		seen.ScaledObject, err = r.syncScaledObjectUnlessLost(ctx, p)
		return err
	}
	if r.kedaInstalled.Load() {
		going, err := r.children.RemoveScaledObject(ctx, p.Channel)
		if err != nil {
			return err
		}
		if going != nil { // KEDA and the HPA may still write replicas
			seen.ScaledObject = going
			return nil
		}
	}
	if seen.Deployment == nil || p.Channel.Spec.Paused {
		return nil
	}
	return r.children.Replicas(ctx, p, seen.Deployment)
}

// writeStatus writes the status where it changed, and then the event of a scaling. The
// write is bound to the channel as it was read: from an old copy no scaling can be told
// twice.
func (r *Reconciler) writeStatus(ctx context.Context, p *plan.Plan, seen status.Observed) error {
	next, change := status.Next(p, seen, seen.At)
	if !r.heartbeat.due(p.Channel.Status, &next, seen.At) {
		return nil
	}
	r.logReady(p.Channel, next)
	writing, end := traced(ctx, "write status")
	after, err := r.patchStatus(writing, p.Channel, next)
	end(err)
	if err != nil {
		return fmt.Errorf("writing the status of PubSubChannel %s/%s: %w", p.Channel.Namespace, p.Channel.Name, err)
	}
	if change != nil {
		r.recordScaling(ctx, after, *change)
	}
	r.recordRefusal(ctx, p.Channel, next)
	r.recordWorkers(ctx, p.Channel, next, seen)
	r.recordNotCarriedOut(ctx, p.Channel, next)
	r.recordTrouble(ctx, p.Channel, next)
	return nil
}

// patchStatus writes a status, and returns the channel as the API server answered, or as it
// was where it refuses the status.
func (r *Reconciler) patchStatus(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) (*v1.PubSubChannel, error) {
	key := client.ObjectKeyFromObject(channel)
	identity := metav1.ObjectMeta{Namespace: channel.Namespace, Name: channel.Name, ResourceVersion: channel.ResourceVersion}
	before := &v1.PubSubChannel{ObjectMeta: identity, Status: r.pruned.stored(identityOf(channel), channel.Status)}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	data, err := patch.Data(&v1.PubSubChannel{ObjectMeta: identity, Status: next})
	if err != nil {
		return nil, err
	}
	// What is decoded over an object that has the status would hide what the answer lacks.
	after := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: channel.Namespace, Name: channel.Name}}
	if err := r.client.Status().Patch(ctx, after, client.RawPatch(patch.Type(), data)); apierrors.IsInvalid(err) {
		r.noteRefusedStatus(ctx, channel, next, before.Status, err)
		return channel, nil
	} else if err != nil {
		return nil, err
	}
	if after.ResourceVersion != channel.ResourceVersion {
		r.replaced.add(key, channel.ResourceVersion)
	}
	return after, r.noteDropped(channel, next, after.Status)
}

// noteDropped takes down what the API server kept of a status, and logs what it did not, once.
func (r *Reconciler) noteDropped(channel *v1.PubSubChannel, written, kept v1.PubSubChannelStatus) error {
	dropped, err := r.pruned.add(identityOf(channel), written, kept)
	for _, field := range dropped {
		r.log.Info("the API server keeps no such field of a status: its CRD pubsubchannels.pubsub.jawaracloud.io is older than this controller; "+
			"bring the CRD up to date", "field", "status."+field)
	}
	return err
}

// logReady logs a change of the Ready condition's reason; for a missing KEDA one line has
// told of all channels.
func (r *Reconciler) logReady(channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionReady)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
	if after == nil || before != nil && before.Reason == after.Reason || after.Reason == v1.ReasonKEDANotInstalled {
		return
	}
	r.log.Info("ready condition changed", "namespace", channel.Namespace, "name", channel.Name,
		"status", after.Status, "reason", after.Reason, "message", after.Message)
}

package translator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// observeDeletion is what is left of a channel that is being deleted, which it is only while
// something keeps it: a deletion in the foreground, or a finalizer of somebody else's.
func (r *Reconciler) observeDeletion(ctx context.Context, p *plan.Plan) (status.Observed, error) {
	var seen status.Observed
	deployment := &appsv1.Deployment{}
	found, err := apply.Find(ctx, r.client, types.NamespacedName{Namespace: p.Channel.Namespace, Name: plan.DeploymentName(p.Channel)}, deployment)
	if err != nil {
		return seen, err
	}
	if found && metav1.IsControlledBy(deployment, p.Channel) {
		seen.Deployment = deployment
	}
	scaledObject, err := r.cachedScaledObject(ctx, client.ObjectKeyFromObject(p.Channel))
	if scaledObject != nil && metav1.IsControlledBy(scaledObject, p.Channel) {
		seen.ScaledObject = scaledObject
	}
	return seen, err
}

// cachedScaledObject is nil where there is none.
func (r *Reconciler) cachedScaledObject(ctx context.Context, key types.NamespacedName) (*kedav1alpha1.ScaledObject, error) {
	if !r.kedaInstalled.Load() {
		return nil, nil
	}
	scaledObject := &kedav1alpha1.ScaledObject{}
	err := r.scaledObjects.Get(ctx, key, scaledObject)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading ScaledObject %s: %w", key, err)
	}
	return scaledObject, nil
}

// leftovers are the ScaledObjects of channels that are gone which wait for KEDA: since when,
// by the controller's clock, and whether that was told. There are some only while KEDA takes
// its time, or does not run. The zero value is ready for use.
type leftovers struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]*leftover
}

type leftover struct {
	uid   types.UID
	since time.Time
	told  bool
}

// look reports whether a leftover is to be told now, which it is once, and when to look
// again; 0: never.
func (l *leftovers) look(key types.NamespacedName, uid types.UID, now time.Time) (tell bool, again time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.seen[key]
	if known == nil || known.uid != uid {
		if l.seen == nil {
			l.seen = map[types.NamespacedName]*leftover{}
		}
		l.seen[key] = &leftover{uid: uid, since: now}
		return false, keda.Grace
	}
	if known.told {
		return false, 0
	}
	// A clock that was put back is waited for no longer than at first.
	if left := min(known.since.Add(keda.Grace).Sub(now), keda.Grace); left > 0 {
		return false, left
	}
	known.told = true
	return true, 0
}

func (l *leftovers) forget(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, key)
}

// afterDeletion tells of a ScaledObject that stays behind its channel because KEDA does not
// remove the finalizer. A deletion in the background, which is kubectl's default, leaves no
// channel to tell it on, so the ScaledObject itself carries the event.
func (r *Reconciler) afterDeletion(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	left, err := r.cachedScaledObject(ctx, key)
	if err != nil {
		return reconcile.Result{}, err
	}
	if left == nil || left.DeletionTimestamp == nil || !slices.Contains(left.Finalizers, keda.Finalizer) {
		r.leftovers.forget(key)
		return reconcile.Result{}, nil
	}
	tell, again := r.leftovers.look(key, left.UID, r.now())
	if tell {
		event := status.LeftoverEvent(left, r.instance, r.now())
		r.log.Info("a deleted channel's ScaledObject waits for KEDA", "namespace", key.Namespace, "name", key.Name, "finalizer", keda.Finalizer)
		r.record(ctx, event)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

package translator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// kedaFinalizer is what keeps a deleted ScaledObject until KEDA has stopped scaling (KEDA
// 2.21, controllers/keda/scaledobject_finalizer.go).
const kedaFinalizer = "finalizer.keda.sh"

// observeDeletion is what is left of a channel that is being deleted, which it is only while
// something keeps it: a deletion in the foreground, or a finalizer of somebody else's.
func (r *Reconciler) observeDeletion(ctx context.Context, p *Plan) (observed, error) {
	var seen observed
	deployment := &appsv1.Deployment{}
	found, err := get(ctx, r.client, types.NamespacedName{Namespace: p.Channel.Namespace, Name: deploymentName(p.Channel)}, deployment)
	if err != nil {
		return seen, err
	}
	if found && metav1.IsControlledBy(deployment, p.Channel) {
		seen.deployment = deployment
	}
	scaledObject, err := r.cachedScaledObject(ctx, client.ObjectKeyFromObject(p.Channel))
	if scaledObject != nil && metav1.IsControlledBy(scaledObject, p.Channel) {
		seen.scaledObject = scaledObject
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

// deletingCondition tells what a channel that is being deleted waits for.
func deletingCondition(p *Plan, seen observed) metav1.Condition {
	var waits []string
	if goes(p.Channel, seen.scaledObject) {
		waits = append(waits, fmt.Sprintf("ScaledObject %s to go%s", p.Channel.Name, keptWords("ScaledObject", seen.scaledObject)))
	}
	if goes(p.Channel, seen.deployment) {
		waits = append(waits, fmt.Sprintf("Deployment %s to go%s", seen.deployment.Name, keptWords("Deployment", seen.deployment)))
	}
	if others := finalizersOf(p.Channel); len(others) > 0 {
		waits = append(waits, "whoever put the finalizers on it to remove them: "+strings.Join(others, ", "))
	}
	words := "the channel is being deleted"
	if len(waits) > 0 {
		words += "; it waits for " + strings.Join(waits, "; for ")
	}
	return condition(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonDeleting, words)
}

// goes reports whether a channel that is being deleted waits for a child: where the deletion
// is in the foreground. Else Kubernetes deletes the children once the channel is gone, which
// somebody's finalizer keeps.
func goes[T interface {
	comparable
	metav1.Object
}](channel *v1.PubSubChannel, child T) bool {
	var none T
	return child != none && (slices.Contains(channel.Finalizers, metav1.FinalizerDeleteDependents) || child.GetDeletionTimestamp() != nil)
}

// keptWords name the finalizers that keep an object which is to go, and the remedy; empty
// where there are none, and nobody but Kubernetes itself is waited for.
func keptWords(kind string, object metav1.Object) string {
	finalizers := finalizersOf(object)
	switch {
	case len(finalizers) == 0, object.GetDeletionTimestamp() == nil:
		return ""
	case !slices.Contains(finalizers, kedaFinalizer):
		return ", which its finalizers keep: " + strings.Join(finalizers, ", ")
	}
	return fmt.Sprintf(", whose finalizer %[1]s KEDA has to remove: where that lasts, keda-operator does not run: start it (%[2]s), or, if KEDA is gone for good, remove it yourself: "+
		"kubectl -n %[3]s patch %[4]s %[5]s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'; Kubernetes then deletes its HPA, too",
		kedaFinalizer, findKEDA, object.GetNamespace(), strings.ToLower(kind), object.GetName())
}

// finalizersOf leaves out those of the garbage collector, which removes them by itself.
func finalizersOf(object metav1.Object) []string {
	return slices.DeleteFunc(slices.Clone(object.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
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
		return false, heldGrace
	}
	if known.told {
		return false, 0
	}
	// A clock that was put back is waited for no longer than at first.
	if left := min(known.since.Add(heldGrace).Sub(now), heldGrace); left > 0 {
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
	if left == nil || left.DeletionTimestamp == nil || !slices.Contains(left.Finalizers, kedaFinalizer) {
		r.leftovers.forget(key)
		return reconcile.Result{}, nil
	}
	tell, again := r.leftovers.look(key, left.UID, r.now())
	if tell {
		event := leftoverEvent(left, r.instance, r.now())
		r.log.Info("a deleted channel's ScaledObject waits for KEDA", "namespace", key.Namespace, "name", key.Name, "finalizer", kedaFinalizer)
		r.record(ctx, event)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

func leftoverEvent(scaledObject *kedav1alpha1.ScaledObject, instance string, now time.Time) *eventsv1.Event {
	text := fmt.Sprintf("PubSubChannel %[1]s is gone, and ScaledObject %[1]s waits to go%[2]s", scaledObject.Name, keptWords("ScaledObject", scaledObject))
	event := warning(&v1.PubSubChannel{ObjectMeta: scaledObject.ObjectMeta}, v1.EventFinalizerLeft, "Delete", text, instance, now)
	event.Regarding.APIVersion, event.Regarding.Kind = kedav1alpha1.SchemeGroupVersion.String(), "ScaledObject"
	return event
}

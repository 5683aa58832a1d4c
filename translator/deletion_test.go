package translator

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// going is a ScaledObject that is being deleted, with these finalizers.
func going(finalizers ...string) *kedav1alpha1.ScaledObject {
	return &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{
		Name: "orders", Namespace: "shop", UID: "so-1", Finalizers: finalizers, DeletionTimestamp: ptr.To(metav1.NewTime(now)),
		OwnerReferences: []metav1.OwnerReference{{Kind: "PubSubChannel", Name: "orders", UID: "old", Controller: ptr.To(true)}},
	}}
}

// Whatever waits for a ScaledObject to go names the finalizer that keeps it, what removes it,
// and how to do without; and does not where nobody but Kubernetes is waited for.
func TestFinalizerIsNamed(t *testing.T) {
	kept := []string{"finalizer.keda.sh", "keda-operator", `kubectl -n shop patch scaledobject orders --type=merge -p '{"metadata":{"finalizers":null}}'`, "deletes its HPA"}
	off, on := testChannel(), testChannel(scaled())
	deleting := testChannel(scaled(), func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(now)), []string{metav1.FinalizerDeleteDependents}
	})
	state := func(channel *v1.PubSubChannel) func(*kedav1alpha1.ScaledObject) string {
		return func(so *kedav1alpha1.ScaledObject) string {
			next, _ := nextStatus(planOf(channel), observed{deployment: workers(1, 1, 1), scaledObject: so}, now)
			return conditionOf(t, next, v1.ConditionReady).Message
		}
	}
	for name, words := range map[string]func(*kedav1alpha1.ScaledObject) string{
		"autoscaling is switched off":     state(off),
		"somebody deleted it":             state(on),
		"the channel is being deleted":    state(deleting),
		"a new channel of the same name":  func(so *kedav1alpha1.ScaledObject) string { return conflictWith("ScaledObject", so, on).message },
		"the channel went without a word": func(so *kedav1alpha1.ScaledObject) string { return leftoverEvent(so, "pod-1", now).Note },
	} {
		t.Run(name, func(t *testing.T) {
			for _, part := range kept {
				assert.Contains(t, words(going(kedaFinalizer)), part)
			}
			assert.NotContains(t, words(going(metav1.FinalizerDeleteDependents)), "finalizer")
			assert.Contains(t, words(going("mine.example.com/x")), "mine.example.com/x")
			assert.NotContains(t, words(going("mine.example.com/x")), "keda-operator")
		})
	}
}

func TestDeletingCondition(t *testing.T) {
	channel := testChannel(func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(now)), []string{"mine.example.com/x", metav1.FinalizerDeleteDependents}
	})
	got := deletingCondition(planOf(channel), observed{deployment: workers(1, 1, 1)})
	assert.Equal(t, v1.ReasonDeleting, got.Reason)
	assert.Equal(t, metav1.ConditionFalse, got.Status)
	assert.True(t, containsAll(got.Message, "Deployment orders-subscriber to go", "the finalizers on it to remove them: mine.example.com/x"), got.Message)
	assert.NotContains(t, got.Message, metav1.FinalizerDeleteDependents)
	channel.Finalizers = nil
	assert.Equal(t, "the channel is being deleted", deletingCondition(planOf(channel), observed{}).Message)
}

// A leftover is told once, after the grace by the controller's own clock.
func TestLeftovers(t *testing.T) {
	var l leftovers
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	look := func(uid types.UID, at time.Duration, tell bool, again time.Duration) {
		t.Helper()
		gotTell, gotAgain := l.look(key, uid, now.Add(at))
		assert.Equal(t, tell, gotTell)
		assert.Equal(t, again, gotAgain)
	}
	look("a", 0, false, 30*time.Second)
	look("a", 10*time.Second, false, 20*time.Second)
	look("a", -time.Hour, false, 30*time.Second)
	look("a", 30*time.Second, true, 0)
	look("a", time.Hour, false, 0)
	look("b", time.Hour, false, 30*time.Second)
	l.forget(key)
	assert.Empty(t, l.seen)
}

func TestLeftoverEvent(t *testing.T) {
	event := leftoverEvent(going(kedaFinalizer), "pod-1", now)
	assert.Equal(t, []string{corev1.EventTypeWarning, v1.EventFinalizerLeft, "ScaledObject", "orders", "shop", "so-1", "keda.sh/v1alpha1"},
		[]string{event.Type, event.Reason, event.Regarding.Kind, event.Regarding.Name, event.Namespace, string(event.Regarding.UID), event.Regarding.APIVersion})
	assert.LessOrEqual(t, len(event.Note), maxNote)
}

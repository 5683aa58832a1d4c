package status

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// going is a ScaledObject that is being deleted, with these finalizers.
func going(finalizers ...string) *kedav1alpha1.ScaledObject {
	return &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{
		Name: "orders", Namespace: "shop", UID: "so-1", Finalizers: finalizers, DeletionTimestamp: ptr.To(metav1.NewTime(channeltest.Now)),
		OwnerReferences: []metav1.OwnerReference{{Kind: "PubSubChannel", Name: "orders", UID: "old", Controller: ptr.To(true)}},
	}}
}

// Whatever waits for a ScaledObject to go names the finalizer that keeps it, what removes it,
// and how to do without; and does not where nobody but Kubernetes is waited for.
func TestFinalizerIsNamed(t *testing.T) {
	kept := []string{"finalizer.keda.sh", "keda-operator", `kubectl -n shop patch scaledobject orders --type=merge -p '{"metadata":{"finalizers":null}}'`, "deletes its HPA"}
	off, on := channeltest.Channel(), channeltest.Channel(channeltest.AutoScaled())
	deleting := channeltest.Channel(channeltest.AutoScaled(), func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(channeltest.Now)), []string{metav1.FinalizerDeleteDependents}
	})
	state := func(channel *v1.PubSubChannel) func(*kedav1alpha1.ScaledObject) string {
		return func(so *kedav1alpha1.ScaledObject) string {
			next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: so}, channeltest.Now)
			return channeltest.ConditionOf(t, next, v1.ConditionReady).Message
		}
	}
	for name, words := range map[string]func(*kedav1alpha1.ScaledObject) string{
		"autoscaling is switched off":     state(off),
		"somebody deleted it":             state(on),
		"the channel is being deleted":    state(deleting),
		"the channel went without a word": func(so *kedav1alpha1.ScaledObject) string { return LeftoverEvent(so, "pod-1", channeltest.Now).Note },
	} {
		t.Run(name, func(t *testing.T) {
			for _, part := range kept {
				assert.Contains(t, words(going(keda.Finalizer)), part)
			}
			assert.NotContains(t, words(going(metav1.FinalizerDeleteDependents)), "finalizer")
			assert.Contains(t, words(going("mine.example.com/x")), "mine.example.com/x")
			assert.NotContains(t, words(going("mine.example.com/x")), "keda-operator")
		})
	}
}

func TestDeletingCondition(t *testing.T) {
	channel := channeltest.Channel(func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(channeltest.Now)), []string{"mine.example.com/x", metav1.FinalizerDeleteDependents}
	})
	got := deletingCondition(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1)})
	assert.Equal(t, v1.ReasonDeleting, got.Reason)
	assert.Equal(t, metav1.ConditionFalse, got.Status)
	assert.True(t, channeltest.ContainsAll(got.Message, "Deployment orders-subscriber to go", "the finalizers on it to remove them: mine.example.com/x"), got.Message)
	assert.NotContains(t, got.Message, metav1.FinalizerDeleteDependents)
	channel.Finalizers = nil
	assert.Equal(t, "the channel is being deleted", deletingCondition(plan.Of(channel), Observed{}).Message)
}

func TestLeftoverEvent(t *testing.T) {
	event := LeftoverEvent(going(keda.Finalizer), "pod-1", channeltest.Now)
	assert.Equal(t, []string{corev1.EventTypeWarning, v1.EventFinalizerLeft, "ScaledObject", "orders", "shop", "so-1", "keda.sh/v1alpha1"},
		[]string{event.Type, event.Reason, event.Regarding.Kind, event.Regarding.Name, event.Namespace, string(event.Regarding.UID), event.Regarding.APIVersion})
	assert.LessOrEqual(t, len(event.Note), maxNote)
}

// A finalizer of somebody else's, deleted in the background (kubectl's default): Kubernetes
// deletes the children only once the channel is gone.
func TestDeletedInTheBackground(t *testing.T) {
	channel := channeltest.Channel(func(c *v1.PubSubChannel) {
		c.DeletionTimestamp, c.Finalizers = ptr.To(metav1.NewTime(channeltest.Now)), []string{"example.com/theirs"}
	})
	ready := deletingCondition(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("True")})
	assert.NotContains(t, ready.Message, "Deployment orders-subscriber to go")
	so := channeltest.KEDAReady("True") // not being deleted; KEDA's finalizer is always there
	so.Finalizers = []string{keda.Finalizer}
	assert.NotContains(t, deletingCondition(plan.Of(channel), Observed{ScaledObject: so}).Message, "remove it yourself")
}

//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// theirHPA creates an HPA of somebody else's named mine.
func theirHPA(t *testing.T, s *server, namespace, kind, name string, owners ...metav1.OwnerReference) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine", OwnerReferences: owners},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kind, Name: name}, MaxReplicas: 3,
		},
	}
	require.NoError(t, s.Create(t.Context(), hpa))
	return hpa
}

func hpaNamed(name string) func(*v1.AutoScalingSpec) {
	return func(a *v1.AutoScalingSpec) { a.HPAName = name }
}

// An HPA that scales the Deployment already is KEDA's with the channel's word, by the name
// and KEDA's own annotation; without the word it is told what to do.
func TestHPAIsTakenOver(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	theirHPA(t, s, namespace, "Deployment", "orders-subscriber")
	channel := s.channel(t, channeltest.AutoScaled(hpaNamed("mine")), func(c *v1.PubSubChannel) { c.Namespace = namespace })
	eventually(t, s, channel, readyReason(v1.ReasonHPAConflict), "it is told")
	words := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message
	assert.Contains(t, words, "kubectl annotate psc orders -n "+namespace+" scaledobject.keda.sh/transfer-hpa-ownership=true")
	s.deploymentReady(t, channel) // the workers are there all the same
	so := scaledObjectOf(channel)
	assert.True(t, apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(so), so)))

	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Annotations = map[string]string{plan.TransferAnnotation: "true"} })
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool {
		return keda.HPAName(so) == "mine" && so.Annotations[plan.TransferAnnotation] == "true"
	}, "KEDA is told to")
	s.edit(t, channel, channeltest.Paused)
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool {
		return so.Annotations[kedav1alpha1.PausedAnnotation] == "true" && so.Annotations[plan.TransferAnnotation] == "true"
	}, "a pause goes with it")
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Annotations, c.Spec.Paused = nil, false })
	eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return len(so.Annotations) == 0 }, "what is left out goes")
}

// KEDA would replace any HPA of the name, so an author of channels can't have somebody
// else's.
func TestHPAOfOthersIsRefused(t *testing.T) {
	s := sharedServer(t)
	owner := func(kind, name string) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "keda.sh/v1alpha1", Kind: kind, Name: name, UID: "u", Controller: ptr.To(true)}
	}
	for name, test := range map[string]struct {
		kind, target string
		owners       []metav1.OwnerReference
		words        string // empty: not refused
	}{
		"of another Deployment":     {"Deployment", "web", nil, "scales Deployment web, and KEDA would have it scale Deployment orders-subscriber"},
		"of another kind":           {"StatefulSet", "orders-subscriber", nil, "scales StatefulSet orders-subscriber"},
		"of another ScaledObject":   {"Deployment", "orders-subscriber", []metav1.OwnerReference{owner("ScaledObject", "web")}, "is controlled by ScaledObject web"},
		"of the channel's own name": {"Deployment", "orders-subscriber", []metav1.OwnerReference{owner("ScaledObject", "orders")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			theirs := theirHPA(t, s, namespace, test.kind, test.target, test.owners...)
			channel := s.channel(t, channeltest.AutoScaled(), func(c *v1.PubSubChannel) {
				c.Namespace, c.Annotations = namespace, map[string]string{plan.TransferAnnotation: "true"}
			})
			so := scaledObjectOf(channel)
			eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return keda.HPAName(so) == "" }, "by default it is KEDA's own")
			s.edit(t, channel, auto(hpaNamed("mine")))
			if test.words != "" {
				eventually(t, s, channel, readyReason(v1.ReasonHPAConflict), "it is refused")
				assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, test.words)
				s.get(t, so)
				assert.Empty(t, keda.HPAName(so))
				require.NoError(t, s.Delete(t.Context(), theirs))
			}
			eventually(t, s, so, func(so *kedav1alpha1.ScaledObject) bool { return keda.HPAName(so) == "mine" }, "it is passed on")
		})
	}
}

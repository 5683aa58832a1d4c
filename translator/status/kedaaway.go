package status

import (
	"fmt"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// withKEDAAway is the Ready condition where KEDA has not taken up the ScaledObject for so
// long that it seems not to run, in place of one that only says that it has not yet.
func withKEDAAway(p *plan.Plan, seen Observed, ready metav1.Condition, now time.Time) metav1.Condition {
	late, _ := notTakenUp(p, seen.ScaledObject, now)
	if _, waiting := scaledObjectState(p, seen.ScaledObject); !late || ready.Message != waiting {
		return ready
	}
	return condition(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonKEDANotReady,
		fmt.Sprintf("%s, for more than %s: keda-operator seems not to run: look for it (%s), and at what it logs", ready.Message, keda.Grace, keda.FindOperator))
}

// notTakenUp reports whether KEDA has said nothing of a ScaledObject for so long that it
// seems not to run, and when to look again while it may still come; 0: never.
//
// Two clocks tell: the API server's when the ScaledObject was made, and the controller's
// since when the channel is not ready. One that is ahead alone says nothing.
func notTakenUp(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject, now time.Time) (bool, time.Duration) {
	if !p.AutoScaled || scaledObject == nil || scaledObject.DeletionTimestamp != nil {
		return false, 0
	}
	if ready := scaledObject.Status.Conditions.GetReadyCondition(); ready.IsTrue() || ready.IsFalse() {
		return false, 0
	}
	last := meta.FindStatusCondition(p.Channel.Status.Conditions, v1.ConditionReady)
	if last == nil || last.Status != metav1.ConditionFalse {
		return false, keda.Grace
	}
	since := last.LastTransitionTime.Time
	if made := scaledObject.CreationTimestamp.Time; made.After(since) && !made.After(now) {
		since = made
	}
	// A clock that was put back since would have it wait for ever.
	left := min(since.Add(keda.Grace).Sub(now), keda.Grace)
	return left <= 0, max(0, left)
}

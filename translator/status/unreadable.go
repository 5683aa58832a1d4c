package status

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Unreadable tells of the problem alone: what else a status tells follows from the
// spec, which nobody knows.
func Unreadable(p *plan.Plan, now time.Time) v1.PubSubChannelStatus {
	next := *p.Channel.Status.DeepCopy()
	next.ObservedGeneration = p.Channel.Generation
	if p.Channel.DeletionTimestamp != nil {
		next.Phase = v1.PhaseDeleting
		return next
	}
	next.Phase, next.QueueDepth, next.MessageRate, next.Decision = p.Unreadable.Phase, nil, nil, nil
	for _, unknown := range []string{v1.ConditionScaled, v1.ConditionConnected, v1.ConditionPaused} {
		meta.RemoveStatusCondition(&next.Conditions, unknown)
	}
	ready := condition(v1.ConditionReady, metav1.ConditionFalse, p.Unreadable.Reason, p.Unreadable.Message)
	setCondition(&next, p.Channel, ready, now)
	setProgress(&next, p.Channel, ready, now)
	return next
}

package status

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// setProgress sets what kstatus reads, and with it Flux and others: Stalled while somebody
// must change something, which is the phase Failed; Reconciling while the channel gets, or
// waits, to be ready. Each is there only while it is true (sigs.k8s.io/cli-utils,
// pkg/kstatus).
func setProgress(next *v1.PubSubChannelStatus, channel *v1.PubSubChannel, ready metav1.Condition, now time.Time) {
	kind := v1.ConditionReconciling
	switch {
	case next.Phase == v1.PhaseFailed:
		kind = v1.ConditionStalled
	case ready.Status == metav1.ConditionTrue:
		kind = ""
	}
	for _, other := range []string{v1.ConditionReconciling, v1.ConditionStalled} {
		if other != kind {
			meta.RemoveStatusCondition(&next.Conditions, other)
		}
	}
	if kind != "" {
		setCondition(next, channel, condition(kind, metav1.ConditionTrue, ready.Reason, ready.Message), now)
	}
}

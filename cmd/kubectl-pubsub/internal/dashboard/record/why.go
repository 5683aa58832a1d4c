package record

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// whyScaled is the message of the decision that asked for the number that there is now. The one
// before the scaling did; the one after may, if the status has both at once.
func whyScaled(was, is *v1.PubSubChannelStatus, spec *v1.PubSubChannelSpec) string {
	for _, d := range []*v1.ScalingDecision{was.Decision, is.Decision} {
		if d != nil && d.Message != "" && d.DesiredReplicas == is.DesiredReplicas && d.Replicas != d.DesiredReplicas {
			return d.Message
		}
	}
	scaled := fmt.Sprintf("%d → %d workers", was.DesiredReplicas, is.DesiredReplicas)
	before, after := was.Decision, is.Decision
	if before == nil || after == nil || before.Replicas != was.DesiredReplicas {
		return scaled
	}
	// The controller asks the scaler less often than the HPA, and may have missed the decision. What was known before and
	// after it then tells where the depth was, or how busy the workers were.
	busy := is.PolicyInUse == v1.PolicyUtilization
	switch {
	case is.DesiredReplicas > was.DesiredReplicas && after.QueueDepth > before.UpperBound: // Utilization grows for that, too
		return fmt.Sprintf("%s: queue depth %d is above %d, the upper bound of %d", scaled, after.QueueDepth, before.UpperBound, before.Replicas)
	case is.DesiredReplicas > was.DesiredReplicas && busy:
		return scaled + tooBusy(before, after, spec)
	case is.DesiredReplicas < was.DesiredReplicas && after.QueueDepth < before.LowerBound && !busy:
		return fmt.Sprintf("%s: queue depth %d is below %d, the lower bound of %d", scaled, after.QueueDepth, before.LowerBound, before.Replicas)
	case is.DesiredReplicas < was.DesiredReplicas && after.QueueDepth < before.LowerBound:
		return fmt.Sprintf("%s: queue depth %d is below %d, the lower bound of %d%s", scaled, after.QueueDepth, before.LowerBound, before.Replicas, idleEnough(after, is.DesiredReplicas, spec))
	default:
		return scaled
	}
}

// tooBusy is that the workers of before were busier than utilization.scaleUp; empty if that is not known.
func tooBusy(before, after *v1.ScalingDecision, spec *v1.PubSubChannelSpec) string {
	policy, err := autoscaling.OfChannel(spec)
	if err != nil {
		return ""
	}
	percent := policy.Utilization.ScaleUp
	for _, d := range []*v1.ScalingDecision{after, before} { // the newest
		limit := float64(before.Replicas) * float64(policy.WorkerConcurrency) * float64(percent) / 100
		if busy, known := quantity(d.Busy); known && busy > limit {
			return fmt.Sprintf(": %.4g in flight on average over 15 s is above %.4g = %d × %d × %d %%", busy, limit, before.Replicas, policy.WorkerConcurrency, percent)
		}
	}
	return ""
}

// idleEnough is that fewer workers are at most utilization.scaleDown busy; empty if that is not known.
func idleEnough(after *v1.ScalingDecision, replicas int32, spec *v1.PubSubChannelSpec) string {
	policy, err := autoscaling.OfChannel(spec)
	busy, known := quantity(after.BusyOverWindow)
	percent := policy.Utilization.ScaleDown
	limit := float64(replicas) * float64(policy.WorkerConcurrency) * float64(percent) / 100
	if err != nil || !known || busy > limit {
		return ""
	}
	return fmt.Sprintf(", and %.4g in flight on average over the window are at most %.4g = %d × %d × %d %%", busy, limit, replicas, policy.WorkerConcurrency, percent)
}

func quantity(of *resource.Quantity) (value float64, known bool) {
	if of == nil {
		return 0, false
	}
	return of.AsApproximateFloat64(), true
}

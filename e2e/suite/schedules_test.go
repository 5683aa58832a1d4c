//go:build e2e

package suite

import (
	"context"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// Hours that last all year but for its last minute.
const yearStart, yearEnd = "59 23 31 12 *", "58 23 31 12 *"

// scaledIs is nil where the Scaled condition is so.
func (s *space) scaledIs(state metav1.ConditionStatus, reason string) func(context.Context) error {
	return func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionScaled, state, reason)
	}
}

// Schedules and further triggers keep more workers than the queue asks for, which the
// status tells, and fallback does what it says when the queue can't be read.
func TestWhatElseScales(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "schedules")
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 200)
	s.createAndSettle(channel)
	deployment := deploymentOf(channel)

	s.neverDips(deployment, "a schedule of five", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) {
		a.Schedules = []pubsubv1.Schedule{{Name: "office", Timezone: "UTC", Start: yearStart, End: yearEnd, MinReplicas: 5}}
	}), 5, s.scaledIs(metav1.ConditionTrue, pubsubv1.ReasonHeldBySchedule))
	s.neverDips(deployment, "a further trigger of six", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) {
		a.Triggers = []kedav1alpha1.ScaleTriggers{{Type: "cron", Name: "theirs", MetricType: autoscalingv2.AverageValueMetricType, Metadata: map[string]string{
			"timezone": "UTC", "start": yearStart, "end": yearEnd, "desiredReplicas": "6",
		}}}
	}), 6, s.scaledIs(metav1.ConditionTrue, pubsubv1.ReasonHeldByTrigger))

	s.neverDips(deployment, "a fallback of seven", func() {
		s.autoscaling(func(a *pubsubv1.AutoScalingSpec) {
			a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 2, Replicas: 7, Behavior: kedav1alpha1.FallbackBehaviorStatic}
		})()
		s.kubectl("scale", "deployment/dragonfly", "--replicas=0", "--timeout=60s")
	}, 7, s.scaledIs(metav1.ConditionFalse, pubsubv1.ReasonFallback))
}

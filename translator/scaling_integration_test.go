//go:build integration

package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// What KEDA would refuse is told in words; the workers are made all the same, and the
// ScaledObject of before stays.
func TestScalingThatKEDAWouldRefuse(t *testing.T) {
	s := sharedServer(t)
	for name, test := range map[string]struct {
		change func(*v1.AutoScalingSpec)
		words  string
	}{
		"a cron expression": {func(a *v1.AutoScalingSpec) {
			a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Start = "0 25 * * 1" })}
		}, `start is "0 25 * * 1"`},
		"a trigger's name": {func(a *v1.AutoScalingSpec) {
			a.Schedules, a.Triggers = []v1.Schedule{channeltest.Office()}, []kedav1alpha1.ScaleTriggers{channeltest.CPU("office")}
		}, "defined multiple times"},
		"a fallback": {func(a *v1.AutoScalingSpec) {
			a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 1, Behavior: "scalingModifiers"}
		}, "set behavior to static"},
	} {
		t.Run(name, func(t *testing.T) {
			channel := s.channel(t, channeltest.AutoScaled(test.change))
			s.deploymentReady(t, channel)
			eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), "the refusal shows")
			assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, test.words)
			assert.NoError(t, client.IgnoreNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(channel), scaledObjectOf(channel))))

			s.edit(t, channel, auto(func(a *v1.AutoScalingSpec) { a.Schedules, a.Triggers, a.Fallback = nil, nil, nil }))
			so := scaledObjectOf(channel)
			eventually(t, s, so, func(*kedav1alpha1.ScaledObject) bool { return true }, "the remedy helps")
			version := so.ResourceVersion
			s.edit(t, channel, auto(test.change))
			eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), "the refusal shows again")
			s.get(t, so)
			assert.Equal(t, version, so.ResourceVersion, "what was right stays")
		})
	}
}

// A schedule that keeps more workers than the queue asks for shows, and KEDA's fallback.
func TestWhatElseScales(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
		// All year but for the last minute.
		a.Schedules = []v1.Schedule{channeltest.Office(func(s *v1.Schedule) { s.Timezone, s.Start, s.End = "UTC", "59 23 31 12 *", "58 23 31 12 *" })}
		a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6}
	}), func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](5) })
	s.explainer.set(channel, func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		return &inspectv1.ExplainResponse{Action: inspectv1.Action_ACTION_SCALE_DOWN, Reason: inspectv1.Reason_REASON_BELOW_LOWER_BOUND, LastingExplanation: "5 → 4"}, nil
	})
	eventually(t, s, channel, conditionIs(v1.ConditionScaled, "True", v1.ReasonHeldBySchedule), "the schedule shows")

	so := scaledObjectOf(channel)
	s.get(t, so)
	before := so.DeepCopy()
	so.Status.Conditions = *kedav1alpha1.GetInitializedConditions()
	so.Status.Conditions.SetFallbackCondition("True", "FallbackExists", "At least one trigger is falling back on this scaled object")
	require.NoError(t, s.Status().Patch(t.Context(), so, client.MergeFrom(before)))
	eventually(t, s, channel, conditionIs(v1.ConditionScaled, "False", v1.ReasonFallback), "the fallback shows")
	assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled).Message, "falls back to 6 workers")
}

package status

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// ownedBy is managedFields of the main owner's.
func ownedBy(fields string) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{Manager: ownership.Main, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(fields)}}
}

// What somebody else set on the ScaledObject is named with its effect and the command that
// removes it; what the operator wrote itself, or has no effect, is not.
func TestForeignFields(t *testing.T) {
	fallback := &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6}
	for name, test := range map[string]struct {
		set   func(*kedav1alpha1.ScaledObject)
		own   func(*v1.AutoScalingSpec)
		words []string // empty: none
	}{
		"nothing":          {func(*kedav1alpha1.ScaledObject) {}, nil, nil},
		"idleReplicaCount": {func(so *kedav1alpha1.ScaledObject) { so.Spec.IdleReplicaCount = ptr.To[int32](0) }, nil, []string{"spec.idleReplicaCount: 0", `kubectl -n shop patch scaledobject orders --type=merge -p '{"spec":{"idleReplicaCount":null}}'`}},
		"a fallback":       {func(so *kedav1alpha1.ScaledObject) { so.Spec.Fallback = fallback }, nil, []string{"spec.fallback with replicas: 6", "where it can't read"}},
		"a fallback that acts": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.Fallback = fallback
			so.Status.Conditions.SetFallbackCondition("True", "FallbackExists", "x")
		}, nil, []string{"KEDA follows it now"}},
		"the channel's fallback": {func(so *kedav1alpha1.ScaledObject) { so.Spec.Fallback = fallback }, func(a *v1.AutoScalingSpec) { a.Fallback = fallback }, nil},
		"the channel's fallback that is to go": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.Fallback, so.ManagedFields = fallback, ownedBy(`{"f:spec":{"f:fallback":{"f:replicas":{}}}}`)
		}, nil, nil},
		"another kind": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.ScaleTargetRef = &kedav1alpha1.ScaleTarget{Kind: "StatefulSet"}
		}, nil, []string{"spec.scaleTargetRef.kind: StatefulSet"}},
		"our kind": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.ScaleTargetRef = &kedav1alpha1.ScaleTarget{Kind: "Deployment"}
		}, nil, nil},
		"scalingModifiers": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.Advanced = &kedav1alpha1.AdvancedConfig{ScalingModifiers: kedav1alpha1.ScalingModifiers{Formula: "a/2"}}
		}, nil, []string{`"a/2"`, "the HPA follows it"}},
		"restoreToOriginalReplicaCount": {func(so *kedav1alpha1.ScaledObject) {
			so.Spec.Advanced = &kedav1alpha1.AdvancedConfig{RestoreToOriginalReplicaCount: true}
		}, nil, []string{"restoreToOriginalReplicaCount: true"}},
		"force-activation":                       {annotatedObject(kedav1alpha1.ForceActivationAnnotation, "true"), nil, []string{"at least one worker", "kubectl -n shop annotate scaledobject orders autoscaling.keda.sh/force-activation-"}},
		"force-activation that asks for nothing": {annotatedObject(kedav1alpha1.ForceActivationAnnotation, "false"), nil, nil},
		"a pollingInterval":                      {func(so *kedav1alpha1.ScaledObject) { so.Spec.PollingInterval = ptr.To[int32](300) }, nil, nil},
		"a pause":                                {annotatedObject(channeltest.PausedAll, "true"), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled())
			if test.own != nil {
				test.own(channel.Spec.AutoScaling)
			}
			so := build.ScaledObject(plan.Of(channel), build.ScalerRef{})
			test.set(so)
			got := foreignMessage(plan.Of(channel), so)
			assert.Equal(t, len(test.words) == 0, got == "", got)
			for _, words := range append(test.words, "") {
				assert.Contains(t, got, words)
			}
			seen := Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: so, Answer: channeltest.Answered(3, 1, inspectv1.Reason_REASON_WITHIN_BAND, "holding")}
			scaled, _ := scaledCondition(plan.Of(channel), seen, channeltest.Now)
			if _, paused := so.Annotations[channeltest.PausedAll]; !paused {
				assert.Equal(t, "WithinBand", scaled.Reason)
				assert.True(t, channeltest.ContainsAll(scaled.Message, append(test.words, "holding")...), scaled.Message)
			}
		})
	}
}

func annotatedObject(annotation, value string) func(*kedav1alpha1.ScaledObject) {
	return func(so *kedav1alpha1.ScaledObject) { so.Annotations = map[string]string{annotation: value} }
}

// Scaled does not say "0 → 1" for ever where somebody else's setting is what keeps it so.
func TestHeldByScaledObject(t *testing.T) {
	outside := func(active bool, ago time.Duration) *inquiry.Answer {
		a := asked(0, inspectv1.Action_ACTION_SCALE_UP, inspectv1.Reason_REASON_OUTSIDE_LIMITS, "0 → 1", ago)
		a.Response.Active = active
		return a
	}
	idle := func(so *kedav1alpha1.ScaledObject) { so.Spec.IdleReplicaCount = ptr.To[int32](0) }
	modified := func(so *kedav1alpha1.ScaledObject) { so.Spec.Advanced.ScalingModifiers.Formula = "1" }
	up := func(ago time.Duration) *inquiry.Answer {
		return asked(2, inspectv1.Action_ACTION_SCALE_UP, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "2 → 4", ago)
	}
	for name, test := range map[string]struct {
		set    func(*kedav1alpha1.ScaledObject)
		answer *inquiry.Answer
		reason string
		words  []string
	}{
		"idle, at once":                        {idle, outside(false, 0), v1.ReasonHeldByScaledObject, []string{"spec.idleReplicaCount: 0", "without it the queue would ask for: 0 → 1"}},
		"idle, but there is work":              {idle, outside(true, 0), "OutsideLimits", []string{"0 → 1", "spec.idleReplicaCount: 0"}},
		"idle, and work that nobody does":      {idle, outside(true, time.Hour), v1.ReasonHeldByScaledObject, []string{"more workers are asked for since", "spec.idleReplicaCount: 0"}},
		"a formula, within its time":           {modified, up(0), "AboveUpperBound", []string{"2 → 4", "formula"}},
		"a formula":                            {modified, up(time.Hour), v1.ReasonHeldByScaledObject, []string{"2 → 4", "formula"}},
		"a pause, at once":                     {annotatedObject(channeltest.PausedAll, "true"), outside(true, 0), v1.ReasonPaused, []string{channeltest.PausedAll, "kubectl -n shop annotate scaledobject orders " + channeltest.PausedAll + "-", "without the pause: 0 → 1"}},
		"a pause, for long":                    {annotatedObject(channeltest.PausedReplicas, "0"), outside(true, time.Hour), v1.ReasonPaused, []string{"KEDA holds 0 workers", "without the pause: 0 → 1"}},
		"no scale-out":                         {annotatedObject(channeltest.PausedOut, "true"), outside(true, time.Hour), v1.ReasonPaused, []string{"no worker is added", channeltest.PausedOut}},
		"no scale-in, which is not in the way": {annotatedObject(channeltest.PausedIn, "true"), outside(true, 0), "OutsideLimits", []string{"0 → 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled())
			so := build.ScaledObject(plan.Of(channel), build.ScalerRef{})
			so.Status.Conditions.SetReadyCondition("True", "x", "x")
			test.set(so)
			n := test.answer.Question.Replicas
			got, ok := scaledCondition(plan.Of(channel), Observed{Deployment: channeltest.Fleet(n, n, n), ScaledObject: so, Answer: test.answer}, channeltest.Now)
			require.True(t, ok)
			assert.Equal(t, test.reason, got.Reason)
			assert.Equal(t, metav1.ConditionFalse, got.Status)
			for _, words := range test.words {
				assert.Contains(t, got.Message, words)
			}
		})
	}
}

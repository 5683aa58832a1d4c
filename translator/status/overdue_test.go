package status

import (
	"slices"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// asked is an answer that asks for a step from this number, given since that long ago.
func asked(replicas int32, action inspectv1.Action, reason inspectv1.Reason, words string, ago time.Duration) *inquiry.Answer {
	a := channeltest.Answered(replicas, 900, reason, words)
	a.Response.Action, a.Response.Active, a.Since = action, true, channeltest.Now.Add(-ago)
	return a
}

// kedaTells is a ScaledObject that KEDA has taken up, with a condition more.
func kedaTells(kind kedav1alpha1.ConditionType, status metav1.ConditionStatus, reason, words string) *kedav1alpha1.ScaledObject {
	so := channeltest.KEDAReady(metav1.ConditionTrue)
	so.Name, so.Namespace = "orders", "shop"
	so.Status.Conditions = slices.DeleteFunc(so.Status.Conditions, func(c kedav1alpha1.Condition) bool { return c.Type == kind })
	so.Status.Conditions = append(so.Status.Conditions, kedav1alpha1.Condition{Type: kind, Status: status, Reason: reason, Message: words})
	return so
}

// A decision that nobody carries out is told after the cooldown and 30 s, whichever way it
// goes, with what KEDA says and where to look.
func TestUndone(t *testing.T) {
	const up, down, hold = inspectv1.Action_ACTION_SCALE_UP, inspectv1.Action_ACTION_SCALE_DOWN, inspectv1.Action_ACTION_HOLD
	const above, below, wakes, last = inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, inspectv1.Reason_REASON_BELOW_LOWER_BOUND,
		inspectv1.Reason_REASON_ACTIVATION, inspectv1.Reason_REASON_AT_MIN_REPLICAS
	sleeps := func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) }
	idle := func(ago time.Duration) *inquiry.Answer {
		a := asked(1, hold, last, "the last replica is KEDA's to take: holding at 1", ago)
		a.Response.Active = false
		return a
	}
	swallowed := asked(100, up, above, "100 → 101", time.Hour)
	swallowed.Response.ToleranceHonoured = false
	swallowed.Response.DesiredReplicas, swallowed.Response.TargetQueueDepth, swallowed.Response.MetricValue = 101, 100, 10100
	well := kedaTells(kedav1alpha1.ConditionActive, "True", "ScalerActive", "x")
	for name, test := range map[string]struct {
		auto     func(*v1.AutoScalingSpec)
		replicas int32
		so       *kedav1alpha1.ScaledObject
		answer   *inquiry.Answer
		reason   string
		words    []string
		look     time.Duration
	}{
		"up, within its time": {nil, 1, well, asked(1, up, above, "1 → 4", 89*time.Second), "AboveUpperBound", []string{"1 → 4"}, time.Second},
		"up":                  {nil, 1, well, asked(1, up, above, "1 → 4", 90*time.Second), v1.ReasonNotCarriedOut, []string{"more workers are asked for since 2026-01-02T15:02:35Z", "1 → 4", "KEDA reports nothing", "kubectl -n shop describe hpa keda-hpa-orders", "keda-operator"}, 0},
		"up, another HPA":     {func(a *v1.AutoScalingSpec) { a.HPAName = "mine" }, 1, well, asked(1, up, above, "1 → 4", 90*time.Second), v1.ReasonNotCarriedOut, []string{"more workers are asked for since 2026-01-02T15:02:35Z", "1 → 4", "KEDA reports nothing", "kubectl -n shop describe hpa mine", "keda-operator"}, 0},
		"down":                {nil, 5, well, asked(5, down, below, "5 → 4", 90*time.Second), v1.ReasonNotCarriedOut, []string{"5 → 4"}, 0},
		"a longer cooldown":   {func(a *v1.AutoScalingSpec) { a.CooldownPeriod = ptr.To[int32](600) }, 1, well, asked(1, up, above, "1 → 4", 10*time.Minute), "AboveUpperBound", nil, 30 * time.Second},
		"the HPA fails":       {nil, 1, kedaTells(kedav1alpha1.ConditionHPAActive, "False", "FailedGetExternalMetric", "no metrics"), asked(1, up, above, "1 → 4", time.Hour), v1.ReasonNotCarriedOut, []string{"KEDA reports (FailedGetExternalMetric): no metrics"}, 0},
		"the HPA fails, down, beside a trigger": {func(a *v1.AutoScalingSpec) { a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("")} }, 5,
			kedaTells(kedav1alpha1.ConditionHPAActive, "False", "FailedGetScale", "x"), asked(5, down, below, "5 → 4", time.Hour), v1.ReasonNotCarriedOut, []string{"FailedGetScale"}, 0},
		"up, beside a trigger":    {func(a *v1.AutoScalingSpec) { a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("")} }, 1, well, asked(1, up, above, "1 → 4", time.Hour), v1.ReasonNotCarriedOut, nil, 0},
		"KEDA is not ready":       {nil, 1, channeltest.KEDAReady("False"), asked(1, up, above, "1 → 4", time.Hour), v1.ReasonNotCarriedOut, []string{"not ready (Test): words of KEDA's"}, 0},
		"not taken up":            {nil, 1, channeltest.KEDAReady("Unknown"), asked(1, up, above, "1 → 4", time.Hour), v1.ReasonNotCarriedOut, []string{"KEDA has not reconciled ScaledObject orders"}, 30 * time.Second},
		"waking, within its time": {sleeps, 0, well, asked(0, up, wakes, "0 → 1", 29*time.Second), "Activation", []string{"0 → 1"}, time.Second},
		"waking": {sleeps, 0, kedaTells(kedav1alpha1.ConditionActive, "False", "ScalerNotActive", "triggers are not active"), asked(0, up, wakes, "0 → 1", 30*time.Second),
			v1.ReasonNotCarriedOut, []string{"0 → 1", "(ScalerNotActive): triggers are not active", "that is KEDA's to do", "keda-operator"}, 0},
		"waking to a minimum":        {nil, 0, well, asked(0, up, inspectv1.Reason_REASON_OUTSIDE_LIMITS, "0 → 1", 89*time.Second), "OutsideLimits", nil, time.Second},
		"the last, within its time":  {sleeps, 1, well, idle(99 * time.Second), "AtMinReplicas", nil, time.Second},
		"the last":                   {sleeps, 1, well, idle(100 * time.Second), v1.ReasonNotCarriedOut, []string{"KEDA's to take", "that is KEDA's to do"}, 0},
		"the last, beside a trigger": {func(a *v1.AutoScalingSpec) { sleeps(a); a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("")} }, 1, well, idle(time.Hour), "AtMinReplicas", nil, 0},
		"the last of a minimum":      {nil, 1, well, idle(time.Hour), "AtMinReplicas", nil, 0},
		"holding":                    {nil, 3, well, asked(3, hold, inspectv1.Reason_REASON_WITHIN_BAND, "holding", time.Hour), "WithinBand", nil, 0},
		"an answer of before":        {nil, 4, well, asked(1, up, above, "1 → 4", time.Hour), "AboveUpperBound", []string{"1 → 4"}, 0},
		"a tolerance":                {nil, 100, well, swallowed, v1.ReasonNotCarriedOut, []string{"ignores a change of up to 10 %", "farther apart"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled())
			if test.auto != nil {
				test.auto(channel.Spec.AutoScaling)
			}
			seen := Observed{Deployment: channeltest.Fleet(test.replicas, test.replicas, test.replicas), ScaledObject: test.so, Answer: test.answer}
			got, ok := scaledCondition(plan.Of(channel), seen, channeltest.Now)
			require.True(t, ok)
			assert.Equal(t, test.reason, got.Reason)
			if got.Reason == v1.ReasonNotCarriedOut {
				assert.Equal(t, metav1.ConditionFalse, got.Status)
			}
			for _, words := range test.words {
				assert.Contains(t, got.Message, words)
			}
			assert.Equal(t, test.look, LookAgain(plan.Of(channel), seen, channeltest.Now))
		})
	}
}

// A controller that starts anew goes on telling, with the same time and without another
// event; it tells nothing of another number.
func TestUndoneOutlivesTheController(t *testing.T) {
	up := func(replicas int32, ago time.Duration) Observed {
		return Observed{Deployment: channeltest.Fleet(replicas, replicas, replicas), ScaledObject: channeltest.KEDAReady("True"),
			Answer: asked(replicas, inspectv1.Action_ACTION_SCALE_UP, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "up", ago)}
	}
	channel := channeltest.Channel(channeltest.AutoScaled())
	next, _ := Next(plan.Of(channel), up(1, time.Hour), channeltest.Now)
	event := NotCarriedOutEvent(channel, next, "pod-1", channeltest.Now)
	require.NotNil(t, event)
	assert.Equal(t, []string{corev1.EventTypeWarning, v1.ReasonNotCarriedOut}, []string{event.Type, event.Reason})
	assert.Contains(t, event.Note, "keda-operator")

	channel.Status = next
	again, _ := Next(plan.Of(channel), up(1, time.Second), channeltest.Now)
	assert.Equal(t, channeltest.ConditionOf(t, next, v1.ConditionScaled), channeltest.ConditionOf(t, again, v1.ConditionScaled))
	assert.Nil(t, NotCarriedOutEvent(channel, again, "pod-2", channeltest.Now))

	turned := up(1, time.Second)
	turned.Answer.Response.Action = inspectv1.Action_ACTION_SCALE_DOWN
	down, _ := Next(plan.Of(channel), turned, channeltest.Now)
	assert.NotEqual(t, v1.ReasonNotCarriedOut, channeltest.ConditionOf(t, down, v1.ConditionScaled).Reason, "the other direction is another decision")

	other, _ := Next(plan.Of(channel), up(2, time.Second), channeltest.Now)
	assert.Equal(t, "AboveUpperBound", channeltest.ConditionOf(t, other, v1.ConditionScaled).Reason)
	assert.Nil(t, NotCarriedOutEvent(channel, other, "pod-2", channeltest.Now))
}

// What held a decision up until now gives whoever carries it out the whole time again.
func TestFreedDecisionsAreNotLateAtOnce(t *testing.T) {
	seen := Observed{Deployment: channeltest.Fleet(5, 5, 5), ScaledObject: channeltest.KEDAReady("True"), Answer: fewer(time.Hour)}
	for reason, want := range map[string]bool{
		v1.ReasonPaused: true, v1.ReasonHeldBySchedule: true, v1.ReasonFallback: true, v1.ReasonRefused: true, v1.ReasonHeldByScaledObject: true,
		v1.ReasonHeldByTrigger: false, v1.ReasonNotCarriedOut: false, "BelowLowerBound": false, "Cooldown": false,
	} {
		t.Run(reason, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled())
			channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionScaled, Status: "False", Reason: reason}}
			assert.Equal(t, want, Freed(plan.Of(channel), seen))
		})
	}
}

// KEDA is believed away once neither clock, of the API server nor of the controller, gives
// it time any more.
func TestKEDAThatNeverCame(t *testing.T) {
	for name, test := range map[string]struct {
		notReady, made time.Duration // how long ago; 0: not told yet
		taken          metav1.ConditionStatus
		reason         string
		look           time.Duration
	}{
		"a new channel":                    {0, time.Second, "Unknown", v1.ReasonProgressing, 30 * time.Second},
		"within its time":                  {29 * time.Second, 29 * time.Second, "Unknown", v1.ReasonProgressing, time.Second},
		"late":                             {30 * time.Second, 31 * time.Second, "Unknown", v1.ReasonKEDANotReady, 0},
		"a new ScaledObject of an old one": {time.Hour, time.Second, "Unknown", v1.ReasonProgressing, 29 * time.Second},
		"the API server's clock is ahead":  {30 * time.Second, -10 * time.Minute, "Unknown", v1.ReasonKEDANotReady, 0},
		"the API server's clock is behind": {20 * time.Second, 10 * time.Minute, "Unknown", v1.ReasonProgressing, 10 * time.Second},
		"the last controller's was ahead":  {-10 * time.Minute, time.Hour, "Unknown", v1.ReasonProgressing, 30 * time.Second},
		"taken up":                         {time.Hour, time.Hour, "True", v1.ReasonAvailable, 0},
		"taken up, and refused":            {time.Hour, time.Hour, "False", v1.ReasonKEDANotReady, 0},
	} {
		t.Run(name, func(t *testing.T) {
			channel, so := channeltest.Channel(channeltest.AutoScaled()), channeltest.KEDAReady(test.taken)
			if test.notReady != 0 {
				channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionReady, Status: "False", LastTransitionTime: metav1.NewTime(channeltest.Now.Add(-test.notReady))}}
			}
			so.CreationTimestamp = metav1.NewTime(channeltest.Now.Add(-test.made))
			seen := Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: so}
			next, _ := Next(plan.Of(channel), seen, channeltest.Now)
			got := channeltest.ConditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, test.reason, got.Reason)
			assert.Equal(t, test.reason == v1.ReasonKEDANotReady && test.taken == "Unknown", channeltest.ContainsAll(got.Message, "keda-operator seems not to run"))
			assert.Equal(t, test.look, LookAgain(plan.Of(channel), seen, channeltest.Now))
		})
	}
}

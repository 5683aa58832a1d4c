package status

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// fewer is the answer 5 → 4, given since that long ago.
func fewer(ago time.Duration) *inquiry.Answer {
	a := channeltest.Answered(5, 0, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, "5 → 4")
	a.Response.Action = inspectv1.Action_ACTION_SCALE_DOWN
	a.Since = channeltest.Now.Add(-ago)
	return a
}

// now is a Friday, 16:04:05 in Berlin.
func TestHeld(t *testing.T) {
	schedules := func(s ...v1.Schedule) func(*v1.AutoScalingSpec) {
		return func(a *v1.AutoScalingSpec) { a.Schedules = s }
	}
	triggers := func(a *v1.AutoScalingSpec) { a.Triggers = []kedav1alpha1.ScaleTriggers{channeltest.CPU("")} }
	told := func(reason string, replicas int32) v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: replicas, Conditions: []metav1.Condition{{Type: v1.ConditionScaled, Status: "True", Reason: reason}}}
	}
	up := fewer(time.Hour)
	up.Response.Action = inspectv1.Action_ACTION_SCALE_UP
	for name, test := range map[string]struct {
		auto   func(*v1.AutoScalingSpec)
		before v1.PubSubChannelStatus
		answer *inquiry.Answer
		reason string
		words  string
		look   time.Duration // when to look again
	}{
		"a schedule, at once":                 {schedules(channeltest.Office()), v1.PubSubChannelStatus{}, fewer(0), v1.ReasonHeldBySchedule, "schedule office keeps at least 5 workers until 2026-01-02 18:00 CET; without it the queue would ask for: 5 → 4", 115*time.Minute + 55*time.Second},
		"a schedule of more":                  {schedules(channeltest.Office(func(s *v1.Schedule) { s.MinReplicas = 8 })), v1.PubSubChannelStatus{}, fewer(0), v1.ReasonHeldBySchedule, "keeps at least 8", 115*time.Minute + 55*time.Second},
		"a schedule of fewer":                 {schedules(channeltest.Office(func(s *v1.Schedule) { s.MinReplicas = 4 })), v1.PubSubChannelStatus{}, fewer(time.Hour), v1.ReasonNotCarriedOut, "5 → 4", 0},
		"a schedule at another time":          {schedules(channeltest.Office(func(s *v1.Schedule) { s.End = "0 16 * * 1-5" })), v1.PubSubChannelStatus{}, fewer(time.Hour), v1.ReasonNotCarriedOut, "5 → 4", 0},
		"a trigger, not for long enough":      {triggers, v1.PubSubChannelStatus{}, fewer(80 * time.Second), "BelowLowerBound", "5 → 4", 10 * time.Second},
		"a trigger, longer than the cooldown": {triggers, v1.PubSubChannelStatus{}, fewer(90 * time.Second), v1.ReasonHeldByTrigger, "a trigger of spec.autoScaling.triggers keeps 5 workers; without it the queue would ask for: 5 → 4", 0},
		"a trigger, told before a restart":    {triggers, told(v1.ReasonHeldByTrigger, 5), fewer(0), v1.ReasonHeldByTrigger, "the queue would ask for", 90 * time.Second},
		"a trigger, told of another number":   {triggers, told(v1.ReasonHeldByTrigger, 6), fewer(0), "BelowLowerBound", "5 → 4", 90 * time.Second},
		"nothing that could hold":             {func(*v1.AutoScalingSpec) {}, v1.PubSubChannelStatus{}, fewer(time.Hour), v1.ReasonNotCarriedOut, "5 → 4", 0},
		"the other way":                       {triggers, v1.PubSubChannelStatus{}, up, v1.ReasonNotCarriedOut, "5 → 4", 0},
		"the scaler can't decide":             {triggers, v1.PubSubChannelStatus{}, &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "x")}, v1.ReasonDecisionUnknown, "can't decide", 0},
		"a longer cooldown":                   {func(a *v1.AutoScalingSpec) { triggers(a); a.CooldownPeriod = ptr.To[int32](600) }, v1.PubSubChannelStatus{}, fewer(10 * time.Minute), "BelowLowerBound", "5 → 4", 30 * time.Second},
		"a schedule before a trigger":         {func(a *v1.AutoScalingSpec) { triggers(a); schedules(channeltest.Office())(a) }, v1.PubSubChannelStatus{}, fewer(time.Hour), v1.ReasonHeldBySchedule, "office", 115*time.Minute + 55*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled(test.auto))
			channel.Status = test.before
			seen := Observed{Deployment: channeltest.Fleet(5, 5, 5), ScaledObject: channeltest.KEDAReady("True"), Answer: test.answer}
			got, ok := scaledCondition(plan.Of(channel), seen, channeltest.Now)
			assert.True(t, ok)
			assert.Equal(t, test.reason, got.Reason)
			assert.Contains(t, got.Message, test.words)
			held := test.reason == v1.ReasonHeldBySchedule || test.reason == v1.ReasonHeldByTrigger
			assert.Equal(t, held, got.Status == metav1.ConditionTrue, "held, the number is the one decided")
			assert.Equal(t, test.look, LookAgain(plan.Of(channel), seen, channeltest.Now))
		})
	}
}

// A decision is as old as its first answer; another question or decision is a new one.
func TestSinceWhenADecisionStands(t *testing.T) {
	other := fewer(0)
	other.Response.Action = inspectv1.Action_ACTION_HOLD
	another := fewer(0)
	another.Question.Replicas = 6
	for name, test := range map[string]struct {
		next *inquiry.Answer
		same bool
	}{
		"the same":         {fewer(0), true},
		"another depth":    {func() *inquiry.Answer { a := fewer(0); a.Response.QueueDepth = 7; return a }(), true},
		"another action":   {other, false},
		"another question": {another, false},
		"a failure":        {&inquiry.Answer{Question: inquiry.Question{Replicas: 5}, Err: channeltest.ScalerError(codes.Unavailable, "x")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.same, test.next.Decides(fewer(time.Hour)))
			assert.False(t, test.next.Decides(nil))
		})
	}
}

func TestFallbackCondition(t *testing.T) {
	so := channeltest.KEDAReady("True")
	so.Status.Conditions.SetFallbackCondition("True", "FallbackExists", "At least one trigger is falling back on this scaled object")
	for name, test := range map[string]struct {
		behavior string
		paused   bool
		answer   *inquiry.Answer
		words    []string // empty: no word of it
	}{
		"static":    {"static", false, &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "refused")}, []string{"KEDA falls back to 6 workers", "At least one trigger", "can't decide (Unavailable): refused"}},
		"unset":     {"", false, nil, []string{"falls back to 6 workers"}},
		"current":   {"currentReplicas", false, nil, []string{"the workers that there are"}},
		"if higher": {"currentReplicasIfHigher", false, channeltest.Answered(5, 1, 0, "holding"), []string{"where they are more", "without the fallback the scaler would decide: holding"}},
		"if lower":  {"currentReplicasIfLower", false, nil, []string{"where they are fewer"}},
		"paused":    {"static", true, channeltest.Answered(5, 1, 0, "holding"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
				a.Fallback = &kedav1alpha1.Fallback{FailureThreshold: 3, Replicas: 6, Behavior: test.behavior}
			}))
			channel.Spec.Paused = test.paused
			got, ok := scaledCondition(plan.Of(channel), Observed{Deployment: channeltest.Fleet(5, 5, 5), ScaledObject: so, Answer: test.answer}, channeltest.Now)
			assert.True(t, ok)
			assert.Equal(t, test.words != nil, got.Reason == v1.ReasonFallback)
			for _, words := range test.words {
				assert.Contains(t, got.Message, words)
			}
		})
	}
	channel := channeltest.Channel(channeltest.AutoScaled())
	got, _ := scaledCondition(plan.Of(channel), Observed{Deployment: channeltest.Fleet(5, 5, 5), ScaledObject: so, Answer: channeltest.Answered(5, 1, 0, "x")}, channeltest.Now)
	assert.NotEqual(t, v1.ReasonFallback, got.Reason, "a fallback that was taken out counts no more")
}

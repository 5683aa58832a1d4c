package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func TestReady(t *testing.T) {
	stuck := channeltest.Fleet(3, 3, 0)
	stuck.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "m"}}
	refused := channeltest.Fleet(3, 0, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "quota"}}
	old := channeltest.Fleet(3, 3, 3)
	old.Generation = 3
	for name, test := range map[string]struct {
		scaled bool
		seen   Observed
		reason string
		phase  v1.Phase
		words  string
	}{
		"all ready":               {false, Observed{Deployment: channeltest.Fleet(3, 3, 3)}, v1.ReasonAvailable, v1.PhaseRunning, "3 of 3"},
		"none wanted":             {false, Observed{Deployment: channeltest.Fleet(0, 0, 0)}, v1.ReasonAvailable, v1.PhaseRunning, "0 of 0"},
		"none yet":                {false, Observed{Deployment: channeltest.Fleet(3, 3, 0)}, v1.ReasonProgressing, v1.PhasePending, "0 of 3"},
		"some":                    {false, Observed{Deployment: channeltest.Fleet(3, 3, 2)}, v1.ReasonProgressing, v1.PhaseScaling, "2 of 3"},
		"counts of before":        {false, Observed{Deployment: old}, v1.ReasonProgressing, v1.PhaseScaling, "3 of 3"},
		"no Deployment":           {false, Observed{}, v1.ReasonProgressing, v1.PhasePending, "being created"},
		"stuck":                   {false, Observed{Deployment: stuck}, v1.ReasonDeploymentFailed, v1.PhaseFailed, "ProgressDeadlineExceeded"},
		"refused":                 {false, Observed{Deployment: refused}, v1.ReasonDeploymentFailed, v1.PhaseFailed, "quota"},
		"no KEDA":                 {true, Observed{Deployment: channeltest.Fleet(1, 1, 1), Problem: apply.ErrKEDANotInstalled}, v1.ReasonKEDANotInstalled, v1.PhasePending, "install KEDA"},
		"no ScaledObject":         {true, Observed{Deployment: channeltest.Fleet(1, 1, 1)}, v1.ReasonProgressing, v1.PhaseRunning, "being created"},
		"KEDA not ready":          {true, Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("False")}, v1.ReasonKEDANotReady, v1.PhaseRunning, "words of KEDA's"},
		"KEDA has not looked yet": {true, Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("Unknown")}, v1.ReasonProgressing, v1.PhaseRunning, "has not reconciled"},
		"KEDA ready":              {true, Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("True")}, v1.ReasonAvailable, v1.PhaseRunning, "1 of 1"},
		"KEDA not gone":           {false, Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("True")}, v1.ReasonProgressing, v1.PhaseRunning, "has not released the ScaledObject"},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			if test.scaled {
				channeltest.AutoScaled()(channel)
			}
			next, _ := Next(plan.Of(channel), test.seen, channeltest.Now)
			ready := channeltest.ConditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, test.reason, ready.Reason)
			assert.Equal(t, test.reason == v1.ReasonAvailable, ready.Status == metav1.ConditionTrue)
			assert.Contains(t, ready.Message, test.words)
			assert.Equal(t, test.phase, next.Phase)
			assert.EqualValues(t, 1, next.ObservedGeneration)
		})
	}
}

func TestScaledCondition(t *testing.T) {
	up := channeltest.Answered(1, 500, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "1 → 4")
	up.Response.Action = inspectv1.Action_ACTION_SCALE_UP
	for name, test := range map[string]struct {
		scaled bool
		answer *inquiry.Answer
		state  metav1.ConditionStatus
		reason string
	}{
		"off":          {false, up, metav1.ConditionTrue, v1.ReasonAutoScalingDisabled},
		"holding":      {true, channeltest.Answered(1, 5, inspectv1.Reason_REASON_WITHIN_BAND, ""), metav1.ConditionTrue, "WithinBand"},
		"on its way":   {true, up, metav1.ConditionFalse, "AboveUpperBound"},
		"can't decide": {true, &inquiry.Answer{Err: channeltest.ScalerError(codes.NotFound, "no key")}, metav1.ConditionFalse, v1.ReasonDecisionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			if test.scaled {
				channeltest.AutoScaled()(channel)
			}
			next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("True"), Answer: test.answer}, channeltest.Now)
			got := channeltest.ConditionOf(t, next, v1.ConditionScaled)
			assert.Equal(t, test.state, got.Status)
			assert.Equal(t, test.reason, got.Reason)
		})
	}
}

// Time that passes makes no new status, though the scaler's Explanation counts down; a new
// depth does.
func TestStatusIsQuiet(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled())
	seen := Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 500, inspectv1.Reason_REASON_COOLDOWN, "until 15:05:05 UTC")}
	channel.Status, _ = Next(plan.Of(channel), seen, channeltest.Now)
	settled, _ := Next(plan.Of(channel), seen, channeltest.Now.Add(time.Second))
	require.Equal(t, channel.Status, settled)

	seen.Answer = channeltest.Answered(3, 500, inspectv1.Reason_REASON_COOLDOWN, "until 15:05:05 UTC")
	seen.Answer.Response.Explanation = "8 s left"
	next, _ := Next(plan.Of(channel), seen, channeltest.Now.Add(15*time.Second))
	assert.Equal(t, channel.Status, next)

	seen.Answer = channeltest.Answered(3, 501, inspectv1.Reason_REASON_COOLDOWN, "501; until 15:05:05 UTC")
	next, _ = Next(plan.Of(channel), seen, channeltest.Now.Add(15*time.Second))
	assert.EqualValues(t, 501, *next.QueueDepth)
	assert.Equal(t, "501; until 15:05:05 UTC", channeltest.ConditionOf(t, next, v1.ConditionScaled).Message)

	seen.Answer = &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "refused 1 time")}
	channel.Status, _ = Next(plan.Of(channel), seen, channeltest.Now)
	assert.Nil(t, channel.Status.QueueDepth, "missing is never 0")
	seen.Answer = &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "refused 2 times")}
	next, _ = Next(plan.Of(channel), seen, channeltest.Now)
	assert.NotEqual(t, channel.Status, next, "other words")
	seen.Answer = &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "refused 9 time")}
	next, _ = Next(plan.Of(channel), seen, channeltest.Now)
	assert.Equal(t, channeltest.ConditionOf(t, channel.Status, v1.ConditionConnected), channeltest.ConditionOf(t, next, v1.ConditionConnected), "the same words, counted on")
}

// While no answer is there, what was known stays.
func TestStatusKeepsWhatItKnows(t *testing.T) {
	channel := channeltest.Channel()
	channel.Status, _ = Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1), Answer: channeltest.Answered(1, 7, inspectv1.Reason_REASON_IDLE, "")}, channeltest.Now)
	next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(1, 1, 1)}, channeltest.Now)
	assert.Equal(t, channel.Status, next)
}

func TestScalings(t *testing.T) {
	known := channeltest.Answered(4, 500, inspectv1.Reason_REASON_WITHIN_BAND, "")
	unknown := &inquiry.Answer{Question: inquiry.Question{Replicas: 4}, Err: status.Error(codes.Unavailable, "x")}
	for name, test := range map[string]struct {
		before v1.PubSubChannelStatus
		answer *inquiry.Answer
		want   string // empty: none
		told   int32  // desiredReplicas afterwards
	}{
		"the first look":           {v1.PubSubChannelStatus{}, known, "", 4},
		"a scaling":                {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, known, "Scaled from 3 to 4 replicas (queue depth: 500)", 4},
		"a depth that is unknown":  {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, unknown, "Scaled from 3 to 4 replicas", 4},
		"no change":                {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 4}, known, "", 4},
		"an answer of before":      {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, channeltest.Answered(3, 1, 0, ""), "", 3},
		"no answer yet":            {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, nil, "", 3},
		"from zero, which was one": {v1.PubSubChannelStatus{Selector: "s"}, known, "Scaled from 0 to 4 replicas (queue depth: 500)", 4},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			channel.Status = test.before
			next, change := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(4, 4, 4), Answer: test.answer}, channeltest.Now)
			assert.Equal(t, test.told, next.DesiredReplicas)
			if test.want == "" {
				assert.Nil(t, change)
				assert.Nil(t, next.LastScaleTime)
				return
			}
			require.NotNil(t, change)
			assert.Equal(t, test.want, change.message())
			assert.True(t, next.LastScaleTime.Time.Equal(channeltest.Now))
		})
	}
}

func TestEvent(t *testing.T) {
	channel := channeltest.Channel()
	event := ScaledEvent(channel, Scaling{From: 3, To: 4, depth: ptr.To[int64](500)}, "pod-1", channeltest.Now)
	assert.Equal(t, "Scaled from 3 to 4 replicas (queue depth: 500)", event.Note)
	assert.Equal(t, channel.UID, event.Regarding.UID)
	assert.NotEqual(t, event.Name, ScaledEvent(channel, Scaling{}, "pod-1", channeltest.Now.Add(time.Nanosecond)).Name)
}

func TestDeletingIsAllThatIsSaid(t *testing.T) {
	channel := channeltest.Channel()
	channel.DeletionTimestamp = ptr.To(metav1.NewTime(channeltest.Now))
	channel.Status.Replicas = 3
	next, change := Next(plan.Of(channel), Observed{}, channeltest.Now)
	assert.Nil(t, change)
	assert.Equal(t, v1.PhaseDeleting, next.Phase)
	assert.EqualValues(t, 3, next.Replicas)
}

// While something is tried again at once, the numbers go on, and no word is said of what the
// channel's new generation came to.
func TestUnsettledStatus(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled(), func(c *v1.PubSubChannel) { c.Generation = 2 })
	channel.Status, _ = Next(plan.Of(channeltest.Channel(channeltest.AutoScaled())), Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 7, 0, "")}, channeltest.Now)
	next, change := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(5, 4, 4), Answer: channeltest.Answered(5, 9, 0, ""), Unsettled: true}, channeltest.Now)
	assert.EqualValues(t, 1, next.ObservedGeneration)
	assert.EqualValues(t, 1, channeltest.ConditionOf(t, next, v1.ConditionReady).ObservedGeneration)
	assert.EqualValues(t, 4, next.Replicas)
	assert.EqualValues(t, 9, *next.QueueDepth)
	require.NotNil(t, change)
	assert.EqualValues(t, 5, change.To)
}

// A budget that is refused is told, and says nothing against the workers' number.
func TestRefusedBudgetAside(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled())
	seen := Observed{
		Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 7, inspectv1.Reason_REASON_WITHIN_BAND, "holding"),
		Problem: &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonRefused, Message: "quota: used 5"}, Aside: true,
	}
	next, _ := Next(plan.Of(channel), seen, channeltest.Now)
	assert.Equal(t, "WithinBand", channeltest.ConditionOf(t, next, v1.ConditionScaled).Reason)
	assert.Equal(t, v1.ReasonRefused, channeltest.ConditionOf(t, next, v1.ConditionReady).Reason)
	channel.Status = next
	seen.Problem = &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonRefused, Message: "quota: used 6"}
	again, _ := Next(plan.Of(channel), seen, channeltest.Now)
	assert.Equal(t, next, again, "the same refusal, only counted on")
	seen.Aside = false
	next, _ = Next(plan.Of(channel), seen, channeltest.Now)
	assert.Equal(t, v1.ReasonRefused, channeltest.ConditionOf(t, next, v1.ConditionScaled).Reason)
}

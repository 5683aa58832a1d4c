package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// upward is an answer that asks for one more worker.
func upward(depth int64, at time.Time) *inquiry.Answer {
	a := channeltest.Answered(3, depth, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "3 → 4")
	a.At = at
	a.Response.Action, a.Response.DesiredReplicas, a.Response.LowerBound, a.Response.UpperBound = inspectv1.Action_ACTION_SCALE_UP, 4, 150, 450
	a.Response.Active, a.Response.Arithmetic = true, "ceil(500 ÷ 150) = 4"
	return a
}

func decisionAfter(channel *v1.PubSubChannel, answer *inquiry.Answer) *v1.ScalingDecision {
	next, _ := Next(plan.Of(channel), Observed{At: channeltest.Now, Deployment: channeltest.Fleet(3, 3, 3), Answer: answer}, channeltest.Now)
	return next.Decision
}

// The decision is told with what is new, absent while nobody can tell it, and stays while the
// scaler has not been asked.
func TestTheDecisionIsToldOrAbsent(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled())
	first := decisionAfter(channel, upward(500, channeltest.Now))
	require.NotNil(t, first)
	assert.Equal(t, v1.ScalingUp, first.Action)
	assert.Equal(t, channeltest.Now.Truncate(time.Second), first.ObservedTime.Time)

	channel.Status.Decision = first
	later := channeltest.Now.Add(15 * time.Second)
	assert.Equal(t, first, decisionAfter(channel, upward(500, later)), "the same, as it was told")
	deeper := decisionAfter(channel, upward(501, later))
	assert.EqualValues(t, 501, deeper.QueueDepth)
	assert.Equal(t, later.Truncate(time.Second), deeper.ObservedTime.Time)
	assert.Equal(t, first, decisionAfter(channel, nil), "not asked yet")
	assert.Nil(t, decisionAfter(channel, &inquiry.Answer{Err: channeltest.ScalerError(codes.Unavailable, "refused")}), "nothing stale")
	newer := upward(500, later)
	newer.Response.Action = 9
	assert.Nil(t, decisionAfter(channel, newer), "an action of a newer scaler")

	unreadable := channeltest.Channel(channeltest.AutoScaled())
	unreadable.Status.Decision = first
	assert.Nil(t, Unreadable(&plan.Plan{Channel: unreadable, Unreadable: &plan.Problem{}}, channeltest.Now).Decision)
}

// With autoscaling off nothing is decided, whatever the scaler would decide; what it read is told.
func TestWithoutAutoscalingNothingIsDecided(t *testing.T) {
	d := decisionAfter(channeltest.Channel(), upward(500, channeltest.Now))
	require.NotNil(t, d)
	assert.Equal(t, v1.ScalingHold, d.Action)
	assert.Equal(t, v1.ReasonAutoScalingDisabled, d.Reason)
	assert.Equal(t, "autoScaling is off: spec.replicas asks for 1", d.Message)
	assert.EqualValues(t, 3, d.DesiredReplicas, "as there are")
	assert.False(t, d.Active)
	assert.Empty(t, d.Arithmetic)
	assert.EqualValues(t, 500, d.QueueDepth)
	assert.EqualValues(t, 450, d.UpperBound)
}

package status

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// byUtilization asks for the policy.
func byUtilization(a *v1.AutoScalingSpec) { a.Policy, a.WorkerConcurrency = v1.PolicyUtilization, 4 }

// decidedBy is an answer with 2 workers, of a policy.
func decidedBy(policy string, change ...func(*inspectv1.ExplainResponse)) *inquiry.Answer {
	answer := channeltest.Answered(2, 5, inspectv1.Reason_REASON_WITHIN_BAND, "")
	answer.Response.PolicyInUse = policy
	for _, c := range change {
		c(answer.Response)
	}
	return answer
}

var (
	fellBack = decidedBy("Threshold", func(r *inspectv1.ExplainResponse) { r.FallbackReason = "nothing shows it for 3 s" })
	tooMany  = decidedBy("Utilization", func(r *inspectv1.ExplainResponse) { r.ConcurrencyRemark = "each worker has 7.5 in flight" })
	inUse    = decidedBy("Utilization")
)

// utilizationIs is a condition that the status had for so long.
func utilizationIs(status metav1.ConditionStatus, reason string, since time.Duration) *metav1.Condition {
	return &metav1.Condition{
		Type: v1.ConditionUtilization, Status: status, Reason: reason, Message: "as before", ObservedGeneration: 1,
		LastTransitionTime: metav1.NewTime(channeltest.Now.Add(-since)),
	}
}

func TestUtilizationCondition(t *testing.T) {
	failed := &inquiry.Answer{Question: inquiry.Question{Replicas: 2}, Err: errors.New("unread")}
	asleep := decidedBy("Threshold")
	asleep.Question.Replicas = 0
	newPolicy := decidedBy("Cleverness")
	for name, test := range map[string]struct {
		last   *metav1.Condition
		answer *inquiry.Answer
		status metav1.ConditionStatus // empty: no condition
		reason string
		words  string
		again  time.Duration
	}{
		"nothing known yet":                {nil, nil, "", "", "", 0},
		"the queue can't be read":          {nil, failed, "", "", "", 0},
		"no workers":                       {nil, asleep, "", "", "", 0},
		"no workers any more":              {utilizationIs("True", v1.ReasonInUse, time.Hour), asleep, "True", v1.ReasonInUse, "as before", 0},
		"in use":                           {nil, inUse, "True", v1.ReasonInUse, "one worker works on 4 at once", 0},
		"in use again":                     {utilizationIs("False", v1.ReasonFellBack, time.Hour), inUse, "True", v1.ReasonInUse, "", 0},
		"fell back just now":               {nil, fellBack, "Unknown", v1.ReasonFellBack, "nothing shows it", time.Minute},
		"fell back just now, after use":    {utilizationIs("True", v1.ReasonInUse, time.Hour), fellBack, "Unknown", v1.ReasonFellBack, "nothing shows it", time.Minute},
		"fell back some seconds ago":       {utilizationIs("Unknown", v1.ReasonFellBack, 20*time.Second), fellBack, "Unknown", v1.ReasonFellBack, "", 40 * time.Second},
		"fell back a minute ago":           {utilizationIs("Unknown", v1.ReasonFellBack, time.Minute), fellBack, "False", v1.ReasonFellBack, "", 0},
		"fell back, and the clock jumped":  {utilizationIs("Unknown", v1.ReasonFellBack, -time.Hour), fellBack, "Unknown", v1.ReasonFellBack, "", time.Minute},
		"fell back long ago":               {utilizationIs("False", v1.ReasonFellBack, time.Hour), fellBack, "False", v1.ReasonFellBack, "", 0},
		"workers work on more":             {utilizationIs("Unknown", v1.ReasonWorkerConcurrencyUnexpected, time.Hour), tooMany, "False", v1.ReasonWorkerConcurrencyUnexpected, "7.5 in flight", 0},
		"workers work on more, seen again": {utilizationIs("False", v1.ReasonFellBack, time.Hour), tooMany, "Unknown", v1.ReasonWorkerConcurrencyUnexpected, "7.5 in flight", time.Minute},
		"an older scaler":                  {utilizationIs("Unknown", v1.ReasonFellBack, time.Hour), decidedBy(""), "False", v1.ReasonFellBack, "bring both up to the same version", 0},
		"a policy of a newer scaler":       {utilizationIs("Unknown", v1.ReasonFellBack, time.Hour), newPolicy, "False", v1.ReasonFellBack, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled(byUtilization))
			if test.last != nil {
				channel.Status.Conditions = []metav1.Condition{*test.last}
			}
			p, seen := plan.Of(channel), Observed{Deployment: channeltest.Fleet(2, 2, 2), Answer: test.answer}
			next, _ := Next(p, seen, channeltest.Now)
			assert.Equal(t, ptr.To[int32](4), next.WorkerConcurrency)
			assert.Equal(t, test.again, untilUtilizationTold(p, seen, channeltest.Now))
			if test.status == "" {
				assert.Nil(t, meta.FindStatusCondition(next.Conditions, v1.ConditionUtilization))
				return
			}
			got := channeltest.ConditionOf(t, next, v1.ConditionUtilization)
			assert.Equal(t, test.status, got.Status)
			assert.Equal(t, test.reason, got.Reason)
			assert.Contains(t, got.Message, test.words)
		})
	}
}

func TestPolicyInUse(t *testing.T) {
	policyAfter := func(had v1.ScalingPolicy, answer *inquiry.Answer, change ...func(*v1.PubSubChannel)) v1.ScalingPolicy {
		channel := channeltest.Channel(change...)
		channel.Status.PolicyInUse = had
		next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(2, 2, 2), Answer: answer}, channeltest.Now)
		return next.PolicyInUse
	}
	asks := channeltest.AutoScaled(byUtilization)
	assert.Equal(t, v1.PolicyUtilization, policyAfter("", inUse, asks))
	assert.Equal(t, v1.PolicyThreshold, policyAfter(v1.PolicyUtilization, fellBack, asks))
	assert.Equal(t, v1.PolicyThreshold, policyAfter("", decidedBy(""), channeltest.AutoScaled()), "of an older scaler")
	assert.Equal(t, v1.PolicyUtilization, policyAfter(v1.PolicyUtilization, nil, asks), "what is not known stays")
	assert.Empty(t, policyAfter(v1.PolicyUtilization, inUse), "autoscaling is off")
	assert.Empty(t, policyAfter(v1.PolicyUtilization, decidedBy("Cleverness"), asks), "the CRD would refuse it")
}

// Of a policy that is not asked for any more, nothing stays in the status.
func TestUtilizationGoesWithItsPolicy(t *testing.T) {
	for name, change := range map[string]func(*v1.PubSubChannel){
		"another policy":     channeltest.AutoScaled(),
		"autoscaling is off": channeltest.AutoScaled(byUtilization, func(a *v1.AutoScalingSpec) { a.Enabled = false }),
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(change)
			channel.Status.Conditions = []metav1.Condition{*utilizationIs("False", v1.ReasonFellBack, time.Hour)}
			channel.Status.WorkerConcurrency = ptr.To[int32](4)
			next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(2, 2, 2), Answer: fellBack}, channeltest.Now)
			assert.Nil(t, meta.FindStatusCondition(next.Conditions, v1.ConditionUtilization))
			assert.Nil(t, next.WorkerConcurrency)
		})
	}
}

// A message with numbers that waver is written once.
func TestAWaveringRemarkIsNoNews(t *testing.T) {
	channel := channeltest.Channel(channeltest.AutoScaled(byUtilization))
	channel.Status.Conditions = []metav1.Condition{*utilizationIs("False", v1.ReasonWorkerConcurrencyUnexpected, time.Hour)}
	channel.Status.Conditions[0].Message = "each worker has 8.1 in flight"
	next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(2, 2, 2), Answer: tooMany}, channeltest.Now)
	assert.Equal(t, "each worker has 8.1 in flight", channeltest.ConditionOf(t, next, v1.ConditionUtilization).Message)
}

func TestUtilizationEvent(t *testing.T) {
	with := func(c *metav1.Condition) v1.PubSubChannelStatus {
		if c == nil {
			return v1.PubSubChannelStatus{}
		}
		return v1.PubSubChannelStatus{Conditions: []metav1.Condition{*c}}
	}
	fault, settling := utilizationIs("False", v1.ReasonFellBack, 0), utilizationIs("Unknown", v1.ReasonFellBack, 0)
	for name, test := range map[string]struct {
		before, after *metav1.Condition
		told          bool
	}{
		"none":            {nil, nil, false},
		"in use":          {nil, utilizationIs("True", v1.ReasonInUse, 0), false},
		"settling":        {nil, settling, false},
		"settled":         {settling, fault, true},
		"told":            {fault, fault, false},
		"for another one": {fault, utilizationIs("False", v1.ReasonWorkerConcurrencyUnexpected, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			channel.Status = with(test.before)
			event := UtilizationEvent(channel, with(test.after), "pod-1", channeltest.Now)
			if !test.told {
				assert.Nil(t, event)
				return
			}
			require.NotNil(t, event)
			assert.Equal(t, "Warning", event.Type)
			assert.Equal(t, test.after.Reason, event.Reason)
			assert.Equal(t, "as before", event.Note)
		})
	}
}

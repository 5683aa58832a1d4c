package explanation

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// Each reason of the policy's has its own in the answer, of the same name.
func TestEveryReasonIsTold(t *testing.T) {
	for _, reason := range declared.Values[policy.Reason](t) {
		name := strings.ReplaceAll(strings.TrimPrefix(reasons[reason].String(), "REASON_"), "_", "")
		assert.Equal(t, strings.ToUpper(string(reason)), name)
	}
	assert.Len(t, reasons, len(inspectv1.Reason_name)-1, "all but UNSPECIFIED")
	assert.Len(t, actions, len(inspectv1.Action_name)-1, "all but UNSPECIFIED")
}

func TestADecisionThatTheContractHasNoNameForIsAnError(t *testing.T) {
	for words, d := range map[string]policy.Decision{
		`action 99 for reason "WithinBand"`: {Action: 99, Reason: policy.WithinBand},
		`action 1 for reason "Whim"`:        {Action: policy.Hold, Reason: "Whim"},
	} {
		out, err := Evaluation{Decision: d}.Response()
		assert.Nil(t, out)
		assert.ErrorContains(t, err, words)
	}
}

// Utilization decides as long as the work in flight is known; else it says why it does not.
func TestWhichPolicyDecides(t *testing.T) {
	utilization := policy.DefaultSpec()
	utilization.Policy = policy.ByUtilization
	recent := int64(2500)
	seen := &Work{Recent: &recent, Mean: 2000, Seen: 2 * time.Minute}
	for name, test := range map[string]struct {
		spec     policy.Spec
		reading  Reading
		inUse    policy.Name
		fallback string
	}{
		"Threshold":                {policy.DefaultSpec(), Reading{Work: seen, NoWork: "x"}, policy.ByThreshold, ""},
		"Utilization":              {utilization, Reading{Work: seen}, policy.ByUtilization, ""},
		"nothing shows the work":   {utilization, Reading{NoWork: "no worker shows it"}, policy.ByThreshold, "no worker shows it"},
		"the depth alone is given": {utilization, OfDepth("list", 500, now), policy.ByThreshold, "queue_depth says nothing of the work in flight: leave it out to have Utilization decide"},
	} {
		t.Run(name, func(t *testing.T) {
			e := Evaluate(test.spec, test.reading, Target{Replicas: 3}, now)
			assert.Equal(t, test.inUse, e.InUse)
			out, err := e.Response()
			require.NoError(t, err)
			assert.Equal(t, string(test.inUse), out.GetPolicyInUse())
			assert.Equal(t, test.fallback, out.GetFallbackReason())
			assert.Equal(t, test.inUse == policy.ByUtilization, out.Busy != nil)
		})
	}
	out, err := Evaluate(utilization, Reading{Work: seen}, Target{Replicas: 5}, now).Response()
	require.NoError(t, err)
	assert.InDelta(t, 2.5, out.GetBusy(), 0)
	assert.InDelta(t, 50, out.GetUtilization(), 0, "of 5 slots")
}

func TestDepthEndsAtTheGreatestNumber(t *testing.T) {
	assert.Equal(t, int64(math.MaxInt64), Reading{Ready: math.MaxInt64, InFlight: 1}.Depth())
	assert.Equal(t, int64(7), Reading{Ready: 3, InFlight: 4}.Depth())
}

// What else there is to know follows both forms of the message, and stands alone as well.
func TestRemarksFollowTheMessage(t *testing.T) {
	spec := policy.DefaultSpec()
	out, err := Evaluate(spec, Reading{Ready: 500, Remarks: "; the list is moved"}, Target{Replicas: 3, LastScale: now.Add(-20 * time.Second)}, now).Response()
	require.NoError(t, err)
	assert.Equal(t, "; the list is moved", out.GetRemarks())
	assert.True(t, strings.HasSuffix(out.GetExplanation(), "; the list is moved"), out.GetExplanation())
	assert.True(t, strings.HasSuffix(out.GetLastingExplanation(), "; the list is moved"), out.GetLastingExplanation())
	assert.Equal(t, 40*time.Second, out.GetCooldownLeft().AsDuration())
}

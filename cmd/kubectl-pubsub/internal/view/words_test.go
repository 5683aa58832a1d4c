package view

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

func TestEveryReasonAndActionHasWords(t *testing.T) {
	for number, name := range inspectv1.Reason_name {
		assert.Equal(t, number != 0, meanings[inspectv1.Reason(number)] != "", name)
	}
	told := map[string]bool{}
	for number := range inspectv1.Action_name {
		told[actionWords(&inspectv1.ExplainResponse{Action: inspectv1.Action(number), Replicas: 1, DesiredReplicas: 2})] = true
	}
	assert.Equal(t, map[string]bool{"Unspecified": true, "hold at 1 replica": true, "scale up, 1 → 2 replicas": true, "scale down, 1 → 2 replicas": true}, told)
}

// What the band means depends on the policy that decides: with Utilization the fleet also grows within it, and a small depth alone
// takes no worker.
func TestTheBandsWordsAreThoseOfThePolicy(t *testing.T) {
	for name, test := range map[string]struct{ policy, inUse, upper, lower string }{
		"Threshold":             {"Threshold", "Threshold", "above it the fleet grows", "below it the fleet shrinks"},
		"an older scaler":       {"", "", "above it the fleet grows", "below it the fleet shrinks"},
		"Utilization":           {"Utilization", "Utilization", "above it the fleet grows, and below it if workers are busy", "below it the fleet shrinks, as far as workers are not busy"},
		"Threshold, instead of": {"Utilization", "Threshold", "above it the fleet grows", "below it the fleet shrinks"},
	} {
		t.Run(name, func(t *testing.T) {
			rows := Decision{Answer: &inspectv1.ExplainResponse{Replicas: 2, PolicyInUse: test.inUse, Policy: &inspectv1.Policy{Policy: test.policy}}}.band()
			require.Len(t, rows, 2)
			assert.True(t, strings.HasSuffix(rows[0].value, "\t"+test.upper), rows[0].value)
			assert.True(t, strings.HasSuffix(rows[1].value, "\t"+test.lower), rows[1].value)
		})
	}
}

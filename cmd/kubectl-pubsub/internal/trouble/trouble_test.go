package trouble

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// Of several conditions the worst counts; what is only on its way, or not known yet, is no trouble.
func TestTheWorstConditionIsShown(t *testing.T) {
	well := []metav1.Condition{
		{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable},
		{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead},
		{Type: v1.ConditionScaled, Status: metav1.ConditionTrue, Reason: "WithinBand", Message: "holding"},
	}
	for name, test := range map[string]struct {
		also    []metav1.Condition
		trouble string
		rank    Rank
	}{
		"well":                          {nil, "", 0},
		"Utilization in use":            {[]metav1.Condition{{Type: v1.ConditionUtilization, Status: metav1.ConditionTrue, Reason: v1.ReasonInUse}}, "", 0},
		"Utilization, not known yet":    {[]metav1.Condition{{Type: v1.ConditionUtilization, Status: metav1.ConditionUnknown, Reason: v1.ReasonFellBack}}, "", 0},
		"Utilization that fell back":    {[]metav1.Condition{{Type: v1.ConditionUtilization, Status: metav1.ConditionFalse, Reason: v1.ReasonFellBack}}, v1.ReasonFellBack, 2},
		"workers of another make":       {[]metav1.Condition{{Type: v1.ConditionUtilization, Status: metav1.ConditionFalse, Reason: v1.ReasonWorkerConcurrencyUnexpected}}, v1.ReasonWorkerConcurrencyUnexpected, 2},
		"a queue that can't be read":    {[]metav1.Condition{{Type: v1.ConditionConnected, Status: metav1.ConditionFalse, Reason: "Unavailable"}, {Type: v1.ConditionUtilization, Status: metav1.ConditionFalse, Reason: v1.ReasonFellBack}}, "Unavailable", 3},
		"workers that are on their way": {[]metav1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1.ReasonProgressing}}, v1.ReasonProgressing, 1},
	} {
		t.Run(name, func(t *testing.T) {
			channel := &v1.PubSubChannel{}
			channel.Status.Conditions = append(append([]metav1.Condition{}, test.also...), well...)
			found := Of(channel)
			assert.Equal(t, test.trouble, found.Reason)
			assert.Equal(t, test.rank, found.Rank)
		})
	}
}

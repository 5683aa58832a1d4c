package inquiry

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// conditionReason is what the API server takes as a condition's reason (metav1.Condition).
var conditionReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// Each reason of the scaler's, also of one that is newer than this controller, is one that the
// API server takes: it would refuse the status as a whole.
func TestEveryReasonOfTheScalersFitsACondition(t *testing.T) {
	for number := range inspectv1.Reason_name {
		assert.Regexp(t, conditionReason, ReasonName(inspectv1.Reason(number)))
	}
	assert.Equal(t, v1.ReasonDecisionUnknown, ReasonName(99))
}

package record

import (
	"testing"

	"github.com/stretchr/testify/assert"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// As on a cluster: the HPA scales before the controller has asked the scaler again, so no status has the decision that asked for it.
func TestWhyItWasScaledThoughTheDecisionWasMissed(t *testing.T) {
	status := func(replicas, desired int32, depth int64, message string) *v1.PubSubChannelStatus {
		return &v1.PubSubChannelStatus{DesiredReplicas: replicas, Decision: &v1.ScalingDecision{
			Replicas: replicas, DesiredReplicas: desired, QueueDepth: depth, LowerBound: 25 * int64(replicas), UpperBound: 75 * int64(replicas), Message: message,
		}}
	}
	unknown := &v1.PubSubChannelStatus{DesiredReplicas: 4}
	for name, test := range map[string]struct {
		was, is *v1.PubSubChannelStatus
		want    string
	}{
		"the decision was seen":         {status(1, 4, 1000, "1000 is above 75: 1 → 4 replicas"), status(4, 4, 990, "holding at 4"), "1000 is above 75: 1 → 4 replicas"},
		"up, and it was missed":         {status(1, 1, 0, "idle"), status(4, 4, 990, "holding at 4"), "1 → 4 workers: queue depth 990 is above 75, the upper bound of 1"},
		"down, and it was missed":       {status(6, 6, 380, "within"), status(4, 4, 95, "holding at 4"), "6 → 4 workers: queue depth 95 is below 150, the lower bound of 6"},
		"the depth does not explain it": {status(1, 1, 0, "idle"), status(4, 2, 0, "0 is below 100: 4 → 2 replicas"), "1 → 4 workers"},
		"no decision is known":          {status(1, 1, 0, "idle"), unknown, "1 → 4 workers"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, whyScaled(test.was, test.is)) })
	}
}

package view

import (
	"testing"

	"github.com/stretchr/testify/assert"

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

package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// Each reason for which the scaler does not answer means something here.
func TestEveryErrorReasonHasWords(t *testing.T) {
	for _, reason := range declared.Values[inspect.ErrorReason](t) {
		assert.NotEmpty(t, words[reason], "%s", reason)
	}
	for _, cause := range declared.Values[broker.Cause](t) {
		assert.NotEmpty(t, words[inspect.ErrorReason(cause)], "%s", cause)
	}
}

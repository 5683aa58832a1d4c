package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// Each cause by which the scaler tells that it can't read a queue means something here.
func TestEveryCauseHasWords(t *testing.T) {
	assert.NotEmpty(t, words[ReasonTargetNotFound])
	for _, cause := range declared.Values[broker.Cause](t) {
		assert.NotEmpty(t, words[string(cause)], "%s", cause)
	}
}

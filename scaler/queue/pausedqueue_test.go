package queue

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// A pause that nobody knows how to read is no reader, which OfPreset's caller refuses; half a
// reader would take the scaler down.
func TestEveryPauseHasAReaderOrNone(t *testing.T) {
	for _, holds := range declared.Values[framework.Type](t) {
		p := newPausedQueue(Queue{Key: "k"}, framework.Key{Holds: holds, Field: "f"}, "name")
		if p != nil {
			assert.NotNil(t, p.command, "%v", holds)
			assert.NotNil(t, p.paused, "%v", holds)
		}
	}
}

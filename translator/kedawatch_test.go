package translator

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// While KEDA's CRDs are gone, one channel of all asks in each interval whether they are back.
func TestOneChannelAsksForAll(t *testing.T) {
	l := kedaLoss{interval: 10 * time.Second}
	assert.True(t, l.asks(channeltest.Now))
	assert.True(t, l.asks(channeltest.Now), "while they are there, everybody does")
	assert.True(t, l.heard(apply.ErrKEDANotInstalled))
	assert.False(t, l.heard(apply.ErrKEDANotInstalled), "told once")
	assert.False(t, l.asks(channeltest.Now.Add(9*time.Second)))
	assert.True(t, l.asks(channeltest.Now.Add(10*time.Second)))
	assert.False(t, l.asks(channeltest.Now.Add(11*time.Second)))
	assert.True(t, l.asks(channeltest.Now.Add(-time.Hour)), "the clock was put back")
	assert.False(t, l.heard(errors.New("conflict")), "which says nothing of it")
	assert.False(t, l.asks(channeltest.Now.Add(-time.Hour)))
	assert.True(t, l.heard(nil))
	assert.True(t, l.asks(channeltest.Now.Add(-time.Hour)))
}

// While KEDA's CRDs are gone one channel asks for all; one that does not get as far as to ask
// hides nothing from the others.
func TestAProblemOfOneChannelHidesNotKEDAsReturn(t *testing.T) {
	l := kedaLoss{interval: 10 * time.Second}
	l.asks(channeltest.Now)
	l.heard(apply.ErrKEDANotInstalled)
	require.True(t, l.asks(channeltest.Now.Add(10*time.Second)))
	l.heard(&plan.Problem{Reason: v1.ReasonInvalidSpec}) // a channel whose schedule can't be read: it never asked
	assert.True(t, l.asks(channeltest.Now.Add(10*time.Second)), "the next channel asks in its place")
}

package translator

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// While KEDA's CRDs are gone, one channel of all asks in each interval whether they are back.
func TestOneChannelAsksForAll(t *testing.T) {
	l := kedaLoss{interval: 10 * time.Second}
	assert.True(t, l.asks(now))
	assert.True(t, l.asks(now), "while they are there, everybody does")
	assert.True(t, l.heard(errKEDANotInstalled))
	assert.False(t, l.heard(errKEDANotInstalled), "told once")
	assert.False(t, l.asks(now.Add(9*time.Second)))
	assert.True(t, l.asks(now.Add(10*time.Second)))
	assert.False(t, l.asks(now.Add(11*time.Second)))
	assert.True(t, l.asks(now.Add(-time.Hour)), "the clock was put back")
	assert.False(t, l.heard(errors.New("conflict")), "which says nothing of it")
	assert.False(t, l.asks(now.Add(-time.Hour)))
	assert.True(t, l.heard(nil))
	assert.True(t, l.asks(now.Add(-time.Hour)))
}

package simulation

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFleet(t *testing.T) {
	f := newFleet(2, 5)
	assert.Equal(t, 2, f.ready(0), "a replay begins with workers that are up")
	f.scale(10, 4)
	assert.EqualValues(t, 4, f.replicas())
	assert.Equal(t, 2, f.ready(14.9))
	assert.InDelta(t, 15, f.nextReady(10, 100), 0)
	assert.InDelta(t, 11, f.nextReady(10, 11), 0)
	assert.Equal(t, 4, f.ready(15))
	f.scale(20, 6)
	f.scale(22, 3) // the two that were starting and the youngest go at once
	assert.Equal(t, 3, f.ready(22))
	assert.InDelta(t, 1000, f.nextReady(22, 1000), 0)
	f.scale(23, 0)
	assert.Zero(t, f.ready(100))
}

package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSooner(t *testing.T) {
	assert.Equal(t, 2*time.Second, Sooner(0, 2*time.Second))
	assert.Equal(t, 2*time.Second, Sooner(2*time.Second, 0))
	assert.Equal(t, time.Second, Sooner(2*time.Second, time.Second))
	assert.Zero(t, Sooner(0, 0))
}

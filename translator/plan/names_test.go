package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWorkers(t *testing.T) {
	assert.Equal(t, "0 workers", Workers(0))
	assert.Equal(t, "1 worker", Workers(1))
	assert.Equal(t, "2 workers", Workers(2))
}

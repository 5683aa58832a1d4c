package trace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFasterAndScaled(t *testing.T) {
	builtIn, _ := Lookup("flash")
	faster := builtIn.Faster(21)
	assert.Equal(t, 10*time.Minute, faster.Length())
	assert.InEpsilon(t, builtIn.Messages()/21, faster.Messages(), 1e-6)
	assert.InDelta(t, builtIn.Ramps[3].To, faster.Ramps[3].To, 0, "the rates stay")
	scaled := builtIn.Scaled(0.1)
	assert.Equal(t, builtIn.Length(), scaled.Length())
	assert.InEpsilon(t, builtIn.Messages()/10, scaled.Messages(), 1e-9)

	var many Trace
	for second := range 1000 {
		many.Batches = append(many.Batches, Batch{At: time.Duration(second) * time.Second, Length: time.Second, Messages: 3})
	}
	assert.InDelta(t, 300.0, many.Faster(10).Messages(), 1, "small batches are not all rounded to none")
	assert.Equal(t, 100*time.Second, many.Faster(10).Length())
	assert.InDelta(t, 600.0, many.Scaled(0.2).Messages(), 1)
}

package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJitterIsATwentiethEitherWay(t *testing.T) {
	for _, delay := range []time.Duration{1, 20 * time.Millisecond, time.Second, 8 * time.Second} {
		least, most := delay, delay
		for range 10_000 {
			got := Jittered(delay)
			require.GreaterOrEqual(t, got, delay-delay/20)
			require.LessOrEqual(t, got, delay+delay/20)
			least, most = min(least, got), max(most, got)
		}
		if delay >= time.Millisecond {
			assert.Less(t, least, delay-delay/25, "it spreads")
			assert.Greater(t, most, delay+delay/25, "in both directions")
		}
	}
}

package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStep(t *testing.T) {
	for text, want := range map[string]Step{"": {}, "1": {Value: 1}, "20%": {Value: 20, Percent: true}, "1000000": {Value: 1_000_000}} {
		got, err := ParseStep(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	for _, text := range []string{"0", "-1", "0%", "%", "x", "1.5", "20 %", "1000001", "10000%", "99999999999"} {
		_, err := ParseStep(text)
		assert.ErrorContains(t, err, text)
	}
}

// What is kept must stay true while the cooldown runs.
func TestLastingTextDoesNotCountDown(t *testing.T) {
	scaled := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, since := range []time.Duration{time.Second, 1700 * time.Millisecond, 59 * time.Second} {
		got := Decide(DefaultSpec(), State{Replicas: 4, Depth: 5000, LastScale: scaled, Now: scaled.Add(since)})
		assert.Equal(t, "queue depth 5000 is above 600 = 100 × 4 × 150 %; holding at 4: the 60 s cooldown lasts until 15:05:05 UTC", got.LastingText)
	}
}

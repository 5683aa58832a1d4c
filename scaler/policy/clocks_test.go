package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Clocks that differ by minutes delay a decision, or hasten it, and the words that go to a
// status are the same at every look: each change would be a write.
func TestClocksThatDiffer(t *testing.T) {
	spec := DefaultSpec()
	for name, test := range map[string]struct {
		ahead  time.Duration // of the clock by which the HPA told its last scaling, just now
		reason Reason
		end    string
		told   bool
	}{
		"the same clock":          {0, Cooldown, "until 15:05:05 UTC", false},
		"a little":                {4 * time.Second, Cooldown, "until 15:05:09 UTC", false},
		"as much as is tolerated": {5 * time.Second, Cooldown, "until 15:05:10 UTC", false},
		"the scaler's is behind":  {10 * time.Minute, Cooldown, "until 15:15:05 UTC", true},
		"the scaler's is ahead":   {-10 * time.Minute, AboveUpperBound, "", false},
		"it is ahead by a little": {-20 * time.Second, Cooldown, "until 15:04:45 UTC", false},
	} {
		t.Run(name, func(t *testing.T) {
			state := State{Replicas: 3, Depth: 900, Now: now, LastScale: now.Add(test.ahead)}
			d := Decide(spec, state)
			assert.Equal(t, test.reason, d.Reason)
			if test.end == "" {
				return
			}
			assert.Contains(t, d.LastingText, test.end)
			for _, words := range []string{d.Text, d.LastingText} {
				if test.told {
					assert.Contains(t, words, "the last scaling was at 15:14:05 UTC, ahead of the scaler's clock: synchronize the nodes' clocks")
				} else {
					assert.NotContains(t, words, "ahead of")
				}
			}
			for _, later := range []time.Duration{time.Second, 15 * time.Second, 30 * time.Second} {
				state.Now = now.Add(later)
				assert.Equal(t, d.LastingText, Decide(spec, state).LastingText, later)
			}
		})
	}
}

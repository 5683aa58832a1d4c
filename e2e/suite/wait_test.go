//go:build e2e

package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
)

// logf logs with the seconds since the test began.
func (s *space) logf(format string, args ...any) {
	s.t.Helper()
	s.t.Logf("%6.1f s  %s", time.Since(s.started).Seconds(), fmt.Sprintf(format, args...))
}

// until waits until the condition returns nil, and fails the test with its last error when
// the time is over. It returns how long that took.
func (s *space) until(within time.Duration, what string, condition func(ctx context.Context) error) time.Duration {
	s.t.Helper()
	start := time.Now()
	deadline := time.After(within)
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	for {
		// An attempt has a time of its own: one that the deadline cut off would tell nothing.
		ctx, cancel := context.WithTimeout(s.t.Context(), commandTimeout)
		err := condition(ctx)
		cancel()
		if err == nil {
			took := time.Since(start)
			s.logf("%s (after %.1f s)", what, took.Seconds())
			return took
		}
		select {
		case <-deadline:
			require.Failf(s.t, "still not so after "+within.String(), "%s: %v", what, err)
		case <-s.t.Context().Done():
			require.FailNow(s.t, "the test ended", "%s: %v", what, err)
		case <-ticker.C:
		}
	}
}

// assertStable samples the condition for the whole window, and fails the test as soon as
// it does not hold. That it could not be read for a moment is no such thing.
func (s *space) assertStable(window time.Duration, what string, condition func(ctx context.Context) error) {
	s.t.Helper()
	seen, err := holds(s.t.Context(), window, condition)
	require.NoError(s.t, err, what)
	s.logf("%s (for %.1f s, %d samples, %d that failed)", what, window.Seconds(), seen.held, seen.unread)
}

// Times that follow from the HPA's sync period.
func (e environment) syncs(n int) time.Duration { return time.Duration(n) * e.hpaSync }

// reaction is the longest that a change of depth may take to become a change of replicas:
// two syncs, a sample of the queue, and what a loaded machine adds.
func (e environment) reaction() time.Duration { return e.syncs(2) + 2*time.Minute }

// settling is the longest that pods, KEDA and the HPA may take to be up.
func (e environment) settling() time.Duration { return e.syncs(2) + 5*time.Minute }

// statusDelay is the longest that the controller may take to tell what the scaler says: it
// asks every 15 s, one fifth more or less, and gives an answer 3 s.
func (e environment) statusDelay() time.Duration { return 2 * time.Minute }

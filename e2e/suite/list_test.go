//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A list channel with 3 replicas, target 100, up 150 %, down 50 %: with 500 messages it
// becomes 4, and not the 5 of ceil(500 ÷ 100). It holds inside the band and within the
// cooldown, and gives its workers back, one by one, when the queue is drained.
func TestListChannel(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "list")
	channel := newChannel("orders")
	cooldown := setCooldown(channel, 10) // of which 4 are for the holding below, and the rest for a slow machine
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)
	s.untilDepth("orders", 300)
	replicas.holds(3, 3, "with 300 messages, inside the band of 150 to 450")

	s.setDepth("orders", 500)
	replicas.untilValues(env.reaction(), 3, 4)
	replicas.holds(4, 3, "with 500 messages, inside the band of 200 to 600")

	s.setDepth("orders", 150)
	s.holdsWithinCooldown(replicas, "orders", cooldown)
	replicas.untilValues(cooldown+env.reaction(), 3, 4, 3)
	s.logf("the workers consume now")
	s.edit("orders", unpark)
	s.until(env.settling(), "the list is empty", func(ctx context.Context) error { return s.empty(ctx, "LLEN", "orders") })
	replicas.untilValues(cooldown+env.reaction(), 3, 4, 3, 2)
	replicas.holds(2, 3, "which is minReplicas")
	s.untilDepth("orders", 0)
	replicas.requireCooldown(cooldown)
}

// holdsWithinCooldown asserts that the last scaling's cooldown keeps the replicas as they
// are, against a depth that asks for others, and that the scaler says so.
func (s *space) holdsWithinCooldown(replicas *recorder, name string, cooldown time.Duration) {
	s.t.Helper()
	last := replicas.last()
	scaler := s.connectScaler("service/" + release + "-scaler")
	s.until(env.reaction(), "the scaler says that the cooldown holds it", func(context.Context) error {
		var now explanation
		scaler.mustCall(explain, s.byName(explain, name), &now)
		require.Equal(s.t, last, replicas.last(), "scaled within the cooldown")
		if now.Reason != "REASON_COOLDOWN" {
			return fmt.Errorf("it says %+v", now)
		}
		s.logf("%s", now.Explanation)
		return nil
	})
	// Less than all of it, because lastScaleTime has whole seconds.
	end := last.at.Add(cooldown - 2*time.Second)
	left := time.Until(end)
	require.Greater(s.t, left, env.hpaSync, "this test was too slow to see the cooldown hold anything")
	s.assertStable(left, fmt.Sprintf("spec.replicas holds at %d within the cooldown", last.replicas), func(context.Context) error {
		// The last look comes after the end, and on a busy machine after the next scaling.
		if next := replicas.after(last); next != nil && next.at.Before(end) {
			return fmt.Errorf("spec.replicas became %d", next.replicas)
		}
		return nil
	})
}

// empty is nil where the command answers 0.
func (s *space) empty(ctx context.Context, command ...string) error {
	out, err := s.tryRedis(ctx, command...)
	if err == nil && out != "0" {
		err = fmt.Errorf("%v is %s", command, out)
	}
	return err
}

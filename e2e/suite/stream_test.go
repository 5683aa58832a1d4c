//go:build e2e

package suite

import (
	"context"
	"testing"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// A stream channel scales by its consumer group: what the group has not read, and what it
// has read and not acknowledged.
func TestStreamChannel(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "stream")
	const group = "billing"
	channel := newChannel("payments")
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeStream, ConsumerGroup: group}
	cooldown := setCooldown(channel, 12) // of which 4, and a look of the controller, are for what holds below, and the rest for a slow machine
	park(channel)
	s.redis("XGROUP", "CREATE", "payments", group, "0", "MKSTREAM")
	s.redis("XGROUP", "CREATE", "payments", "somebody-elses", "0")
	s.addEntries("payments", 300)
	s.deliver("payments", group, 300)
	replicas := s.createAndSettle(channel)
	s.untilDepth("payments", 300)
	// Nothing waits. Did the un-acknowledged entries not count, the depth would be 0, and
	// there is no cooldown yet that could hold it.
	replicas.holds(3, 3, "with 300 entries delivered and not acknowledged")

	s.addEntries("payments", 200)
	replicas.untilValues(env.reaction(), 3, 4)
	s.untilDepth("payments", 500)
	replicas.holds(4, 3, "with 300 entries not acknowledged and 200 not read")

	s.deliver("payments", group, 200)
	s.acknowledge("payments", group, 350)
	s.holdsWithinCooldown(replicas, "payments", cooldown)
	replicas.untilValues(cooldown+env.reaction(), 3, 4, 3)
	s.logf("the workers consume now, and take over what the silent consumer holds")
	s.edit("payments", unpark)
	s.until(env.settling(), "nothing is left to acknowledge", func(ctx context.Context) error {
		const script = `return redis.call('XPENDING', KEYS[1], ARGV[1])[1]`
		return s.empty(ctx, "EVAL", script, "1", "payments", group)
	})
	replicas.untilValues(cooldown+env.reaction(), 3, 4, 3, 2)
	replicas.holds(2, 3, "which is minReplicas")
	s.untilDepth("payments", 0)
	replicas.requireCooldown(cooldown)
}

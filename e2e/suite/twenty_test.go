//go:build e2e

package suite

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"
)

// One replica more or less of twenty is 5 %, which the HPA's own tolerance of 10 % would
// swallow.
func TestOneReplicaOfTwenty(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "twenty")
	channel := newChannel("clicks")
	channel.Spec.Replicas = ptr.To[int32](20)
	channel.Spec.AutoScaling.MaxReplicas = 30
	cooldown := setCooldown(channel, 2)
	park(channel)
	s.setDepth("clicks", 2000)
	replicas := s.createAndSettle(channel)
	replicas.holds(20, 2, "with 2000 messages, inside the band of 1000 to 3000")

	s.setDepth("clicks", 3001)
	replicas.untilValues(env.reaction(), 20, 21)
	replicas.holds(21, 3, "with 3001 messages, inside the band of 1050 to 3150")
	s.setDepth("clicks", 1049)
	replicas.untilValues(cooldown+env.reaction(), 20, 21, 20)
	s.setDepth("clicks", 999)
	replicas.untilValues(cooldown+env.reaction(), 20, 21, 20, 19)
	replicas.holds(19, int(cooldown/env.hpaSync)+2, "with 999 messages, inside the band of 950 to 2850")
	replicas.requireCooldown(cooldown)
	s.until(env.settling()+time.Minute, "status.replicas is 19", s.statusReplicas("clicks", 19))
}

package behavior

import (
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// PollingIdle is how often KEDA polls a target that may go to zero, the ScaledObject's
// pollingInterval: going idle happens by polling alone, because a pushed "false" is ignored
// (KEDA 2.21, pkg/scaling/scale_handler.go). Other targets keep KEDA's default of 30 s, which
// has no effect on them: the HPA drives them.
const PollingIdle = 10 * time.Second

// CooldownPeriod is the ScaledObject's cooldownPeriod. A target that may go to zero has
// PollingIdle on top of the policy's cooldown: KEDA counts from the last poll that found the
// target active, which may be a whole interval before it became idle. No cooldown stays none.
func CooldownPeriod(spec policy.Spec) time.Duration {
	if spec.MinReplicas == 0 && spec.Cooldown > 0 {
		return spec.Cooldown + PollingIdle
	}
	return spec.Cooldown
}

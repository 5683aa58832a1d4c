package translator

import (
	"fmt"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// triggerFor is what a channel asks the scaler: the ScaledObject's trigger and the
// question to Explain are rendered from the same value, so that they can't differ.
func triggerFor(channel *v1.PubSubChannel) trigger.Trigger {
	queue := queueSpec(channel)
	return trigger.Trigger{
		ChannelName:   channel.Spec.ChannelName,
		RedisAddress:  redisAddress(channel),
		QueueType:     trigger.QueueType(queue.Type),
		ConsumerGroup: queue.ConsumerGroup,
		Policy:        policySpec(channel.Spec.AutoScaling),
	}
}

// checkTrigger finds what the CRD's schema can't: a port beyond 65535, for example. The
// scaler would refuse it with the same words, but only after KEDA had been set up.
func checkTrigger(t trigger.Trigger) error {
	if _, err := trigger.Parse(t.Metadata()); err != nil {
		return fmt.Errorf("the scaler would refuse what the channel asks for: %w", err)
	}
	return nil
}

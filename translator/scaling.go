package translator

import (
	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// checkScaling finds what KEDA would refuse of a channel's ScaledObject, or would only fail
// over later. The workers are made all the same.
func checkScaling(channel *v1.PubSubChannel) error {
	if err := pauseOf(channel).check(); err != nil {
		return &problem{phase: v1.PhaseFailed, reason: v1.ReasonInvalidSpec, message: err.Error()}
	}
	return nil
}

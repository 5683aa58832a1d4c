package translator

import (
	"errors"
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/hours"
)

// autoScaling is spec.autoScaling, which may be missing.
func autoScaling(channel *v1.PubSubChannel) v1.AutoScalingSpec {
	return ptr.Deref(channel.Spec.AutoScaling, v1.AutoScalingSpec{})
}

// checkScaling finds what KEDA would refuse of a channel's ScaledObject, or would only fail
// over later. The workers are made all the same.
func checkScaling(channel *v1.PubSubChannel) error {
	err := pauseOf(channel).check()
	for _, schedule := range autoScaling(channel).Schedules {
		_, hoursErr := hours.Read(schedule)
		err = errors.Join(err, hoursErr)
	}
	if err = errors.Join(err, checkForKEDA(buildScaledObject(channel, ScalerRef{}))); err != nil {
		return &problem{phase: v1.PhaseFailed, reason: v1.ReasonInvalidSpec, message: err.Error()}
	}
	return nil
}

// checkForKEDA is what KEDA's admission webhook checks without a look at the cluster (KEDA
// 2.21, apis/keda/v1alpha1/scaledobject_webhook.go); the webhook may not be installed, and
// is passed over where it does not answer.
func checkForKEDA(scaledObject *kedav1alpha1.ScaledObject) error {
	if err := kedav1alpha1.ValidateTriggers(scaledObject.Spec.Triggers); err != nil {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.triggers: %w: change or remove that trigger; schedules are triggers too, by their names", err)
	}
	if err := kedav1alpha1.CheckFallbackValid(scaledObject); err != nil {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.fallback: %w", err)
	}
	if scaledObject.FallbackScalingModifiers() {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.fallback: behavior %s needs a formula of scalingModifiers, which a channel has not: "+
			"set behavior to %s, %s, %s or %s", scaledObject.Spec.Fallback.Behavior, kedav1alpha1.FallbackBehaviorStatic,
			kedav1alpha1.FallbackBehaviorCurrentReplicas, kedav1alpha1.FallbackBehaviorCurrentReplicasIfHigher, kedav1alpha1.FallbackBehaviorCurrentReplicasIfLower)
	}
	return nil
}
